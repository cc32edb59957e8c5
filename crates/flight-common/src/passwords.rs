//! Passwords in addresses, and credentials that are written out, struck out of what people are shown.

use crate::params::{SECRET, pointer};
use serde_json::Value;
use std::collections::BTreeMap;

/// The text with each byte of a password in a URL (`scheme://user:password@host`, `?password=…`) as `*`, so that places in
/// it stay where they were.
pub fn hidden(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (slashes, _) in text.match_indices("//") {
        let (begin, rest) = (slashes + 2, &text[slashes + 2..]);
        let end = rest.find(|c: char| c.is_whitespace() || "\"'`<>{}".contains(c)).unwrap_or(rest.len());
        let url = &rest[..end];
        let before = text[..slashes].to_ascii_lowercase();
        let scheme = before.strip_suffix(':');
        // A password for a database is often written as it is, with characters that end the authority of other URLs.
        let loose = ["postgres", "postgresql", "mysql", "mariadb"]
            .iter()
            .any(|known| scheme.unwrap_or(&before).ends_with(known));
        // A database may also be written with the colon forgotten.
        if scheme.is_none() && !loose {
            continue;
        }
        let authority = if loose { url } else { url.split(['/', '?', '#']).next().unwrap_or_default() };
        if let Some((user, _)) = authority.rsplit_once('@')
            && let Some((name, password)) = user.split_once(':')
        {
            let from = begin + name.len() + 1;
            bytes[from..from + password.len()].fill(b'*');
        }
        for value in of_query(url) {
            let from = value.as_ptr() as usize - text.as_ptr() as usize;
            bytes[from..from + value.len()].fill(b'*');
        }
    }
    for (key, _) in text.match_indices(ADDRESS) {
        let behind = text[key + ADDRESS.len()..].trim_start_matches(['"', '\'']).trim_start_matches(' ');
        let Some(value) = behind.strip_prefix(':').map(|value| value.trim_start_matches(' ')) else { continue };
        let value = value.lines().next().unwrap_or_default();
        let value = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split(quote).next().unwrap_or_default(),
            _ => value,
        };
        if let Some(unread) = unread(value) {
            let from = unread.as_ptr() as usize - text.as_ptr() as usize;
            bytes[from..from + unread.len()].fill(b'*');
        }
    }
    let lower = text.to_ascii_lowercase();
    for key in CREDENTIALS {
        for (place, _) in lower.match_indices(key) {
            if let Some(written) = written_out(text, place, key) {
                let from = written.as_ptr() as usize - text.as_ptr() as usize;
                bytes[from..from + written.len()].fill(b'*');
            }
        }
    }
    // Whole characters only were replaced, each byte by one of ASCII.
    String::from_utf8(bytes).unwrap_or_default()
}

/// The value as people are shown it: its texts as [`hidden`] shows them, and no credentials.
pub fn hidden_in(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(hidden(text)),
        Value::Array(items) => items.iter().map(hidden_in).collect(),
        Value::Object(map) => {
            let of_key = is_api_key(map);
            map.iter().map(|(name, value)| (name.clone(), hidden_member(name, value, of_key))).collect()
        }
        other => other.clone(),
    }
}

/// Values of a pipeline's parameters as people are shown them.
pub fn hidden_in_params(params: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    params.iter().map(|(name, value)| (name.clone(), hidden_member(name, value, false))).collect()
}

/// Changes of parameters (`step.param=value`) as people are shown them.
pub fn hidden_in_sets(sets: &[String]) -> Vec<String> {
    let shown = |set: &String| match set.split_once('=') {
        Some((path, value)) => {
            let (before, name) = path.rsplit_once('.').unwrap_or(("", path));
            match is_credential(name, before.ends_with(".auth")) && !is_reference(value) {
                true => format!("{path}=***"),
                false => hidden(set),
            }
        }
        None => hidden(set),
    };
    sets.iter().map(shown).collect()
}

/// Where in parameters a password or a credential is one that was struck out: JSON pointers.
pub fn struck_in(params: &Value) -> Vec<String> {
    let mut found = Vec::new();
    find_struck(params, String::new(), &mut found);
    found
}

fn find_struck(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::String(text) if is_struck(text) => found.push(at),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(place, item)| find_struck(item, format!("{at}/{place}"), found));
        }
        Value::Object(map) => {
            let of_key = is_api_key(map);
            for (name, value) in map {
                let at = at.clone() + &pointer([name.as_str()]);
                match value.as_str() {
                    Some(text) if is_credential(name, of_key) && is_stars(text) => found.push(at),
                    _ => find_struck(value, at, found),
                }
            }
        }
        _ => {}
    }
}

/// Whether the password of an address was struck out.
pub fn is_struck(address: &str) -> bool {
    let Some((_, rest)) = address.split_once("//").filter(|_| !address.contains(char::is_whitespace)) else {
        return false;
    };
    let of_user = rest.rsplit_once('@').and_then(|(user, _)| user.split_once(':')).map(|(_, password)| password);
    of_user.is_some_and(is_stars) || of_query(rest).any(is_stars)
}

