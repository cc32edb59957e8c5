//! Dates, times of day, and timestamps.

use super::Parse;
use super::forms::{Forms, Stamp, iso_time_of_day};
use arrow::array::timezone::Tz;
use arrow::datatypes::{ArrowTimestampType, Date32Type, Time64MicrosecondType, TimeUnit};
use chrono::{DateTime, TimeZone};
use std::marker::PhantomData;
use std::sync::Arc;

/// Dates.
pub struct Dates(pub Arc<Forms>);

impl Parse for Dates {
    type Arrow = Date32Type;

    fn parse(&self, value: &[u8]) -> Option<i32> {
        self.0.date(value)
    }
}

/// Times of day in microseconds. One that is finer is refused.
pub struct Times;

impl Parse for Times {
    type Arrow = Time64MicrosecondType;

    fn parse(&self, value: &[u8]) -> Option<i64> {
        let nanos = iso_time_of_day(value)?;
        (nanos % 1000 == 0).then_some(nanos / 1000)
    }
}

/// Timestamps of a unit. A value that is finer than the unit is refused.
pub struct Stamps<T> {
    zone: Option<Tz>,
    /// Whether a local time is taken for one in the zone. If the type was guessed, it is not.
    local_in_zone: bool,
    forms: Arc<Forms>,
    of: PhantomData<fn() -> T>,
}

impl<T> Stamps<T> {
    /// In that zone, if any.
    pub fn new(zone: Option<&str>, given: bool, forms: Arc<Forms>) -> Self {
        let zone = zone.and_then(|zone| zone.parse().ok());
        Self { zone, local_in_zone: given, forms, of: PhantomData }
    }

    /// Seconds since the epoch: of UTC if the type has a zone, else of the local clock.
    fn seconds(&self, stamp: &Stamp) -> Option<i64> {
        match (&self.zone, stamp.offset) {
            (None, None) => Some(stamp.seconds),
            (Some(_), Some(offset)) => Some(stamp.seconds - i64::from(offset)),
            (Some(zone), None) if self.local_in_zone => {
                let local = DateTime::from_timestamp(stamp.seconds, 0)?.naive_utc();
                // When clocks are set back an hour comes twice: the first is meant. When they are set forward one is
                // left out: then there is no such time.
                Some(zone.from_local_datetime(&local).earliest()?.timestamp())
            }
            _ => None,
        }
    }
}

impl<T: ArrowTimestampType> Parse for Stamps<T> {
    type Arrow = T;

    fn parse(&self, value: &[u8]) -> Option<i64> {
        let stamp = self.forms.stamp(value)?;
        let per_second: i64 = match T::UNIT {
            TimeUnit::Second => 1,
            TimeUnit::Millisecond => 1_000,
            TimeUnit::Microsecond => 1_000_000,
            TimeUnit::Nanosecond => 1_000_000_000,
        };
        let (nanos, step) = (i64::from(stamp.nanos), 1_000_000_000 / per_second);
        if nanos % step != 0 {
            return None;
        }
        self.seconds(&stamp)?.checked_mul(per_second)?.checked_add(nanos / step)
    }
}
