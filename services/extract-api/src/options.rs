//! The parameters, checked and in the form in which they are used. All that is wrong is told at once.

use crate::hidden::Hidden;
use crate::kind::Kind;
use crate::params::{self, Auth, Format, KeyPlace, LegacyAuth, Pagination, Params, UnknownFields};
use crate::target::{Credential, Target, header, set_query};
use crate::turn::Paging;
use bytes::Bytes;
use flight_common::params::{bad_params, did_you_mean, pointer};
use flight_common::values::{Form, Forms, NullWords, USUAL_NULLS};
use flight_common::{Fault, Violation};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// What to read, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is asked.
    pub target: Target,
    /// The parameter that tells the address, as a JSON pointer.
    pub pointer: &'static str,
    /// The form of the answer, if the user told it.
    pub format: Option<Format>,
    /// Where the records are.
    pub path: RecordsPath,
    /// How there is more than one page.
    pub paging: Paging,
    /// Pages at most.
    pub max_pages: u64,
    /// Types by the names of columns.
    pub types: Vec<(String, Kind)>,
    /// Records to guess from when planning; 0: no request.
    pub sample_rows: u64,
    /// What to do about other fields.
    pub unknown: UnknownFields,
    /// csv: the character between fields, if the user told it.
    pub delimiter: Option<u8>,
    /// csv: how nulls are spelled.
    pub nulls: NullWords,
    /// How dates and timestamps are written.
    pub forms: Arc<Forms>,
    /// What it may take.
    pub limits: Limits,
}

/// What a run may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Repetitions of a request.
    pub retries: u32,
    /// Time for all of it.
    pub timeout: Duration,
    /// Time without a byte.
    pub idle: Duration,
    /// Bytes of all answers.
    pub max_bytes: u64,
}

impl Options {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] with all that is wrong.
    pub fn new(params: Params) -> Result<Self, Fault> {
        let mut wrong = Wrong(Vec::new());
        let pointer = if params.url.is_none() && params.api_url.is_some() { "/api_url" } else { "/url" };
        let target = target(&params, pointer, &mut wrong);
        let path = RecordsPath::new(params.records_path.as_deref()).unwrap_or_else(|message| {
            wrong.add("/records_path", format!("records_path: {message}"), "write it like /data/items");
            RecordsPath::default()
        });
        let types = types(&params, &mut wrong);
        let post = target.as_ref().is_some_and(|target| target.method == Method::POST);
        let sample_rows = params.sample_rows.unwrap_or(if post { 0 } else { 10_000 });
        if sample_rows == 0 && params.types.is_empty() {
            let (what, help) = match params.sample_rows {
                Some(_) => ("without a sample nothing says which columns there are", "give them in `types`"),
                None => (
                    "a POST is not sent when planning, so nothing says which columns there are",
                    "give them in `types`, or set `sample_rows` to a number if the POST may be sent once more to look",
                ),
            };
            wrong.add("/types", format!("types: {what}"), help);
        }
        let forms = Forms {
            date: form("date_format", params.date_format.as_deref(), &mut wrong),
            timestamp: form("timestamp_format", params.timestamp_format.as_deref(), &mut wrong),
        };
        let delimiter = params.delimiter.as_deref().map(|given| delimiter(given, &mut wrong));
        let paging = paging(params.pagination, &mut wrong);
        let Some(target) = target.filter(|_| wrong.0.is_empty()) else { return Err(bad_params(wrong.0)) };
        let ignore = if sample_rows == 0 { UnknownFields::Ignore } else { UnknownFields::Refuse };
        Ok(Self {
            target,
            pointer,
            format: params.format,
            path,
            paging,
            max_pages: params.max_pages,
            types,
            sample_rows,
            unknown: params.unknown_fields.unwrap_or(ignore),
            delimiter,
            nulls: match &params.nulls {
                Some(words) => NullWords::new(words.iter().map(String::as_str)),
                None => NullWords::new(USUAL_NULLS),
            },
            forms: Arc::new(forms),
            limits: Limits {
                retries: params.retries,
                timeout: seconds(params.timeout_seconds),
                idle: seconds(params.idle_timeout_seconds),
                max_bytes: params.max_bytes,
            },
        })
    }
}