/// The credentials among the parameters of an address.
fn of_query(url: &str) -> impl Iterator<Item = &str> {
    let query = url.split_once('?').map_or("", |(_, query)| query.split('#').next().unwrap_or_default());
    let is_one =
        |name: &str| is_credential(name, false) || OF_QUERY.iter().any(|known| name.eq_ignore_ascii_case(known));
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(move |(name, _)| is_one(name))
        .map(|(_, value)| value)
}

fn is_stars(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b'*')
}

fn hidden_member(name: &str, value: &Value, of_key: bool) -> Value {
    match value.as_str() {
        Some(text) if is_credential(name, of_key) && !is_reference(text) => Value::from("***"),
        _ => hidden_in(value),
    }
}

/// Whether a `value` among these is a key.
fn is_api_key(map: &serde_json::Map<String, Value>) -> bool {
    map.get("type").is_some_and(|kind| kind == "api_key")
}

/// Parameters that are credentials, in small letters; `value` is one in `{type: api_key, value: …}`.
const CREDENTIALS: [&str; 17] = [
    "access_token",
    "api_key",
    "apikey",
    "auth_token",
    "auth_value",
    "authorization",
    "client_secret",
    "cookie",
    "password",
    "private-token",
    "proxy-authorization",
    "refresh_token",
    "secret",
    "token",
    "value",
    "x-api-key",
    "x-auth-token",
];

/// What credentials are called in addresses besides. Elsewhere these may be anything.
const OF_QUERY: [&str; 6] = ["api-key", "key", "sig", "signature", "x-amz-security-token", "x-amz-signature"];

/// Whether what stands at this place of parameters, a JSON pointer, is a credential, or may be a misspelled one.
pub fn is_of_credential(pointer: &str) -> bool {
    pointer.split('/').any(|name| name == "auth" || is_credential(name, false))
}

fn is_credential(name: &str, of_key: bool) -> bool {
    CREDENTIALS.iter().any(|known| name.eq_ignore_ascii_case(known)) && (of_key || !name.eq_ignore_ascii_case("value"))
}

/// Whether a text only says where a credential is to be had.
fn is_reference(text: &str) -> bool {
    text.is_empty() || text.starts_with(SECRET) || text.starts_with("{{") || text.starts_with('*')
}

/// The credential behind the key at this place, if that is one and stands there itself.
fn written_out<'a>(text: &'a str, place: usize, key: &str) -> Option<&'a str> {
    let line = text[..place].rfind('\n').map_or(0, |end| end + 1);
    let before = &text[line..place];
    if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-') {
        return None;
    }
    if key == "value" && !before.contains("api_key") {
        return None;
    }
    let behind = text[place + key.len()..].lines().next()?.trim_start_matches(['"', '\'']).trim_start_matches(' ');
    // `secret://` is no key.
    let value = behind.strip_prefix(':').filter(|value| !value.starts_with("//"))?.trim_matches(' ');
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        '{' | '[' | '&' | '|' | '>' if !value.starts_with("{{") => return None,
        _ if before.contains('{') => value.split([',', '}']).next()?.trim_end(),
        _ => value.split(" #").next()?.trim_end(),
    };
    Some(value).filter(|value| !is_reference(value) && !names_a_type(value))
}

