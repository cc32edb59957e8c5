//! Why a request failed, and whether another try may do better. Pure.

use flight_common::Fault;
use flight_common::outbound::retry_after;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use std::time::{Duration, SystemTime};

/// A request that failed.
#[derive(Debug)]
pub struct Failure {
    /// What to tell if it stays so.
    pub fault: Fault,
    /// Whether to try again.
    pub again: Again,
}

/// Whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It would fail in the same way.
    Never,
    /// After a pause of our own choice.
    Soon,
    /// After the pause that the server asked for.
    After(Duration),
}

impl Failure {
    /// One that another try may mend.
    pub fn passing(fault: Fault) -> Self {
        Self { fault, again: Again::Soon }
    }

    /// What an answer means that is neither a success nor a redirect.
    pub fn of_answer(host: &str, status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Self {
        let delay = retry_after(headers, now);
        let wait = delay.map(|delay| format!(", and wants to be asked again in {} s", delay.as_secs()));
        let message = format!("{host} answered {status}{}", wait.unwrap_or_default());
        let fault = match status.as_u16() {
            401 => Fault::denied(message).help("check `auth`"),
            403 => Fault::denied(message).help("check `auth`, and what it may read"),
            404 | 410 => Fault::not_found(message).help("check the address"),
            429 => Fault::busy(message).help("ask less often, or for larger pages"),
            408 | 502..=504 => {
                Fault::upstream(message).help("it may do better later: raise `retries`, or run again then")
            }
            500..=599 => Fault::upstream(message)
                .help("it is asked once only for this: look for why in its log, or in what it is asked"),
            400..=499 => Fault::bad_params(message).help("check the address, `params`, `headers` and `body`"),
            _ => Fault::upstream(message).help("the answer is no success"),
        };
        let again = match (status.as_u16(), delay) {
            (408 | 429 | 502..=504, Some(delay)) => Again::After(delay),
            (408 | 429 | 502..=504, None) => Again::Soon,
            _ => Again::Never,
        };
        let fault = match delay {
            Some(delay) => fault.retry_after(delay),
            None => fault,
        };
        Self { fault, again }
    }
}

impl From<Fault> for Failure {
    /// A fault of what was asked or answered: it would come again.
    fn from(fault: Fault) -> Self {
        Self { fault, again: Again::Never }
    }
}

/// The pause before another try, the first being number 0: longer each time, and not the same for all who wait for the
/// same server.
pub fn pause(number: u32, chance: f64) -> Duration {
    const FIRST: f64 = 0.4;
    const LONGEST: f64 = 30.0;
    let whole = (FIRST * 2f64.powi(number.min(16).cast_signed())).min(LONGEST);
    Duration::from_secs_f64(whole * (0.75 + chance / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::FaultKind;
    use reqwest::header::{HeaderValue, RETRY_AFTER};

    fn judged(status: u16, after: Option<&str>) -> (FaultKind, Again) {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(RETRY_AFTER, HeaderValue::from_str(after).expect("text"));
        }
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        let failure = Failure::of_answer("h", StatusCode::from_u16(status).expect("a status"), &headers, now);
        assert_eq!(failure.fault.retry_delay().is_some(), after.is_some_and(|after| after != "soon"));
        (failure.fault.kind(), failure.again)
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert_eq!(judged(503, None), (FaultKind::Upstream, Again::Soon));
        assert_eq!(judged(429, Some("7")), (FaultKind::Busy, Again::After(Duration::from_secs(7))));
        assert_eq!(judged(429, Some("soon")), (FaultKind::Busy, Again::Soon));
        let date = "Sun, 06 Nov 1994 08:49:47 GMT";
        assert_eq!(judged(503, Some(date)), (FaultKind::Upstream, Again::After(Duration::from_secs(10))));
        for (status, kind) in [
            (400, FaultKind::BadParams),
            (401, FaultKind::Denied),
            (403, FaultKind::Denied),
            (404, FaultKind::NotFound),
            (500, FaultKind::Upstream),
            (304, FaultKind::Upstream),
        ] {
            assert_eq!(judged(status, None), (kind, Again::Never));
        }
    }

    #[test]
    fn what_is_not_tried_again_is_not_said_to_do_better_later() {
        let told = |status| {
            let status = StatusCode::from_u16(status).expect("a status");
            Failure::of_answer("h", status, &HeaderMap::new(), SystemTime::now()).fault
        };
        for status in [500, 501, 505] {
            let fault = told(status);
            assert!(fault.help_text().is_some_and(|help| help.contains("once only")), "{fault:?}");
        }
        for status in [408, 502, 503, 504] {
            let fault = told(status);
            assert!(fault.help_text().is_some_and(|help| help.contains("`retries`")), "{fault:?}");
        }
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        assert!(pause(0, 0.0) >= Duration::from_millis(300) && pause(0, 1.0) <= Duration::from_millis(500));
        assert!(pause(3, 0.5) > 4 * pause(0, 0.5));
        assert!(pause(u32::MAX, 1.0) < Duration::from_secs(40));
    }
}