/// So many seconds, or a century: clocks end somewhere beyond.
fn seconds(asked: u64) -> Duration {
    const CENTURY: u64 = 100 * 366 * 24 * 3600;
    Duration::from_secs(asked.min(CENTURY))
}

/// What is wrong so far.
struct Wrong(Vec<Violation>);

impl Wrong {
    fn add(&mut self, pointer: impl Into<String>, message: impl Into<String>, help: impl Into<String>) {
        self.0.push(Violation::new(pointer, message).help(help.into()));
    }
}

fn target(params: &Params, pointer: &str, wrong: &mut Wrong) -> Option<Target> {
    let url = match (&params.url, &params.api_url) {
        (Some(_), Some(_)) => {
            wrong.add("/api_url", "api_url: it is the older name of url, which is given too", "leave one of them out");
            None
        }
        (None, None) => {
            wrong.add("", "missing parameter \"url\"", "the address: https://api.example.org/v1/orders");
            None
        }
        (Some(url), None) | (None, Some(url)) => address(url, pointer, wrong),
    };
    let method = match (params.method, &params.body) {
        (Some(params::Method::Get), Some(_)) => {
            wrong.add("/body", "body: a GET carries none", "leave it out, or set `method: POST`");
            Method::GET
        }
        (Some(params::Method::Post), _) | (None, Some(_)) => Method::POST,
        (Some(params::Method::Get) | None, None) => Method::GET,
    };
    let mut headers = headers(params, wrong);
    let body = params.body.as_ref().map(|body| match &body.0 {
        Value::String(text) => Bytes::from(text.clone()),
        json => {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            Bytes::from(json.to_string())
        }
    });
    let credential = credential(params, wrong);
    if let Some(Credential::Header(name, _)) = &credential
        && headers.contains_key(name)
    {
        wrong.add("/headers", format!("headers: `auth` gives {name}, which is among them"), "leave one of them out");
    }
    let mut url = url?;
    for (name, value) in params.api_params.iter().chain(&params.params) {
        set_query(&mut url, name, &value.reveal());
    }
    Some(Target { url, method, headers, credential, body })
}

fn address(given: &Hidden, pointer: &str, wrong: &mut Wrong) -> Option<Url> {
    const HELP: &str = "write it like https://api.example.org/v1/orders";
    let name = &pointer[1..];
    match Url::parse(given.reveal().trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => return Some(url),
        Ok(url) => wrong.add(pointer, format!("{name}: {} is not http or https", url.scheme()), HELP),
        Err(error) => wrong.add(pointer, format!("{name}: it is no address: {error}"), HELP),
    }
    None
}

fn headers(params: &Params, wrong: &mut Wrong) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &params.headers {
        match header(name, value) {
            Ok((name, value)) => drop(headers.insert(name, value)),
            Err(message) => wrong.add(pointer(["headers", name]), format!("headers: {message}"), "correct it"),
        }
    }
    headers
}

fn credential(params: &Params, wrong: &mut Wrong) -> Option<Credential> {
    let older = older_auth(params, wrong);
    let auth = match (&params.auth, older) {
        (Some(_), Some(_)) => {
            wrong.add("/auth_type", "auth_type: it is the older form of auth, which is given too", "leave one out");
            return None;
        }
        (Some(auth), None) => auth.clone(),
        (None, Some(auth)) => auth,
        (None, None) => return None,
    };
    let place = if params.auth.is_some() { "/auth" } else { "/auth_value" };
    Credential::new(&auth).map_err(|message| wrong.add(place, format!("auth: {message}"), "correct it")).ok()
}

fn older_auth(params: &Params, wrong: &mut Wrong) -> Option<Auth> {
    let value = match (params.auth_type?, &params.auth_value) {
        (LegacyAuth::None, _) => return None,
        (_, Some(value)) => value.clone(),
        (_, None) => {
            wrong.add("/auth_type", "auth_value is missing", "give it: secret://token");
            return None;
        }
    };
    Some(match params.auth_type? {
        LegacyAuth::None | LegacyAuth::Bearer => Auth::Bearer { token: value },
        LegacyAuth::ApiKey => Auth::ApiKey { name: params::key_name(), value, place: KeyPlace::Header },
        LegacyAuth::Basic => {
            let (user, password) = value.reveal().split_once(':').unwrap_or((value.reveal(), ""));
            Auth::Basic { user: user.into(), password: password.into() }
        }
    })
}

