//! Passes of the engine, each one hash join, and what a side is dealt out to before them.
//!
//! A large build side is dealt out to many tables ([`crate::routing`]).

use crate::assembly::Assembly;
use crate::engine::{Engine, HashJoin};
use crate::kept::{Kept, Rows};
use crate::layout::Layout;
use crate::memory::JoinMemory;
use crate::partition::Deal;
use crate::pass::{Pass, Side};
use crate::routing::{Routed, deal_build, route_probe};
use crate::rows::Form;
use arrow::array::RecordBatch;
use datafusion_common::{JoinType, NullEquality};
use flight_common::wire::row_bytes;
use flight_common::{BatchStream, Fault, Spool, StepContext};
use futures::StreamExt;

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
    pub plan: Plan,
    pub engine: Engine,
    pub memory: JoinMemory,
    /// What each side is dealt out to. Fixed for the whole join, since a spool is joined with the one in its place on the
    /// other side, while the memory that can be had changes between the two.
    pub spools: usize,
    pub context: StepContext,
}

/// Batches larger than this are cut, smaller ones gathered.
pub const BATCH_BYTES: usize = 1 << 20;
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
/// Unlike those of spools, which count from 0.
const TABLE_SEED: u64 = u64::MAX;

impl Join {
    /// One pass of the engine, its output put together.
    pub async fn pass(&self, pass: Pass, build: Rows, probe: Rows) -> Result<BatchStream, Fault> {
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
    pub fn fits(&self, pass: Pass, rows: usize, bytes: usize) -> bool {
        // The engine gathers batches into one, and at the end may copy those of its rows that come out.
        let need = match pass.keeps_build_rows() {
            false => 2 * bytes + TABLE_ROW_BYTES * rows,
            true => 3 * bytes + (TABLE_ROW_BYTES + KEPT_ROW_BYTES) * rows,
        };
        bytes <= MAX_BUILD_BYTES && self.memory.try_hold(need)
    }

    /// Whether it is held with this batch added.
    pub fn fits_with(&self, pass: Pass, kept: &Kept, batch: &RecordBatch) -> bool {
        self.fits(pass, kept.rows + batch.num_rows(), kept.bytes + row_bytes(batch))
    }

    /// Deals a side out to spools.
    pub async fn to_spools(&self, side: Side, rows: BatchStream, depth: u32) -> Result<Vec<Spool<RecordBatch>>, Fault> {
        // Half of what is held, while rows are dealt out: no table stands then.
        let gather = (self.memory.hold_most() / 2 / self.spools).min(BATCH_BYTES);
        self.deal(side, self.spools, u64::from(depth)).into_spools(rows, gather, &self.context).await
    }

    fn deal(&self, side: Side, places: usize, seed: u64) -> Deal {
        let nulls_anywhere = self.plan.null_equality == NullEquality::NullEqualsNothing;
        Deal { places, keys: self.form(side).keys().into(), seed, nulls_anywhere }
    }

    pub fn form(&self, side: Side) -> &Form {
        match side {
            Side::Left => &self.plan.left,
            Side::Right => &self.plan.right,
        }
    }
}
