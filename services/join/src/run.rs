//! How a join is done: by hash tables in memory while one side fits there, else partition by partition.
//!
//! 1. The right side is kept while the memory that a hash table over it needs can be had. If all of it fits, the left
//!    side streams past it; unless the left side proves to be much smaller, which then makes the smaller table.
//! 2. Else the right side is dealt out to spools by the hash of its key, and the left side is tried in the same way.
//! 3. Else that is dealt out too, and spool is joined with spool ([`crate::pairs`]).

use crate::engine::Engine;
use crate::kept::{Kept, Rows};
use crate::memory::JoinMemory;
use crate::pairs;
use crate::pass::{Pass, Side};
use crate::passes::{BATCH_BYTES, Join, Plan};
use flight_common::{BatchStream, Fault, Spool, StepContext};
use futures::{StreamExt, TryStreamExt, stream};
use std::sync::Arc;

/// Spools that a side is dealt out to, and the bytes that are gathered for each, as far as there is memory for it.
const MOST_SPOOLS: usize = 32;
const FEWEST_SPOOLS: usize = 4;
const LEAST_GATHERED: usize = 16 * 1024;

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
}
