//! The knobs of `extract-api`.

use crate::hidden::{Hidden, Payload, QueryValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Reads rows from an HTTP API.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The address: `https://api.example.org/v1/orders`. This, or `api_url`, must be given.
    #[serde(default)]
    pub url: Option<Hidden>,

    /// The older name of `url`.
    #[serde(default)]
    pub api_url: Option<Hidden>,

    /// How it is asked: `GET` unless told; `POST` if there is a `body`.
    #[serde(default)]
    pub method: Option<Method>,

    /// Parameters of the query, beside those in the address: `{country: de, limit: 100}`. A value may be
    /// `secret://name`.
    #[serde(default)]
    pub params: BTreeMap<String, QueryValue>,

    /// The older name of `params`.
    #[serde(default)]
    pub api_params: BTreeMap<String, QueryValue>,

    /// Headers of each request: `{Accept-Language: de}`. A value may be `secret://name`.
    #[serde(default)]
    pub headers: BTreeMap<String, Hidden>,

    /// What a POST carries: JSON, `{query: "status:open"}`, or a text that is sent as it is (then set
    /// `Content-Type` in `headers`).
    #[serde(default)]
    pub body: Option<Payload>,

    /// Who asks: `{type: bearer, token: "secret://token"}`, `{type: basic, user: ann, password: "secret://password"}`
    /// or `{type: api_key, value: "secret://key"}`, which goes into the header `X-API-Key` unless `name` says otherwise,
    /// or with `in: query` into the query. It is sent to the origin of `url` only, never to where a redirect or a link
    /// leads beyond it.
    #[serde(default)]
    pub auth: Option<Auth>,

    /// The older form of `auth`: `none`, `bearer` (`auth_value` is the token), `basic` (`user:password`) or `api_key`
    /// (the value of the header `X-API-Key`).
    #[serde(default)]
    pub auth_type: Option<LegacyAuth>,

    /// What goes with `auth_type`: `secret://token`.
    #[serde(default)]
    pub auth_value: Option<Hidden>,

    /// The form of the answer. Without it the answer's `Content-Type` tells, else the end of the address (`.csv`).
    #[serde(default)]
    pub format: Option<Format>,

    /// Where the records are, as a JSON pointer: `/data/items`. It leads to a list of records; to an object of lists of
    /// one length, `{"time": […], "temp": […]}`, whose places become rows; or to one record. `""` is the whole answer.
    /// Unless told it is the whole answer too, but an object that holds a list of objects is refused: the list is most
    /// likely what was meant.
    #[serde(default)]
    pub records_path: Option<String>,

    /// How there is more than one page: `{type: link}` (the `Link` header with `rel="next"`), `{type: cursor, path:
    /// /meta/next, param: cursor}` (what stands at `path` in the answer becomes this parameter of the next query; without
    /// `param` it is the next address), `{type: page}` or `{type: offset}` (a parameter counts pages, or records, until a
    /// page is empty; `param` and `start` say how). An answer whose `Link` header names a next page is refused if nothing is
    /// said here; with `{type: none}` its first page is read alone.
    #[serde(default)]
    pub pagination: Option<Pagination>,

    /// Pages to read at most. More are an error, so that nothing is cut off unseen.
    #[serde(default = "max_pages")]
    pub max_pages: u64,

    /// The types of columns, for those that should not be guessed: `{zip: string, "price.net": "decimal(10,2)"}`. There
    /// are `string`, `int64` (and `int8` … `int32`, `uint8` … `uint64`), `float64`, `float32`, `boolean`, `date`, `time`,
    /// `timestamp`, `timestamp[unit, zone]`, `decimal(precision,scale)`, `list(…)` of one of these, and `json`: the value
    /// as JSON text.
    #[serde(default)]
    pub types: BTreeMap<String, String>,

    /// Records to look at when planning, on the first page (and in no more than its first 16 MiB): columns and types are
    /// guessed from them. With `0` no request is made when planning, and the columns are those of `types`, in the order
    /// of their names. Unless told it is 10000 for a GET, and 0 for a POST: setting it for a POST says that the request
    /// may be sent once more.
    #[serde(default)]
    pub sample_rows: Option<u64>,

    /// What to do about a field of a later record that is not among the columns: `refuse` it, or `ignore` it. Unless told
    /// it is refused, but with `sample_rows: 0` ignored: then `types` says what is wanted.
    #[serde(default)]
    pub unknown_fields: Option<UnknownFields>,

    /// csv: the character between fields: `","` unless told, `";"`, `"|"`, `"\t"` for a tab. If it is not told, and the
    /// first line has one field that holds one of the others, the answer is refused: it is most likely not one column.
    #[serde(default)]
    pub delimiter: Option<String>,

    /// csv: how nulls are spelled, instead of the usual spellings (nothing at all, `NA`, `N/A`, `NaN`, `null`, `None` and
    /// alike; see `extract-csv`). In JSON only `null` is one, and a field that is not there.
    #[serde(default)]
    pub nulls: Option<Vec<String>>,

    /// How dates are written, if not as `2024-02-29`: a strftime pattern such as `"%d.%m.%Y"`.
    #[serde(default)]
    pub date_format: Option<String>,

    /// How timestamps are written, if not as `2024-02-29T12:30:00.5Z` or alike: a strftime pattern such as
    /// `"%d/%m/%Y %H:%M"`; `%z` stands for the offset.
    #[serde(default)]
    pub timestamp_format: Option<String>,

    /// How often a request is repeated that may do better later: no connection, 408, 429, 502, 503, 504, or an answer
    /// that was cut short before any of its rows was passed on. A 500 is not among them: the server has failed at what it was
    /// asked.
    #[serde(default = "retries")]
    pub retries: u32,

    /// Seconds that all of it may take.
    #[serde(default = "timeout_seconds")]
    #[schemars(range(min = 1))]
    pub timeout_seconds: u64,

    /// Seconds to wait for an answer to begin, or to go on.
    #[serde(default = "idle_timeout_seconds")]
    #[schemars(range(min = 1))]
    pub idle_timeout_seconds: u64,

    /// Bytes that all answers may have together, uncompressed: 10 GiB unless told.
    #[serde(default = "max_bytes")]
    #[schemars(range(min = 1))]
    pub max_bytes: u64,
}

