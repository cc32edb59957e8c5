//! What is asked: an address, and who asks. Secrets go to the origin of the address and nowhere else.

use crate::hidden::Hidden;
use crate::params::{Auth, KeyPlace};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use reqwest::{Client, Method, RequestBuilder, Url};
use std::fmt;

/// What is asked, and by whom.
#[derive(Clone)]
pub struct Target {
    /// The address of the first page, without what `auth` adds.
    pub url: Url,
    /// How it is asked.
    pub method: Method,
    /// Headers of the user.
    pub headers: HeaderMap,
    /// Who asks.
    pub credential: Option<Credential>,
    /// What a POST carries.
    pub body: Option<Bytes>,
}

/// Who asks.
#[derive(Clone)]
pub enum Credential {
    /// By a header.
    Header(HeaderName, HeaderValue),
    /// By a parameter of the query.
    Query(String, String),
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({} {})", self.method, host(&self.url))
    }
}

/// One request.
#[derive(Clone, PartialEq, Eq)]
pub struct Ask {
    /// Where to.
    pub url: Url,
    /// How.
    pub method: Method,
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ask({} {})", self.method, host(&self.url))
    }
}

impl Credential {
    /// What `auth` says.
    ///
    /// # Errors
    /// What cannot be sent, without telling it.
    pub fn new(auth: &Auth) -> Result<Self, String> {
        match auth {
            Auth::Bearer { token } => authorization("token", format!("Bearer {}", token.reveal())),
            Auth::Basic { user, password } => {
                let pair = format!("{}:{}", user.reveal(), password.reveal());
                authorization("password", format!("Basic {}", BASE64_STANDARD.encode(pair)))
            }
            Auth::ApiKey { name, value, place: KeyPlace::Query } => {
                Ok(Self::Query(name.clone(), value.reveal().to_owned()))
            }
            Auth::ApiKey { name, value, place: KeyPlace::Header } => {
                let (name, value) = header(name, value)?;
                Ok(Self::Header(name, value))
            }
        }
    }
}

fn authorization(what: &str, value: String) -> Result<Credential, String> {
    let value = HeaderValue::try_from(value).map_err(|_| format!("the {what} cannot stand in a header"))?;
    Ok(Credential::Header(AUTHORIZATION, sensitive(value)))
}

/// A header as it is sent.
///
/// # Errors
/// What is wrong with it, without telling its value.
pub fn header(name: &str, value: &Hidden) -> Result<(HeaderName, HeaderValue), String> {
    let key = HeaderName::try_from(name).map_err(|_| format!("\"{name}\" is no name of a header"))?;
    if OF_THE_CONNECTION.contains(&key) {
        return Err(format!("{key} is for whoever sends the request to say"));
    }
    let value = HeaderValue::from_str(value.reveal())
        .map_err(|_| format!("the value of {name} holds characters that cannot stand in a header"))?;
    Ok((key, sensitive(value)))
}

/// What frames a request: a server would read it as another one.
const OF_THE_CONNECTION: [HeaderName; 7] =
    [CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// Its `Debug` does not tell it.
fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

impl Target {
    /// The request for the first page.
    pub fn first(&self) -> Ask {
        Ask { url: self.url.clone(), method: self.method.clone() }
    }

    /// The request for another page.
    pub fn page(&self, url: Url) -> Ask {
        Ask { url, method: self.method.clone() }
    }

    /// The request as it is sent. What the user gave beside the address goes along to its origin only.
    pub fn request(&self, client: &Client, ask: &Ask) -> RequestBuilder {
        let home = same_origin(&self.url, &ask.url);
        let mut url = ask.url.clone();
        if let (true, Some(Credential::Query(name, value))) = (home, &self.credential) {
            set_query(&mut url, name, value);
        }
        let request = client.request(ask.method.clone(), url).header(ACCEPT_ENCODING, "gzip");
        if !home {
            return request;
        }
        let request = request.headers(self.headers.clone());
        let request = match &self.credential {
            Some(Credential::Header(name, value)) => request.header(name, value),
            _ => request,
        };
        match &self.body {
            Some(body) if ask.method == Method::POST => request.body(body.clone()),
            _ => request,
        }
    }
}

/// Whether two addresses have scheme, host and port in common.
pub fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Sets a parameter of the query, in the place of one of that name.
pub fn set_query(url: &mut Url, name: &str, value: &str) {
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| key != name)
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
}

/// What of an address may be told: path and query may hold keys.
pub fn host(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => url.scheme().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(auth: serde_json::Value) -> Target {
        let auth: Auth = serde_json::from_value(auth).expect("auth");
        Target {
            url: Url::parse("https://api.example/v1?a=1").expect("a URL"),
            method: Method::POST,
            headers: HeaderMap::from_iter([
                header("x-mine", &serde_json::from_value("m1ne".into()).expect("text")).expect("good")
            ]),
            credential: Some(Credential::new(&auth).expect("good")),
            body: Some(Bytes::from_static(b"b0dy")),
        }
    }

    fn sent(target: &Target, url: &str) -> reqwest::Request {
        let _ = flight_common::outbound::client(&Default::default());
        let ask = Ask { url: Url::parse(url).expect("a URL"), method: Method::POST };
        target.request(&Client::builder().build().expect("a client"), &ask).build().expect("a request")
    }

    #[test]
    fn secrets_go_to_the_origin_of_the_address_and_nowhere_else() {
        let target = target(serde_json::json!({"type": "bearer", "token": "t0ken"}));
        let home = sent(&target, "https://api.example:443/other");
        assert_eq!(home.headers()[AUTHORIZATION], "Bearer t0ken");
        assert!(home.headers().contains_key("x-mine") && home.body().is_some());
        for url in
            ["https://evil.example/", "http://api.example/", "https://api.example:444/", "https://x.api.example/"]
        {
            let away = sent(&target, url);
            assert!(!away.headers().contains_key(AUTHORIZATION) && !away.headers().contains_key("x-mine"), "{url}");
            assert!(away.body().is_none(), "{url}");
        }
    }

    #[test]
    fn a_key_in_the_query_takes_the_place_of_one_that_a_link_brought() {
        let target = target(serde_json::json!({"type": "api_key", "name": "key", "value": "k3y", "in": "query"}));
        assert_eq!(sent(&target, "https://api.example/?key=old&page=2").url().query(), Some("page=2&key=k3y"));
        assert_eq!(sent(&target, "https://evil.example/?page=2").url().query(), Some("page=2"));
    }

    #[test]
    fn what_is_shown_tells_no_secret() {
        let target = target(serde_json::json!({"type": "basic", "user": "u5er", "password": "pa55"}));
        let shown = format!("{target:?} {:?} {:?}", target.first(), target.headers);
        for secret in ["u5er", "pa55", "m1ne", "b0dy", "a=1"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
}
