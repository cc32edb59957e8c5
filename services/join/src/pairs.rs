//! Spool joined with spool.
//!
//! A pair whose smaller spool fits becomes one hash join. A larger one is dealt out again, by another hash. Where that
//! does not help, since many rows have one key, the build side is taken in blocks, each of which sees all of the other
//! side: slow, but within any memory.

use crate::kept::{Kept, Rows};
use crate::pass::{Pass, Side};
use crate::passes::Join;
use arrow::array::RecordBatch;
use async_stream::try_stream;
use datafusion_common::JoinType;
use flight_common::{BatchStream, Fault, Spool};
use futures::TryStreamExt;
use std::sync::Arc;

/// Joins spools of equal number, one pair after the other.
pub fn join_pairs(
    join: Arc<Join>,
    left: Vec<Spool<RecordBatch>>,
    right: Vec<Spool<RecordBatch>>,
    depth: u32,
) -> BatchStream {
    let schema = join.plan.layout.schema.clone();
    let whole = total(&left) + total(&right);
    let equal = left.len() == right.len();
    let items = try_stream! {
        if !equal {
            Err(Fault::internal("the sides of a join were dealt out to different numbers of spools"))?;
        }
        for (left, right) in left.into_iter().zip(right) {
            let pair = Pair { left, right };
            if pair.gives_nothing(join.plan.join_type) {
                continue;
            }
            // Most rows have one key if most of them came to lie in one pair.
            let stuck = depth > 0 && pair.bytes() > whole / 4 * 3;
            let mut rows = pair.join(&join, depth, stuck).await?;
            while let Some(batch) = rows.try_next().await? {
                yield batch;
            }
        }
    };
    BatchStream::new(schema, items)
}

/// The bytes that a row takes in these spools, about.
pub fn row_bytes<'a>(spools: impl Iterator<Item = &'a Spool<RecordBatch>>) -> usize {
    let (bytes, rows) = spools.fold((0, 0), |(bytes, rows), spool| (bytes + spool.bytes(), rows + spool.rows()));
    as_usize(bytes / rows.max(1))
}

fn total(spools: &[Spool<RecordBatch>]) -> u64 {
    spools.iter().map(Spool::bytes).sum()
}

fn as_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Spools whose rows may match each other and no others.
struct Pair {
    left: Spool<RecordBatch>,
    right: Spool<RecordBatch>,
}

impl Pair {
    fn bytes(&self) -> u64 {
        self.left.bytes() + self.right.bytes()
    }

    fn smaller(&self) -> Side {
        if self.left.bytes() <= self.right.bytes() { Side::Left } else { Side::Right }
    }

    fn side(&self, side: Side) -> &Spool<RecordBatch> {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    /// Whether nothing can come of it, since a side has no rows.
    fn gives_nothing(&self, join_type: JoinType) -> bool {
        let (no_left, no_right) = (self.left.rows() == 0, self.right.rows() == 0);
        match join_type {
            JoinType::Inner | JoinType::LeftSemi => no_left || no_right,
            JoinType::Right => no_right,
            JoinType::Full => no_left && no_right,
            _ => no_left,
        }
    }

    async fn join(self, join: &Arc<Join>, depth: u32, stuck: bool) -> Result<BatchStream, Fault> {
        let pass = Pass::whole(join.plan.join_type, self.smaller());
        let build = self.side(pass.build);
        if join.fits(pass, as_usize(build.rows()), as_usize(build.bytes())) {
            let (build, probe) = self.into_sides(pass.build);
            return join.pass(pass, draining(build), draining(probe)).await;
        }
        if stuck {
            join.context.meter.count("pairs_joined_in_blocks", 1);
            return Ok(self.join_in_blocks(join.clone()));
        }
        let left = join.to_spools(Side::Left, self.left.drain(), depth + 1).await?;
        let right = join.to_spools(Side::Right, self.right.drain(), depth + 1).await?;
        Ok(join_pairs(join.clone(), left, right, depth + 1))
    }

    fn into_sides(self, build: Side) -> (Spool<RecordBatch>, Spool<RecordBatch>) {
        match build {
            Side::Left => (self.left, self.right),
            Side::Right => (self.right, self.left),
        }
    }

    fn join_in_blocks(self, join: Arc<Join>) -> BatchStream {
        let schema = join.plan.layout.schema.clone();
        let passes = Pass::in_blocks(join.plan.join_type, self.smaller());
        let (left, right) = (Arc::new(self.left), Arc::new(self.right));
        let items = try_stream! {
            for pass in passes {
                let (build, probe) = match pass.build {
                    Side::Left => (&left, &right),
                    Side::Right => (&right, &left),
                };
                let mut build_rows = reading(build.clone(), join.form(pass.build).schema().clone());
                let mut next = build_rows.try_next().await?;
                while let Some(first) = next {
                    let mut block = Kept::new(first.schema());
                    block.push(first);
                    next = build_rows.try_next().await?;
                    while let Some(batch) = next.take_if(|batch| join.fits_with(pass, &block, batch)) {
                        block.push(batch);
                        next = build_rows.try_next().await?;
                    }
                    let probe_rows = Rows {
                        stream: reading(probe.clone(), join.form(pass.build.other()).schema().clone()),
                        rows: Some(as_usize(probe.rows())),
                        dense: false,
                        row_bytes: row_bytes(std::iter::once(&**probe)),
                    };
                    let mut rows = join.pass(pass, block.into_rows(join.form(pass.build).keys()), probe_rows).await?;
                    while let Some(batch) = rows.try_next().await? {
                        yield batch;
                    }
                }
            }
        };
        BatchStream::new(schema, items)
    }
}

/// The last reading of a spool.
fn draining(spool: Spool<RecordBatch>) -> Rows {
    let (rows, row_bytes) = (Some(as_usize(spool.rows())), row_bytes(std::iter::once(&spool)));
    Rows { stream: spool.drain(), rows, dense: false, row_bytes }
}

/// A reading of a spool that will be read again.
fn reading(spool: Arc<Spool<RecordBatch>>, schema: arrow::datatypes::SchemaRef) -> BatchStream {
    let items = async_stream::stream! {
        for item in spool.iter() {
            yield item;
        }
    };
    BatchStream::new(schema, items)
}