/// How a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Method {
    /// Read.
    #[serde(rename = "GET")]
    Get,
    /// Send a body.
    #[serde(rename = "POST")]
    Post,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// A token in the header `Authorization`.
    Bearer {
        /// The token: `secret://token`.
        token: Hidden,
    },
    /// A name and a password in the header `Authorization`.
    Basic {
        /// The name: `ann`.
        user: Hidden,
        /// The password: `secret://password`.
        password: Hidden,
    },
    /// A key in a header or in the query.
    ApiKey {
        /// What the header or parameter is called: `X-API-Key`.
        #[serde(default = "key_name")]
        name: String,
        /// The key: `secret://key`.
        value: Hidden,
        /// Where it goes: `header` or `query`.
        #[serde(default, rename = "in")]
        place: KeyPlace,
    },
}

/// Where a key goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// Into a header.
    #[default]
    Header,
    /// Into the query.
    Query,
}

/// Who asks, in the older form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LegacyAuth {
    /// Nobody in particular.
    None,
    /// A token.
    Bearer,
    /// `user:password`.
    Basic,
    /// A key.
    ApiKey,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON document.
    Json,
    /// One JSON record per line.
    Ndjson,
    /// Comma-separated values with a header.
    Csv,
}

/// How there is more than one page.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Pagination {
    /// The first page is all that is wanted.
    None,
    /// The `Link` header names the next page.
    Link,
    /// The answer names the next page.
    Cursor {
        /// Where it does: `/meta/next`.
        path: String,
        /// The parameter that it becomes: `cursor`. Without it, it is the address of the next page.
        #[serde(default)]
        param: Option<String>,
    },
    /// A parameter counts pages.
    Page {
        /// The parameter: `page`.
        #[serde(default = "page")]
        param: String,
        /// The first page: `1`.
        #[serde(default = "one")]
        start: u64,
    },
    /// A parameter counts records.
    Offset {
        /// The parameter: `offset`.
        #[serde(default = "offset")]
        param: String,
        /// The first record: `0`.
        #[serde(default)]
        start: u64,
    },
}

/// What to do about a field that is not among the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownFields {
    /// It is an error.
    Refuse,
    /// It is left out.
    Ignore,
}

fn max_pages() -> u64 {
    1000
}

fn retries() -> u32 {
    4
}

fn timeout_seconds() -> u64 {
    3600
}

fn idle_timeout_seconds() -> u64 {
    60
}

fn max_bytes() -> u64 {
    10 << 30
}

/// The usual header of a key.
pub fn key_name() -> String {
    "X-API-Key".to_owned()
}

fn page() -> String {
    "page".to_owned()
}

fn one() -> u64 {
    1
}

fn offset() -> String {
    "offset".to_owned()
}
