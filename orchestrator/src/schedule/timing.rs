//! The times of a cron in a time zone, also where its clocks are changed. Pure.
//!
//! A cron that names hours goes by the clock on the wall: each of its times comes once on its day, one that the clocks
//! leave out as much later as they were put forward, one that they show twice the first time. A cron of every hour goes by
//! the hours that pass: one that is left out has no times, one that is shown twice has them twice.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use flight_common::{Fault, params};
use std::str::FromStr;

const FIELDS: [&str; 5] = ["minute", "hour", "day", "month", "weekday"];
const HOURS: usize = 24;
/// Clocks are not changed twice within this time, in milliseconds.
const DAY: i64 = 24 * 3_600_000;

/// Times by cron, in a time zone. Times are milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct Timing {
    cron: Cron,
    zone: Tz,
    /// Whether it comes in every hour.
    hourly: bool,
}

/// What the clock on the wall shows, as if it were UTC.
type Wall = DateTime<Utc>;

impl Timing {
    /// The times of this cron in this zone.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for what is neither.
    pub fn new(cron: &str, zone: &str) -> Result<Self, Fault> {
        let parsed = Tz::from_str(zone).map_err(|_| {
            let names = chrono_tz::TZ_VARIANTS.iter().map(|known| known.name());
            let help = match params::nearest(zone, names) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "write it as in Europe/Berlin, America/New_York or UTC".to_owned(),
            };
            Fault::bad_params(format!("there is no time zone \"{zone}\"")).help(help)
        })?;
        let cron = parse(cron).map_err(|why| {
            Fault::bad_params(format!("\"{cron}\" is no cron: {why}"))
                .help("write minute, hour, day, month, weekday, as in `0 6 * * MON-FRI`")
        })?;
        let hourly = cron.pattern.hours.values().len() == HOURS;
        Ok(Self { cron, zone: parsed, hourly })
    }

    /// The first time after this one; nothing if there is none in the foreseeable future.
    pub fn next_after(&self, after: i64) -> Option<i64> {
        if self.hourly {
            let next = self.cron.find_next_occurrence(&self.local(after), false).ok()?;
            return Some(next.timestamp_millis()).filter(|next| *next > after);
        }
        // What the clocks have just left out may still come.
        let left_out = (self.offset(after) - self.offset(after - DAY)).max(TimeDelta::zero());
        let mut wall = self.wall(after) - left_out;
        let mut first: Option<i64> = None;
        while let Ok(next) = self.cron.find_next_occurrence(&wall, false) {
            if first.is_some_and(|first| next > self.wall(first)) {
                break;
            }
            wall = next;
            let at = self.at(wall);
            if at > after {
                first = Some(first.map_or(at, |first| first.min(at)));
            }
        }
        first
    }

    /// The last time up to this one.
    pub fn last_until(&self, until: i64) -> Option<i64> {
        if self.hourly {
            let last = self.cron.find_previous_occurrence(&self.local(until), true).ok()?;
            return Some(last.timestamp_millis()).filter(|last| *last <= until);
        }
        // What the clocks show again has come when they showed it first.
        let again = (self.offset(until - DAY) - self.offset(until)).max(TimeDelta::zero());
        let mut wall = self.cron.find_previous_occurrence(&(self.wall(until) + again), true).ok()?;
        while self.at(wall) > until {
            wall = self.cron.find_previous_occurrence(&wall, false).ok()?;
        }
        let mut last = self.at(wall);
        // One that the clocks have left out may have come after it.
        while let Some(next) = self.next_after(last).filter(|next| *next <= until) {
            last = next;
        }
        Some(last)
    }

    /// The times after the first and up to the second, at most so many.
    pub fn between(&self, after: i64, until: i64, most: usize) -> Vec<i64> {
        let mut times = Vec::new();
        let mut last = after;
        while times.len() < most {
            match self.next_after(last) {
                Some(next) if next <= until => times.push(next),
                _ => break,
            }
            last = times.last().copied().unwrap_or(until);
        }
        times
    }

    /// A time, as the clocks of the zone show it.
    pub fn local(&self, millis: i64) -> DateTime<Tz> {
        utc(millis).with_timezone(&self.zone)
    }

    /// A moment as people write it: a time with its offset, as in `2026-03-01T06:00:00Z`; one without, as clocks in the zone
    /// show it; or a date, which is its midnight there.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for what is none of them.
    pub fn moment(&self, text: &str) -> Result<i64, Fault> {
        if let Ok(date) = text.parse::<NaiveDate>() {
            return Ok(self.at(date.and_time(NaiveTime::MIN).and_utc()));
        }
        let without_seconds = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M");
        if let Ok(local) = text.parse::<NaiveDateTime>().or_else(|_| without_seconds()) {
            return Ok(self.at(local.and_utc()));
        }
        let without_seconds = || DateTime::parse_from_str(&text.replace('Z', "+00:00"), "%Y-%m-%dT%H:%M%:z");
        let time = DateTime::parse_from_rfc3339(text).or_else(|_| without_seconds());
        time.map(|time| time.timestamp_millis()).map_err(|_| {
            Fault::bad_params(format!("\"{text}\" is no time"))
                .help("write it as in 2026-03-01T06:00:00Z, or in the schedule's time zone: 2026-03-01T06:00, or 2026-03-01 for midnight")
        })
    }

    /// In words.
    pub fn describe(&self) -> String {
        self.cron.describe()
    }

    fn wall(&self, millis: i64) -> Wall {
        self.local(millis).naive_local().and_utc()
    }

    /// When the clock on the wall shows this first; if it never does, as much later as it was put forward.
    fn at(&self, wall: Wall) -> i64 {
        let shown = self.zone.from_local_datetime(&wall.naive_utc()).earliest();
        let moved = || wall - self.offset(wall.timestamp_millis() - DAY);
        shown.map_or_else(|| moved().timestamp_millis(), |time| time.timestamp_millis())
    }

    /// How far the clocks are ahead of UTC.
    fn offset(&self, millis: i64) -> TimeDelta {
        let offset = self.zone.offset_from_utc_datetime(&utc(millis).naive_utc());
        TimeDelta::seconds(offset.fix().local_minus_utc().into())
    }
}

