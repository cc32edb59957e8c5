//! How a join is done: by hash tables in memory while one side fits there, else partition by partition.
//!
//! 1. The right side is kept while the memory that a hash table over it needs can be had. If all of it fits, the left
//!    side streams past it; unless the left side proves to be much smaller, which then makes the smaller table.
//! 2. Else the right side is dealt out to spools by the hash of its key, and the left side is tried in the same way.
//! 3. Else that is dealt out too, and spool is joined with spool ([`crate::pairs`]).
//!
//! Each hash join is one [`Join::pass`]. A large build side is dealt out to many tables ([`crate::routing`]).

use crate::assembly::Assembly;
use crate::engine::{Engine, HashJoin};
use crate::kept::{Kept, Rows};
use crate::layout::Layout;
use crate::memory::JoinMemory;
use crate::pairs;
use crate::partition::Deal;
use crate::pass::{Pass, Side};
use crate::routing::{Routed, deal_build, route_probe};
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
    pub(crate) memory: JoinMemory,
    /// What each side is dealt out to. Fixed for the whole join, since a spool is joined with the one in its place on the
    /// other side, while the memory that can be had changes between the two.
    spools: usize,
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

/// Rows in a hash table that fits in the cache of a core.
const TABLE_ROWS: usize = 32 * 1024;
/// Fewer tables than this are not worth dealing out for.
const FEWEST_TABLES: usize = 4;
/// More make shares too small.
const MOST_TABLES: usize = 64;
/// Spools that a side is dealt out to, and the bytes that are gathered for each, as far as there is memory for it.
const MOST_SPOOLS: usize = 32;
const FEWEST_SPOOLS: usize = 4;
const LEAST_GATHERED: usize = 16 * 1024;
/// Unlike those of spools, which count from 0.
const TABLE_SEED: u64 = u64::MAX;

/// Runs a join. Nothing is read before the output is.
pub fn run(plan: Plan, left: BatchStream, right: BatchStream, context: StepContext) -> BatchStream {
    let schema = plan.layout.schema.clone();
    let output = async move {
        let memory = JoinMemory::new(context.budget());
        let engine = Engine::new(memory.clone(), plan.null_equality)?;
        let target = (memory.most() / 32).clamp(4 * 1024, BATCH_BYTES);
        let count = |name: &'static str| {
            let meter = context.meter.clone();
            move |rows| meter.count(name, rows)
        };
        let left = plan.left.clone().shape(left, target, count("left_rows"));
        let right = plan.right.clone().shape(right, target, count("right_rows"));
        let spools = (memory.most() / 2 / LEAST_GATHERED).clamp(FEWEST_SPOOLS, MOST_SPOOLS);
        Arc::new(Join { plan, engine, memory, spools, context }).start(left, right).await
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
        let right = self.to_spools(Side::Right, kept.chain(right), 0).await?;
        let mut kept = Kept::new(left.schema());
        if self.keep(&mut kept, &mut left, Side::Left).await? {
            let row_bytes = pairs::row_bytes(right.iter());
            let schema = self.plan.right.schema().clone();
            let spools = stream::iter(right.into_iter().map(Spool::drain)).flatten();
            let probe = Rows { stream: BatchStream::new(schema, spools), rows: None, dense: false, row_bytes };
            return self
                .pass(Pass::whole(self.plan.join_type, Side::Left), kept.into_rows(self.plan.left.keys()), probe)
                .await;
        }
        self.context.meter.detail("strategy", "partitioned hash");
        let left = self.to_spools(Side::Left, kept.chain(left), 0).await?;
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
            return self
                .pass(
                    Pass::whole(self.plan.join_type, Side::Left),
                    first.into_rows(self.plan.left.keys()),
                    right.into_rows(self.plan.right.keys()),
                )
                .await;
        }
        let row_bytes = first.row_bytes();
        let probe = Rows { stream: first.chain(left), rows: None, dense: false, row_bytes };
        self.pass(Pass::whole(self.plan.join_type, Side::Right), right.into_rows(self.plan.right.keys()), probe).await
    }

    /// One pass of the engine, its output put together.
    pub(crate) async fn pass(&self, pass: Pass, build: Rows, probe: Rows) -> Result<BatchStream, Fault> {
        let (build_side, probe_side) = (pass.build, pass.build.other());
        let (build_form, probe_form) = (self.form(build_side), self.form(probe_side));
        let assembly = Assembly::new(&self.plan.layout, self.plan.join_type, pass, build_form.schema().fields().len());
        let keys = build_form.keys().iter().copied().zip(probe_form.keys().iter().copied()).collect();
        let row_bytes = build.row_bytes + probe.row_bytes;
        let (projection, join_type) = (assembly.projection.clone(), pass.join_type);

        let tables = build.rows.unwrap_or_default().div_ceil(TABLE_ROWS).min(MOST_TABLES);
        if tables < FEWEST_TABLES || build.dense {
            let (build, probe) = (vec![build.stream], vec![probe.stream]);
            let joined = self.engine.join(HashJoin { build, probe, row_bytes, keys, join_type, projection })?;
            return Ok(assembly.assemble(joined));
        }
        let build = deal_build(self.deal(build_side, tables, TABLE_SEED), build.stream, &self.context).await?;
        let gather = (self.memory.most() / 8 / tables).min(BATCH_BYTES / 2);
        let Routed { streams: probe, ending } =
            route_probe(self.deal(probe_side, tables, TABLE_SEED), probe.stream, gather, &self.context);
        let joined = self.engine.join(HashJoin { build, probe, row_bytes, keys, join_type, projection })?;
        Ok(assembly.assemble(joined.wrap(|rows| rows.chain(ending))))
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

    /// Deals a side out to spools.
    pub(crate) async fn to_spools(
        &self,
        side: Side,
        rows: BatchStream,
        depth: u32,
    ) -> Result<Vec<Spool<RecordBatch>>, Fault> {
        // Half of what is held, while rows are dealt out: no table stands then.
        let gather = (self.memory.hold_most() / 2 / self.spools).min(BATCH_BYTES);
        self.deal(side, self.spools, u64::from(depth)).into_spools(rows, gather, &self.context).await
    }

    fn deal(&self, side: Side, places: usize, seed: u64) -> Deal {
        let nulls_anywhere = self.plan.null_equality == NullEquality::NullEqualsNothing;
        Deal { places, keys: self.form(side).keys().into(), seed, nulls_anywhere }
    }

    pub(crate) fn form(&self, side: Side) -> &Form {
        match side {
            Side::Left => &self.plan.left,
            Side::Right => &self.plan.right,
        }
    }
}
