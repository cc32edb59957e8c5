//! How an append is safe to repeat: the database itself remembers, in the transaction that writes the rows, that this run
//! has written them.
//!
//! A line is known by the run and the step of its pipeline: two steps of one run may add rows to one table. Once only one of
//! them could, and lines were known by the run alone. Those are still looked up, so that a run that has lasted through an
//! upgrade does not write again.
//!
//! A step may be called otherwise by a later attempt. If there is no line of its own name, one is taken over that was written
//! under a name which no step of the run has any more, of the same table and the same rows: it gets the new name, in a
//! transaction as well, so that no second step finds it.
//!
//! If an answer is lost after the commit, the next attempt of the run finds its line in the ledger. Rows are told apart by a
//! sum of their hashes, which does not hang on their order: equal ones are there already, and others are a fault.

use crate::params::Mode;
use crate::target::Target;
use flight_common::{Fault, StepContext};
use twox_hash::XxHash3_64;

/// The table.
pub const LEDGER: &str = "quiver_loads";
/// Its columns, in the words of PostgreSQL and SQLite alike.
pub const COLUMNS: &str = "run text NOT NULL, loaded text NOT NULL, rows bigint NOT NULL, digest text NOT NULL, \
                           at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (run, loaded)";

/// Bytes of the longest name of a step that stands in a ledger as it is: that of MariaDB has room for 255 characters.
const LONGEST_NODE: usize = 128;

/// Who writes, as a ledger knows it.
pub struct Writer {
    /// The run, and the step of its pipeline.
    pub name: String,
    /// The run alone, as lines of an earlier version have it.
    pub run: String,
    /// What lines of it are called that it has written when its step was called otherwise.
    pub former: Vec<String>,
}

impl Writer {
    /// Under which name a load is noted; nothing for one that is not: other modes are safe to repeat by themselves, and what
    /// is part of no run is repeated by nobody.
    pub fn of(target: &Target, context: &StepContext) -> Option<Self> {
        let run = context.run_id.to_string();
        let is_noted = target.mode == Mode::Append && !run.is_empty();
        is_noted.then(|| {
            let former = context.formerly.iter().map(|node| name_of(&run, node)).collect();
            Self { name: name_of(&run, &context.node), former, run }
        })
    }
}

/// What the line of a step is called.
fn name_of(run: &str, node: &str) -> String {
    match node {
        "" => run.to_owned(),
        node if node.len() > LONGEST_NODE => format!("{run}/{:016x}", XxHash3_64::oneshot(node.as_bytes())),
        node => format!("{run}/{node}"),
    }
}

/// Rows without their order: how many, and the sum of their hashes (XXH3, 64 bits each).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// How many.
    pub count: u64,
    sum: u128,
}

impl Rows {
    /// Takes a row in, by the bytes that are written of it.
    pub fn add(&mut self, row: &[u8]) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(XxHash3_64::oneshot(row).into());
    }

    /// Takes more rows in.
    pub fn merge(&mut self, more: Self) {
        self.count += more.count;
        self.sum = self.sum.wrapping_add(more.sum);
    }

    /// The sum, as 32 hexadecimal digits.
    pub fn digest(&self) -> String {
        format!("{:032x}", self.sum)
    }
}

/// A line of the ledger: what an attempt of a run has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How many rows.
    pub rows: i64,
    /// Which, as [`Rows::digest`] tells it.
    pub digest: String,
}

impl Entry {
    /// The line for these rows.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] for more rows than there can be.
    pub fn of(rows: &Rows) -> Result<Self, Fault> {
        Ok(Self { rows: i64::try_from(rows.count).map_err(Fault::internal)?, digest: rows.digest() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(all: &[&str]) -> Rows {
        let mut rows = Rows::default();
        all.iter().for_each(|row| rows.add(row.as_bytes()));
        rows
    }

    #[test]
    fn rows_are_the_same_in_any_order_and_cut_anyhow() {
        let mut merged = rows(&["b"]);
        merged.merge(rows(&["a", "a"]));
        assert_eq!(merged, rows(&["a", "b", "a"]));
        assert_ne!(merged.digest(), rows(&["a", "b"]).digest());
        assert_ne!(merged.digest(), rows(&["a", "b", "b"]).digest());
    }
}
