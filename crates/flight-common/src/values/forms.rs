//! Dates and times as text: ISO 8601 by hand, other forms by `chrono`.

use super::number::up_to_eight_digits;
use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike};

const DAY: i64 = 86_400;

/// A date and time of day as a text states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Seconds since 1970-01-01T00:00:00 on the clock of the place.
    pub seconds: i64,
    /// Part of the second.
    pub nanos: u32,
    /// Seconds by which that clock is ahead of UTC, if the text says so.
    pub offset: Option<i32>,
}

/// How dates and timestamps are written, where it is not ISO 8601.
#[derive(Clone, Debug, Default)]
pub struct Forms {
    /// Of dates.
    pub date: Option<Form>,
    /// Of timestamps.
    pub timestamp: Option<Form>,
}

impl Forms {
    /// Days since 1970-01-01.
    pub fn date(&self, text: &[u8]) -> Option<i32> {
        match &self.date {
            None => iso_date(text),
            Some(form) => {
                let date = form.read(text)?.to_naive_date().ok()?;
                i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
            }
        }
    }

    /// A date and time.
    pub fn stamp(&self, text: &[u8]) -> Option<Stamp> {
        match &self.timestamp {
            None => iso_stamp(text),
            Some(form) => {
                let parsed = form.read(text)?;
                let offset = parsed.offset();
                let time = match parsed.to_naive_datetime_with_offset(offset.unwrap_or(0)) {
                    Ok(time) => time,
                    // A form of dates alone means midnight.
                    Err(_) if parsed.hour_mod_12().is_none() => parsed.to_naive_date().ok()?.and_time(NaiveTime::MIN),
                    Err(_) => return None,
                };
                Some(Stamp { seconds: seconds(time), nanos: time.nanosecond() % 1_000_000_000, offset })
            }
        }
    }
}

fn seconds(time: NaiveDateTime) -> i64 {
    time.and_utc().timestamp()
}

/// A `strftime` pattern.
#[derive(Clone, Debug)]
pub struct Form(Vec<Item<'static>>);

impl Form {
    /// Reads a pattern, or says that it is none.
    pub fn new(pattern: &str) -> Option<Self> {
        let items = StrftimeItems::new(pattern).parse_to_owned().ok()?;
        let speaks = items.iter().any(|item| matches!(item, Item::Numeric(..) | Item::Fixed(_)));
        speaks.then_some(Self(items))
    }

    fn read(&self, text: &[u8]) -> Option<Parsed> {
        let mut parsed = Parsed::new();
        parse(&mut parsed, std::str::from_utf8(text).ok()?, self.0.iter()).ok()?;
        Some(parsed)
    }
}

/// `2024-02-29` as days since 1970-01-01.
pub fn iso_date(text: &[u8]) -> Option<i32> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *text else { return None };
    let (number, true) = up_to_eight_digits(&[y0, y1, y2, y3, m0, m1, d0, d1], 0, 8) else { return None };
    let number = number.cast_signed();
    let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=length).contains(&day).then(|| days(year, month, day))
}

/// After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (`days_from_civil`), for years from 0 on: years
/// begin in March, so that the leap day comes last.
fn days(year: i32, month: i32, day: i32) -> i32 {
    // 400 years are added so that the year before March of year 0 is no negative one.
    let year = year + 400 - i32::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468 - 146_097
}

