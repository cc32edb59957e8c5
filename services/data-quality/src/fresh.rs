//! How old the newest value of a column may be.

use crate::bound::{Limits, nanoseconds_each};
use crate::extent::Edge;
use crate::names::FRESHNESS;
use crate::params::Rules;
use arrow::datatypes::{SchemaRef, i256};
use flight_common::columns;
use flight_common::params::{Wrong, bad_param, pointer};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How old the newest value of a column may be.
pub struct FreshnessCheck {
    /// The column's place.
    pub place: usize,
    /// The age as the user wrote it.
    pub asked: String,
    /// No limits, in the column's terms.
    pub limits: Limits,
    age: Duration,
    /// The nanoseconds in one of the column's units.
    unit: i128,
}

impl FreshnessCheck {
    /// Whether a value is no older than it may be.
    pub fn is_fresh(&self, newest: Edge, now: SystemTime) -> bool {
        let Edge::Exact(newest) = newest else { return false };
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i128;
        let oldest = since_epoch - self.age.as_nanos() as i128;
        newest.wrapping_mul(i256::from_i128(self.unit)) >= i256::from_i128(oldest)
    }
}

/// The columns that must be fresh.
pub fn freshness(rules: &Rules, schema: &SchemaRef, wrong: &mut Wrong) -> Vec<FreshnessCheck> {
    let check = |(name, asked): (&String, &String)| {
        let pointer = pointer(["rules", FRESHNESS, name]);
        let place = wrong.note(columns::find(schema, name, &pointer))?;
        let found = schema.field(place).data_type();
        let age = humantime::parse_duration(asked).map_err(|error| {
            let message = format!("{FRESHNESS} of \"{name}\": {asked} is no duration: {error}");
            bad_param(pointer.clone(), message, "write 36h, 7d or 1month")
        });
        let unit =
            nanoseconds_each(found).ok_or_else(|| columns::wrong_type(name, found, "a date or a timestamp", &pointer));
        let (age, unit) = (wrong.note(age), wrong.note(unit));
        Some(FreshnessCheck { place, asked: asked.clone(), limits: Limits::Exact(None, None), age: age?, unit: unit? })
    };
    rules.check_freshness.iter().filter_map(check).collect()
}
