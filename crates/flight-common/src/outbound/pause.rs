//! How long a server wants to be left alone.

use chrono::NaiveDateTime;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use std::time::{Duration, SystemTime};

/// The longest pause that is told, a year: a server may ask for one that no clock can be set to.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Dates as RFC 9110, 5.6.7, has them; the last two are of old servers.
const DATES: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// The pause that a server asks for, a year at most: milliseconds (as OpenAI has it), seconds, or a date.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let exact = text("retry-after-ms").and_then(|text| lasting(text, 1e3));
    exact.or_else(|| {
        let text = text(RETRY_AFTER.as_str())?;
        lasting(text, 1.0).or_else(|| until(text, now))
    })
}

/// So many parts of a second.
fn lasting(text: &str, parts: f64) -> Option<Duration> {
    let seconds = text.parse::<f64>().ok()? / parts;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())))
}

fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let date = DATES.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    let pause = SystemTime::from(date.and_utc()).duration_since(now).unwrap_or_default();
    Some(pause.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_told_in_seconds_or_milliseconds_or_as_a_date() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let told = |name: &'static str, text: &str| {
            retry_after(&HeaderMap::from_iter([(name.parse().expect("a name"), text.parse().expect("a value"))]), now)
        };
        for (text, millis) in [
            ("7", 7000),
            (" 0.5 ", 500),
            ("Sun, 06 Nov 1994 08:49:47 GMT", 10_000),
            ("Sunday, 06-Nov-94 08:49:47 GMT", 10_000),
            ("Sun Nov  6 08:49:47 1994", 10_000),
            ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
        ] {
            assert_eq!(told("retry-after", text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(told("retry-after-ms", "20"), Some(Duration::from_millis(20)));
        for for_ever in ["18446744073709551615", "9223372036854775807", "1e300", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(told("retry-after", for_ever), Some(LONGEST), "{for_ever}");
        }
        for wrong in ["soon", "-1", "nan", ""] {
            assert_eq!(told("retry-after", wrong), None, "{wrong}");
        }
    }
}