/// `12:30`, `12:30:05` or `12:30:05.123456789` as seconds and nanoseconds of the day, and what follows.
fn iso_time(text: &[u8]) -> Option<(i64, u32, &[u8])> {
    let (&[h0, h1, b':', m0, m1], rest) = text.split_first_chunk::<5>()? else { return None };
    let (hour, minute) = (two(h0, h1)?, two(m0, m1)?);
    let (second, rest) = match rest {
        [b':', s0, s1, rest @ ..] => (two(*s0, *s1)?, rest),
        rest => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    let [b'.' | b',', fraction @ ..] = rest else { return Some((seconds, 0, rest)) };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let nine = fraction[..digits].iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanos = nine.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    // Digits finer than a nanosecond would be lost.
    let exact = fraction[..digits].iter().skip(9).all(|&digit| digit == b'0');
    (digits > 0 && exact).then_some((seconds, nanos, &fraction[digits..]))
}

/// A time of day as nanoseconds since midnight.
pub fn iso_time_of_day(text: &[u8]) -> Option<i64> {
    let (seconds, nanos, rest) = iso_time(text)?;
    rest.is_empty().then_some(seconds * 1_000_000_000 + i64::from(nanos))
}

/// `2024-02-29T12:30:05Z`, with a space for the `T`, with parts of a second, with an offset, or the date alone.
pub fn iso_stamp(text: &[u8]) -> Option<Stamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let midnight = i64::from(iso_date(date)?) * DAY;
    let [b'T' | b't' | b' ', time @ ..] = rest else {
        return rest.is_empty().then_some(Stamp { seconds: midnight, nanos: 0, offset: None });
    };
    let (seconds, nanos, zone) = iso_time(time)?;
    let offset = match zone {
        [] => None,
        _ => Some(iso_offset(zone.trim_ascii_start())?),
    };
    Some(Stamp { seconds: midnight + seconds, nanos, offset })
}

/// `Z`, `UTC`, `+01`, `+0130` or `+01:30` in seconds.
fn iso_offset(text: &[u8]) -> Option<i32> {
    let (sign, rest) = match text {
        b"Z" | b"z" | b"UTC" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match *rest {
        [h0, h1] => (two(h0, h1)?, 0),
        [h0, h1, m0, m1] | [h0, h1, b':', m0, m1] => (two(h0, h1)?, two(m0, m1)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[inline]
fn two(tens: u8, ones: u8) -> Option<i32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_date_is_the_day_that_chrono_says() {
        let mut date = NaiveDate::from_ymd_opt(0, 1, 1).expect("a date");
        let last = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a date");
        while date < last {
            let wanted = i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).expect("few");
            assert_eq!(iso_date(date.format("%Y-%m-%d").to_string().as_bytes()), Some(wanted), "{date}");
            date += chrono::Duration::days(13);
        }
    }

    #[test]
    fn what_is_no_day_is_no_date() {
        for text in ["2023-02-29", "2024-13-01", "2024-00-10", "2024-04-31", "2024-1-1", "24-01-01", "2024-01-01 "] {
            assert_eq!(iso_date(text.as_bytes()), None, "{text}");
        }
        assert!(iso_date(b"2000-02-29").is_some() && iso_date(b"1900-02-29").is_none());
    }

    #[test]
    fn times_have_parts_and_offsets() {
        let stamp = |text: &str| iso_stamp(text.as_bytes()).map(|stamp| (stamp.seconds, stamp.nanos, stamp.offset));
        assert_eq!(stamp("1970-01-02T00:00:01"), Some((86_401, 0, None)));
        assert_eq!(stamp("1970-01-01 10:20:30.5+01:30"), Some((37_230, 500_000_000, Some(5_400))));
        assert_eq!(stamp("1970-01-01T00:00Z"), Some((0, 0, Some(0))));
        assert_eq!(stamp("1970-01-01 00:00:00.123456789 UTC"), Some((0, 123_456_789, Some(0))));
        assert_eq!(stamp("1969-12-31"), Some((-86_400, 0, None)));
        for wrong in
            ["1970-01-01T", "1970-01-01T25:00", "1970-01-01T10:00:00.", "1970-01-01X10:00", "1970-01-01T10:00+1"]
        {
            assert_eq!(stamp(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn other_forms_are_read_by_their_pattern() {
        let forms = Forms { date: Form::new("%d.%m.%Y"), timestamp: Form::new("%d/%m/%Y %H:%M") };
        assert_eq!(forms.date(b"02.01.1970"), Some(1));
        assert_eq!(forms.date(b"1970-01-02"), None);
        assert_eq!(forms.stamp(b"01/01/1970 00:01"), Some(Stamp { seconds: 60, nanos: 0, offset: None }));
        let zoned = Forms { date: None, timestamp: Form::new("%Y-%m-%d %H:%M:%S %z") };
        assert_eq!(
            zoned.stamp(b"1970-01-01 01:00:00 +0100"),
            Some(Stamp { seconds: 3600, nanos: 0, offset: Some(3600) })
        );
        assert!(Form::new("%Q").is_none() && Form::new("today").is_none());
    }
}
