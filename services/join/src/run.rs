//! How a join is done: by one hash table while one side fits in memory, else partition by partition.
//!
//! 1. The right side is kept while the memory that a hash table over it needs can be had. If all of it fits, the left
//!    side streams past it; unless the left side proves to be much smaller, which then makes the smaller table.
//! 2. Else the right side is dealt out to spools by the hash of its key, and the left side is tried in the same way.
//! 3. Else that is dealt out too, and spool is joined with spool ([`crate::pairs`]).

use crate::assembly::Assembly;
use crate::engine::{Engine, HashJoin, Rows};
use crate::kept::Kept;
use crate::layout::Layout;
use crate::memory::WorkingMemory;
use crate::pairs;
use crate::partition::Deal;
use crate::pass::{Pass, Side};
use crate::rows::Form;
use arrow::array::RecordBatch;
use datafusion_common::{JoinType, NullEquality};
use flight_common::wire::row_bytes;
use flight_common::{BatchStream, Fault, Spool, StepContext};
use futures::{StreamExt, TryStreamExt, stream};
use std::sync::Arc;

/// What was planned.
pub struct Plan {
    /// Which rows come out.
    pub join_type: JoinType,
    /// Whether a null key matches a null key.
    pub null_equality: NullEquality,
    /// The output.
    pub layout: Layout,
    /// The form of the left rows.
    pub left: Form,
    /// The form of the right rows.
    pub right: Form,
}

/// A join under way.
pub struct Join {
    pub(crate) plan: Plan,
    pub(crate) engine: Engine,
    pub(crate) memory: WorkingMemory,
    pub(crate) context: StepContext,
}

/// Batches larger than this are cut, smaller ones gathered.
const BATCH_BYTES: usize = 1 << 20;
/// The most bytes in one hash table: columns of strings count theirs in 31 bits.
const MAX_BUILD_BYTES: usize = 1 << 30;
/// What a hash table takes for a row: entry and control byte at the worst load, and the chain of equal keys.
const TABLE_ROW_BYTES: usize = 44;
/// What is taken for a row that comes out at the end: its number among the build and the probe rows.
const KEPT_ROW_BYTES: usize = 12;

/// Runs a join. Nothing is read before the output is.
pub fn run(plan: Plan, left: BatchStream, right: BatchStream, context: StepContext) -> BatchStream {
    let schema = plan.layout.schema.clone();
    let output = async move {
        let memory = WorkingMemory::new(context.budget());
        let engine = Engine::new(memory.clone(), plan.null_equality)?;
        let target = (memory.most() / 32).clamp(4 * 1024, BATCH_BYTES);
        let count = |name: &'static str| {
            let meter = context.meter.clone();
            move |rows| meter.count(name, rows)
        };
        let left = plan.left.clone().shape(left, target, count("left_rows"));
        let right = plan.right.clone().shape(right, target, count("right_rows"));
        Arc::new(Join { plan, engine, memory, context }).start(left, right).await
    };
    BatchStream::new(schema, stream::once(output).try_flatten())
}

impl Join {
    async fn start(self: Arc<Self>, mut left: BatchStream, mut right: BatchStream) -> Result<BatchStream, Fault> {
        self.context.meter.detail("strategy", "hash");
        let mut kept = Kept::new(right.schema());
        if self.keep(&mut kept, &mut right, Side::Right).await? {
            return self.right_fits(left, kept).await;
        }
        self.memory.hold_most();
        let right = self.deal(Side::Right, 0).all(kept.chain(right), &self.context).await?;
        let mut kept = Kept::new(left.schema());
        if self.keep(&mut kept, &mut left, Side::Left).await? {
            let row_bytes = pairs::row_bytes(right.iter());
            let schema = self.plan.right.schema().clone();
            let spools = stream::iter(right.into_iter().map(Spool::drain)).flatten();
            let probe = Rows { stream: BatchStream::new(schema, spools), row_bytes };
            return self.pass(Pass::whole(self.plan.join_type, Side::Left), kept.into_rows(), probe);
        }
        self.context.meter.detail("strategy", "partitioned hash");
        let left = self.deal(Side::Left, 0).all(kept.chain(left), &self.context).await?;
        Ok(pairs::join_pairs(self, left, right, 0))
    }

