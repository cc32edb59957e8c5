//! What an answer means that is no success, and whether another try may do better. Pure.

use crate::chat::Answer;
use flight_common::Fault;
use flight_common::outbound::retry_after;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use std::time::{Duration, SystemTime};

/// A request that failed.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// What to tell if it stays so.
    pub fault: Fault,
    /// What to do about it.
    pub reach: Reach,
}

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It may pass; after the pause that the server asked for, if it did.
    Passing(Option<Duration>),
    /// It may pass. If it does not, no row is to blame.
    PassingForAll,
    /// This prompt alone will not do.
    Prompt,
    /// Every request would fail.
    All,
}

impl Trouble {
    /// A failure that may pass.
    pub fn passing(fault: Fault) -> Self {
        Self { fault, reach: Reach::Passing(None) }
    }

    /// A prompt that will not do.
    pub fn prompt(fault: Fault) -> Self {
        Self { fault, reach: Reach::Prompt }
    }

    /// A failure of every request.
    pub fn all(fault: Fault) -> Self {
        Self { fault, reach: Reach::All }
    }

    /// Whether it ends the run whatever is to become of single rows.
    pub fn ends_all(&self) -> bool {
        matches!(self.reach, Reach::All | Reach::PassingForAll)
    }

    /// What an answer means that is no success.
    pub fn of_answer(status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Self {
        let complaint = serde_json::from_slice::<Answer>(body).ok().and_then(|answer| answer.error);
        let said = complaint.as_ref().map(|complaint| complaint.message()).filter(|message| !message.is_empty());
        let message = match said {
            Some(said) => format!("the model server answered {status}: {}", shortened(said)),
            None => format!("the model server answered {status}"),
        };
        let code = complaint.as_ref().map(|complaint| complaint.code()).unwrap_or_default();
        let delay = retry_after(headers, now);
        match status.as_u16() {
            401 => Self::all(Fault::denied(message).help("check `api_key`, or QUIVER_LLM_API_KEY")),
            402 => Self::all(Fault::denied(message).help("the account of the key has nothing left")),
            403 => Self::all(Fault::denied(message).help("check what the key may do")),
            404 => Self::all(Fault::not_found(message).help("check `model`, and the address of the server")),
            429 if code == "insufficient_quota" => {
                Self::all(Fault::busy(message).help("the account of the key has nothing left"))
            }
            429 => Self::later(Fault::busy(message).help("set `requests_per_minute`, or less `concurrency`"), delay),
            501 | 505 => Self::all(Fault::upstream(message).help("it does not speak the chat completions API")),
            408 | 409 | 425 | 500..=599 => {
                Self::later(Fault::upstream(message).help("the server may do better later"), delay)
            }
            400..=499 => Self::prompt(Fault::bad_data(message).help("look at what the prompt is for this row")),
            _ => Self::all(Fault::upstream(message).help("the address of the server is not that of its API")),
        }
    }

    fn later(fault: Fault, delay: Option<Duration>) -> Self {
        let fault = match delay {
            Some(delay) => fault.retry_after(delay),
            None => fault,
        };
        Self { fault, reach: Reach::Passing(delay) }
    }
}

/// A message of others, in one line that is not too long.
pub fn shortened(text: &str) -> String {
    const MOST: usize = 400;
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeZone, Utc};
    use flight_common::FaultKind;

    fn now() -> SystemTime {
        Utc.with_ymd_and_hms(2024, 2, 29, 12, 0, 0).single().expect("a time").into()
    }

    fn of(status: u16, headers: &[(&'static str, &str)], body: &str) -> Trouble {
        let status = StatusCode::from_u16(status).expect("a status");
        let headers =
            headers.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        Trouble::of_answer(status, &headers.collect(), body.as_bytes(), now())
    }

    #[test]
    fn a_status_tells_how_far_it_reaches() {
        for (status, reach, kind) in [
            (302, Reach::All, FaultKind::Upstream),
            (400, Reach::Prompt, FaultKind::BadData),
            (401, Reach::All, FaultKind::Denied),
            (404, Reach::All, FaultKind::NotFound),
            (408, Reach::Passing(None), FaultKind::Upstream),
            (413, Reach::Prompt, FaultKind::BadData),
            (429, Reach::Passing(None), FaultKind::Busy),
            (500, Reach::Passing(None), FaultKind::Upstream),
            (501, Reach::All, FaultKind::Upstream),
            (503, Reach::Passing(None), FaultKind::Upstream),
        ] {
            let trouble = of(status, &[], "no JSON");
            assert_eq!((trouble.reach, trouble.fault.kind()), (reach, kind), "{status}");
            assert!(trouble.fault.help_text().is_some(), "{status}");
        }
    }

    #[test]
    fn what_the_server_says_is_passed_on_in_one_line() {
        let body = r#"{"error": {"message": "too\nlong", "code": "context_length_exceeded"}}"#;
        assert_eq!(of(400, &[], body).fault.message(), "the model server answered 400 Bad Request: too long");
        let long = format!(r#"{{"error": {{"message": "{}"}}}}"#, "ü".repeat(9000));
        assert!(of(400, &[], &long).fault.message().len() < 1000);
    }

    #[test]
    fn an_account_without_money_is_not_asked_again() {
        let body = r#"{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}"#;
        assert_eq!(of(429, &[("retry-after", "1")], body).reach, Reach::All);
    }

    #[test]
    fn a_pause_is_told_in_seconds_or_milliseconds_or_as_a_date() {
        let after = |headers: &[(&'static str, &str)]| of(429, headers, "").reach;
        let passing = |millis| Reach::Passing(Some(Duration::from_millis(millis)));
        assert_eq!(after(&[("retry-after", "7")]), passing(7000));
        assert_eq!(after(&[("retry-after", "0.5")]), passing(500));
        assert_eq!(after(&[("retry-after", "9"), ("retry-after-ms", "20")]), passing(20));
        assert_eq!(after(&[("retry-after", "Thu, 29 Feb 2024 12:00:30 GMT")]), passing(30_000));
        assert_eq!(after(&[("retry-after", "Thu, 29 Feb 2024 11:00:00 GMT")]), passing(0));
        for wrong in ["soon", "-1"] {
            assert_eq!(after(&[("retry-after", wrong)]), Reach::Passing(None), "{wrong}");
        }
    }
}