fn types(params: &Params, wrong: &mut Wrong) -> Vec<(String, Kind)> {
    let mut types = Vec::new();
    for (column, name) in &params.types {
        match Kind::parse(name) {
            Ok(kind) => types.push((column.clone(), kind)),
            Err((message, help)) => wrong.add(pointer(["types", column]), format!("types.{column}: {message}"), help),
        }
    }
    types
}

fn form(param: &str, pattern: Option<&str>, wrong: &mut Wrong) -> Option<Form> {
    let pattern = pattern?;
    let form = Form::new(pattern);
    if form.is_none() {
        let message = format!("{param}: \"{pattern}\" is no strftime pattern");
        wrong.add(format!("/{param}"), message, "write it like \"%d.%m.%Y\"");
    }
    form
}

fn delimiter(given: &str, wrong: &mut Wrong) -> u8 {
    match given.as_bytes() {
        br"\t" => b'\t',
        [one] if one.is_ascii() && !matches!(one, b'\n' | b'\r' | b'"') => *one,
        _ => {
            let message = format!("delimiter: {given:?} is not one ASCII character that can stand between fields");
            wrong.add("/delimiter", message, r#"use one such as "," ";" "|", or "\t" for a tab"#);
            b','
        }
    }
}

fn paging(given: Option<Pagination>, wrong: &mut Wrong) -> Paging {
    match given {
        None => Paging::One,
        Some(Pagination::None) => Paging::First,
        Some(Pagination::Link) => Paging::Link,
        Some(Pagination::Page { param, start }) => Paging::Page { param, start },
        Some(Pagination::Offset { param, start }) => Paging::Offset { param, start },
        Some(Pagination::Cursor { path, param }) => {
            if let Err(message) = RecordsPath::new(Some(&path)) {
                wrong.add("/pagination/path", format!("pagination.path: {message}"), "write it like /meta/next");
            }
            Paging::Cursor { path, param }
        }
    }
}

/// Where the records are.
#[derive(Clone, Debug, Default)]
pub struct RecordsPath {
    /// The keys and places that lead to them.
    pub steps: Vec<String>,
    /// Whether the user told it.
    pub told: bool,
}

impl RecordsPath {
    /// Reads a JSON pointer (RFC 6901).
    ///
    /// # Errors
    /// Why it is none.
    pub fn new(pointer: Option<&str>) -> Result<Self, String> {
        let steps = match pointer.unwrap_or_default() {
            "" => Vec::new(),
            text => {
                let rest =
                    text.strip_prefix('/').ok_or_else(|| format!("\"{text}\" is no JSON pointer: it begins with /"))?;
                rest.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
            }
        };
        Ok(Self { steps, told: pointer.is_some() })
    }

    /// What it means that neither a list nor an object was found: a null stands for no records.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] with what there is.
    pub fn check_absent(&self, frame: &Value) -> Result<(), Fault> {
        let mut value = frame;
        for step in &self.steps {
            let inner = match value {
                Value::Object(fields) => fields.get(step),
                Value::Array(items) => step.parse().ok().and_then(|place: usize| items.get(place)),
                _ => None,
            };
            let Some(inner) = inner else {
                let fault = Fault::bad_data(format!("there is no \"{step}\" in the answer, where records_path leads"));
                return Err(match value.as_object() {
                    Some(fields) => fault.help(did_you_mean(step, fields.keys().map(String::as_str))),
                    None => fault.help(format!("there is {} in its place", kind_of(value))),
                });
            };
            value = inner;
        }
        match value {
            Value::Null => Ok(()),
            other => Err(Fault::bad_data(format!("where the records should be there is {}", kind_of(other)))
                .help("set `records_path` to the list of the records")),
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