fn parse(cron: &str) -> Result<Cron, String> {
    let fields: Vec<&str> = cron.split_whitespace().collect();
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    if cron.trim_start().starts_with('@') {
        return parser.parse(cron).map_err(|_| "there is no such nickname".to_owned());
    }
    if fields.len() != FIELDS.len() {
        return Err(format!("it has {} fields, not {}", fields.len(), FIELDS.len()));
    }
    parser.parse(cron).map_err(|error| {
        let is_wrong = |place: &usize| {
            let mut alone = ["*"; FIELDS.len()];
            alone[*place] = fields[*place];
            parser.parse(&alone.join(" ")).is_err()
        };
        match (0..FIELDS.len()).find(is_wrong) {
            Some(place) => format!("\"{}\" is no {}", fields[place], FIELDS[place]),
            None => error.to_string(),
        }
    })
}

fn utc(millis: i64) -> DateTime<Utc> {
    Utc.timestamp_millis_opt(millis).single().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERLIN: &str = "Europe/Berlin";
    const LORD_HOWE: &str = "Australia/Lord_Howe";

    fn timing(cron: &str, zone: &str) -> Timing {
        Timing::new(cron, zone).expect("a cron")
    }

    /// The times of a cron on a day, as the clocks of its zone show them. They are the same if found from the other end.
    fn on(cron: &str, zone: &str, day: &str) -> Vec<String> {
        let timing = timing(cron, zone);
        let date: NaiveDate = day.parse().expect("a day");
        let midnight = |date: NaiveDate| timing.at(date.and_time(NaiveTime::MIN).and_utc());
        let (from, until) = (midnight(date) - 1, midnight(date.succ_opt().expect("a day")) - 1);
        let times = timing.between(from, until, 1000);
        let mut backwards: Vec<i64> = Vec::new();
        let mut until = until;
        while let Some(last) = timing.last_until(until).filter(|last| *last > from) {
            backwards.insert(0, last);
            until = last - 1;
        }
        assert_eq!(times, backwards);
        times.iter().map(|time| timing.local(*time).format("%H:%M%:::z").to_string()).collect()
    }

    #[test]
    fn a_time_that_is_left_out_comes_as_much_later_as_the_clocks_are_put_forward() {
        // In Berlin, clocks go from 2:00 to 3:00 on 29 March 2026.
        let spring = |cron| on(cron, BERLIN, "2026-03-29");
        assert_eq!(spring("30 2 * * *"), ["03:30+02"]);
        assert_eq!(spring("30 2,5 * * *"), ["03:30+02", "05:30+02"]);
        assert_eq!(spring("0,30 2 * * *"), ["03:00+02", "03:30+02"]);
        assert_eq!(spring("0 */2 * * *")[..3], ["00:00+01", "03:00+02", "04:00+02"]);
        // What falls on another time comes with it, and what comes later comes in order.
        assert_eq!(spring("30 2,3 * * *"), ["03:30+02"]);
        assert_eq!(spring("45 2,3,4 * * *"), ["03:45+02", "04:45+02"]);
        assert_eq!(spring("0,45 2,3 * * *"), ["03:00+02", "03:45+02"]);
        assert_eq!(on("30 2 * * *", BERLIN, "2026-03-28"), ["02:30+01"]);
        assert_eq!(on("30 2 * * *", BERLIN, "2026-03-30"), ["02:30+02"]);
    }

    #[test]
    fn a_time_that_comes_twice_comes_once() {
        // In Berlin, clocks go from 3:00 back to 2:00 on 25 October 2026.
        let autumn = |cron| on(cron, BERLIN, "2026-10-25");
        assert_eq!(autumn("30 2 * * *"), ["02:30+02"]);
        assert_eq!(autumn("30 2,5 * * *"), ["02:30+02", "05:30+01"]);
        assert_eq!(autumn("0,30 2 * * *"), ["02:00+02", "02:30+02"]);
        assert_eq!(autumn("0 1-3 * * *"), ["01:00+02", "02:00+02", "03:00+01"]);
    }

    #[test]
    fn clocks_of_the_south_are_changed_by_half_an_hour() {
        // On Lord Howe Island, clocks go from 2:00 to 2:30 on 4 October 2026, and from 2:00 back to 1:30 on 5 April.
        assert_eq!(on("15 2 * * *", LORD_HOWE, "2026-10-04"), ["02:45+11"]);
        assert_eq!(on("15,40 2,5 * * *", LORD_HOWE, "2026-10-04"), ["02:40+11", "02:45+11", "05:15+11", "05:40+11"]);
        assert_eq!(on("0,45 1 * * *", LORD_HOWE, "2026-04-05"), ["01:00+11", "01:45+11"]);
        let quarters = timing("*/15 * * * *", LORD_HOWE);
        for (day, count) in [("2026-10-04", 94), ("2026-04-05", 98)] {
            assert_eq!(on("*/15 * * * *", LORD_HOWE, day).len(), count);
            let from = quarters.moment(day).expect("a day");
            assert!(quarters.between(from, from + DAY, 90).windows(2).all(|two| two[1] - two[0] == 900_000), "{day}");
        }
    }

    #[test]
    fn midnight_may_be_left_out() {
        // In Cairo, clocks go from 0:00 to 1:00 on 24 April 2026.
        assert_eq!(on("0 0 * * *", "Africa/Cairo", "2026-04-24"), ["01:00+03"]);
    }

    #[test]
    fn a_zone_that_changes_no_clocks_has_each_time_once() {
        for day in ["2026-03-29", "2026-10-25"] {
            assert_eq!(on("30 2,5 * * *", "Asia/Tokyo", day), ["02:30+09", "05:30+09"]);
        }
    }

    #[test]
    fn every_quarter_of_an_hour_goes_on_through_both() {
        for cron in ["*/15 * * * *", "*/15 0-23 * * *"] {
            let timing = timing(cron, BERLIN);
            for (day, hours) in [("2026-03-29", 23), ("2026-10-25", 25)] {
                let from = timing.moment(day).expect("a day");
                let times = timing.between(from, from + hours * 3_600_000, 1000);
                assert_eq!(times.len(), hours as usize * 4);
                assert!(times.windows(2).all(|two| two[1] - two[0] == 900_000), "{day}");
            }
        }
    }

    #[test]
    fn days_and_months_are_those_of_the_zone() {
        let next = |timing: &Timing, after: &str| {
            let after = timing.moment(after).expect("a time");
            timing.local(timing.next_after(after).expect("a time")).to_rfc3339()
        };
        let weekdays = timing("0 6 * * MON-FRI", "America/New_York");
        assert_eq!(next(&weekdays, "2026-11-20T23:00:00Z"), "2026-11-23T06:00:00-05:00");
        assert_eq!(next(&timing("0 0 L * *", "UTC"), "2026-02-01T00:00:00Z"), "2026-02-28T00:00:00+00:00");
        assert_eq!(next(&timing("@daily", "UTC"), "2026-02-01T00:00:00Z"), "2026-02-02T00:00:00+00:00");
    }

    #[test]
    fn what_says_no_zone_is_in_that_of_the_schedule() {
        let moment = |text| timing("0 6 * * *", BERLIN).moment(text);
        assert_eq!(moment("2026-07-01"), moment("2026-06-30T22:00:00Z"));
        for local in ["2026-07-01T06:30", "2026-07-01T06:30:00"] {
            assert_eq!(moment(local), moment("2026-07-01T04:30:00Z"));
        }
        for zoned in ["2026-07-01T04:30Z", "2026-07-01T05:30+01:00", "2026-07-01T05:30:00+01:00"] {
            assert_eq!(moment(zoned), moment("2026-07-01T04:30:00Z"), "{zoned}");
        }
        let told = moment("yesterday").expect_err("no time");
        assert!(told.help_text().is_some_and(|help| help.contains("2026-03-01 for midnight")), "{told:?}");
    }

    #[test]
    fn mistakes_are_told() {
        for (cron, fields) in [("0 6 * *", "4 fields"), ("* * * * * *", "6 fields"), ("0 0 6 * * * 2026", "7 fields")] {
            let told = Timing::new(cron, "UTC").expect_err("no cron").to_string();
            assert!(told.contains(fields), "{told}");
        }
        let wrong = [
            ("0 25 * * *", "\"25\" is no hour"),
            ("0 6 * * XYZ", "\"XYZ\" is no weekday"),
            ("0 6 1-40 * *", "\"1-40\" is no day"),
            ("@sometimes", "there is no such nickname"),
        ];
        for (cron, why) in wrong {
            let told = Timing::new(cron, "UTC").expect_err("no cron").to_string();
            assert!(told.ends_with(&format!("\"{cron}\" is no cron: {why}")), "{told}");
        }
        let fault = Timing::new("0 6 * * *", "Europe/Berln").expect_err("no such zone");
        assert!(fault.help_text().is_some_and(|help| help.contains(BERLIN)), "{:?}", fault.help_text());
        assert_eq!(timing("0 0 30 2 *", "UTC").next_after(0), None);
    }
}