/// Whether a text is the type of a column, which may be called `token`, too.
fn names_a_type(value: &str) -> bool {
    const TYPES: [&str; 17] = [
        "bool", "date", "decimal", "double", "duration", "float", "int", "interval", "json", "list", "long", "number",
        "string", "text", "time", "uint", "binary",
    ];
    let end = value.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(value.len());
    let (word, rest) = value.split_at(end);
    let known = matches!(word, "boolean" | "integer" | "timestamp" | "datetime") || TYPES.contains(&word);
    known && (rest.is_empty() || rest.starts_with(['(', '[']) || rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The parameter that is the address of a database.
const ADDRESS: &str = "db_url";

/// What is not shown of an address that has not the form of one: nobody can tell what of it is a password.
fn unread(address: &str) -> Option<&str> {
    let (scheme, rest) = match address.split_once(':') {
        Some((scheme, rest)) if scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+') => (scheme, rest),
        _ => ("", address),
    };
    let is_url = rest.starts_with("//") && !rest.contains(char::is_whitespace);
    let is_good = is_url || scheme.eq_ignore_ascii_case("sqlite") || scheme == "secret";
    (!is_good).then_some(rest).filter(|rest| rest.contains(['@', '=']))
}

#[cfg(test)]
mod tests {
    use super::{hidden, hidden_in, hidden_in_params, hidden_in_sets, struck_in};
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    #[test]
    fn passwords_go_and_all_else_stays_in_its_place() {
        for (text, shown) in [
            ("db_url: postgres://ann:s3cret@h/db", "db_url: postgres://ann:******@h/db"),
            ("\"postgres://ann:pa/s@s@h:1/db\" # x@y", "\"postgres://ann:******@h:1/db\" # x@y"),
            ("mysql://ann:é@h?password=abc&x=1", "mysql://ann:**@h?password=***&x=1"),
            ("url: https://h/a?token=abc&x=1&sig=d#e", "url: https://h/a?token=***&x=1&sig=*#e"),
            ("secret: \"plain\", url: x", "secret: \"*****\", url: x"),
            ("{X-Auth-Token: abc, Cookie: s=1}", "{X-Auth-Token: ***, Cookie: ***}"),
            ("params: {key: id, access_token: abc}", "params: {key: id, access_token: ***}"),
            ("next: https://h/?access_token={{ t }}", "next: https://h/?access_token={{ t }}"),
            ("https://h:80/a?mail=a@b", "https://h:80/a?mail=a@b"),
            ("https://me:k@h/ and https://h/", "https://me:*@h/ and https://h/"),
            ("postgres://ann@h/db", "postgres://ann@h/db"),
            ("postgres//ann:s3cret@h/db", "postgres//ann:******@h/db"),
            ("https://h//a:b@c", "https://h//a:b@c"),
            ("no address: a:b@c", "no address: a:b@c"),
            ("db_url: \"postgres://u:sek ret@h/q\" # x", "db_url: \"postgres:***************\" # x"),
            ("{db_url: u:sekret@h/q, query: x}", "{db_url: u:*********************"),
            ("\"db_url\": 'host=h password=se kr'", "\"db_url\": '*********************'"),
            ("db_url: postgres:/u:sekret@h\nquery: a@b", "db_url: postgres:***********\nquery: a@b"),
            ("db_url: sqlite:a@b.db", "db_url: sqlite:a@b.db"),
            ("db_url: secret://a", "db_url: secret://a"),
            ("db_url: pg", "db_url: pg"),
            ("auth: {type: bearer, token: a-b}, x: 1", "auth: {type: bearer, token: ***}, x: 1"),
            ("{type: api_key, value: \"k,1\"}", "{type: api_key, value: \"***\"}"),
            ("auth:\n  password: p,w # mine\nmax: 5", "auth:\n  password: *** # mine\nmax: 5"),
            ("- password: p\n  type: basic", "- password: *\n  type: basic"),
            ("types: {password: string, token: decimal(5, 2)}", "types: {password: string, token: decimal(5, 2)}"),
            ("x: &a {user: ann, password: pw}", "x: &a {user: ann, password: **}"),
            ("headers: {Authorization: 'Bearer b'}", "headers: {Authorization: '********'}"),
            ("api_key: secret://key\ntoken: '{{ t }}'", "api_key: secret://key\ntoken: '{{ t }}'"),
            ("\"auth_value\": \"v\", \"value\": 1", "\"auth_value\": \"*\", \"value\": 1"),
            ("tokens: 5, my_token: a, token", "tokens: 5, my_token: a, token"),
        ] {
            assert_eq!(hidden(text), shown);
            assert_eq!(hidden(text).len(), text.len());
        }
    }

    #[test]
    fn credentials_of_changes_go() {
        for (set, shown) in [
            ("a.auth.token=t", "a.auth.token=***"),
            ("a.auth.value=k", "a.auth.value=***"),
            ("a.headers.Authorization=Bearer b", "a.headers.Authorization=***"),
            ("a.db_url=postgres://u:pw@h/d", "a.db_url=postgres://u:**@h/d"),
            ("a.fill.value=7", "a.fill.value=7"),
            ("a.token=secret://t", "a.token=secret://t"),
        ] {
            assert_eq!(hidden_in_sets(&[set.to_owned()]), [shown]);
        }
        let params = json!({"token": "t", "day": "2024-01-01", "url": "postgres://u:pw@h"});
        let shown = json!({"token": "***", "day": "2024-01-01", "url": "postgres://u:**@h"});
        let params: BTreeMap<String, Value> = serde_json::from_value(params).expect("a map");
        assert_eq!(json!(hidden_in_params(&params)), shown);
    }

    #[test]
    fn what_was_struck_out_is_found() {
        let params = json!({
            "db_url": "postgres://ann:******@h/db",
            "auth": {"type": "api_key", "value": "***"},
            "fill": {"value": "***"},
            "list": [{"token": "*"}, "a?password=***", "mysql://h/d?password=**&x=1"],
            "good": ["postgres://ann:p**@h/db", "secret://a", "postgres://ann@h/***"],
        });
        assert_eq!(struck_in(&params), ["/db_url", "/auth/value", "/list/0/token", "/list/2"]);
        let shown = hidden_in(&json!({"db_url": "mysql://a:b@h", "auth": {"type": "basic", "password": "p"}}));
        assert_eq!(struck_in(&shown), ["/db_url", "/auth/password"]);
    }

    #[test]
    fn credentials_of_parameters_go() {
        let params = json!({
            "db_url": "postgres://ann:s3cret@h/db",
            "auth": {"type": "api_key", "value": "k"},
            "fill": {"value": "kept"},
            "token": "secret://token",
            "list": [{"password": "p"}],
        });
        let shown = json!({
            "db_url": "postgres://ann:******@h/db",
            "auth": {"type": "api_key", "value": "***"},
            "fill": {"value": "kept"},
            "token": "secret://token",
            "list": [{"password": "***"}],
        });
        assert_eq!(hidden_in(&params), shown);
    }
}