    /// Keeps a side's rows while a hash table over them can be had. Returns whether these are all.
    async fn keep(&self, kept: &mut Kept, rows: &mut BatchStream, side: Side) -> Result<bool, Fault> {
        let pass = Pass::whole(self.plan.join_type, side);
        while let Some(batch) = rows.next().await {
            kept.push(batch?);
            if !self.fits(pass, kept.rows, kept.bytes) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The right side is kept. If the left one ends at a quarter of its size, that makes the hash table.
    async fn right_fits(self: Arc<Self>, mut left: BatchStream, right: Kept) -> Result<BatchStream, Fault> {
        let mut first = Kept::new(left.schema());
        let mut ended = false;
        while !ended && first.bytes <= right.bytes / 4 {
            match left.next().await.transpose()? {
                None => ended = true,
                Some(batch) => {
                    let room = first.book(&batch, self.context.budget());
                    first.push(batch);
                    if !room {
                        break;
                    }
                }
            }
        }
        if ended && first.bytes <= right.bytes / 4 {
            return self.pass(Pass::whole(self.plan.join_type, Side::Left), first.into_rows(), right.into_rows());
        }
        let row_bytes = first.row_bytes();
        let probe = Rows { stream: first.chain(left), row_bytes };
        self.pass(Pass::whole(self.plan.join_type, Side::Right), right.into_rows(), probe)
    }

    /// One pass of the engine, its output put together.
    pub(crate) fn pass(&self, pass: Pass, build: Rows, probe: Rows) -> Result<BatchStream, Fault> {
        let (build_form, probe_form) = match pass.build {
            Side::Left => (&self.plan.left, &self.plan.right),
            Side::Right => (&self.plan.right, &self.plan.left),
        };
        let assembly = Assembly::new(&self.plan.layout, self.plan.join_type, pass, build_form.schema().fields().len());
        let keys = build_form.keys().iter().copied().zip(probe_form.keys().iter().copied()).collect();
        let projection = assembly.projection.clone();
        let joined = self.engine.join(HashJoin { build, probe, keys, join_type: pass.join_type, projection })?;
        Ok(assembly.assemble(joined))
    }

    /// Whether the memory for a hash table over so many rows is held now.
    pub(crate) fn fits(&self, pass: Pass, rows: usize, bytes: usize) -> bool {
        // The engine gathers batches into one, and at the end may copy those of its rows that come out.
        let need = match pass.keeps_build_rows() {
            false => 2 * bytes + TABLE_ROW_BYTES * rows,
            true => 3 * bytes + (TABLE_ROW_BYTES + KEPT_ROW_BYTES) * rows,
        };
        bytes <= MAX_BUILD_BYTES && self.memory.try_hold(need)
    }

    /// Whether it is held with this batch added.
    pub(crate) fn fits_with(&self, pass: Pass, kept: &Kept, batch: &RecordBatch) -> bool {
        self.fits(pass, kept.rows + batch.num_rows(), kept.bytes + row_bytes(batch))
    }

    /// How a side is dealt out to spools at this depth.
    pub(crate) fn deal(&self, side: Side, depth: u32) -> Deal {
        const MOST_SPOOLS: usize = 32;
        const LEAST_GATHERED: usize = 16 * 1024;
        // Half of what is held, while rows are dealt out: no table stands then.
        let gathered = self.memory.hold_most() / 2;
        let spools = (gathered / LEAST_GATHERED).clamp(4, MOST_SPOOLS);
        let form = match side {
            Side::Left => &self.plan.left,
            Side::Right => &self.plan.right,
        };
        Deal {
            spools,
            gather: (gathered / spools).min(BATCH_BYTES),
            keys: form.keys().into(),
            seed: u64::from(depth),
            nulls_anywhere: self.plan.null_equality == NullEquality::NullEqualsNothing,
        }
    }
}
