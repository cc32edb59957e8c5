//! Where a bucket is, and how it is asked.

use super::settings::AwsSettings;
use crate::fault::Fault;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};
use std::path::Path;
use std::time::Duration;

/// What the URL of a bucket begins with.
pub const SCHEME: &str = "s3://";

/// How long a server may take: to take a connection, to send the next bytes, to answer one request as a whole. A piece of
/// 8 MiB then comes at 70 KB/s or more. Variables such as `AWS_TIMEOUT` set others.
const PATIENCE: [(ClientConfigKey, &str); 3] = [
    (ClientConfigKey::ConnectTimeout, "5s"),
    (ClientConfigKey::ReadTimeout, "15s"),
    (ClientConfigKey::Timeout, "120s"),
];

/// The variables that name another server than Amazon's, the first that is set before the others.
const ENDPOINTS: [&str; 3] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];

/// No request is repeated.
pub fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, ..often() }
}

/// How often and how long a request is repeated that failed for reasons that may pass: some ten seconds, if it fails at
/// once.
pub fn often() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(250),
            max_backoff: Duration::from_secs(5),
            base: 3.0,
        },
        max_retries: 7,
        retry_timeout: Duration::from_secs(30),
    }
}

/// A place in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `s3://bucket/prefix`, without a slash at its end.
    pub url: String,
    /// The bucket.
    pub bucket: String,
    /// What the keys of all its objects begin with, without a slash at its end; empty for the whole bucket.
    pub prefix: Key,
}

impl Address {
    /// What the URL of a data root says.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadParams`] for one that is none.
    pub fn parse(url: &Path) -> Result<Self, Fault> {
        let shown = url.display();
        let refuse = |why: &str| {
            Fault::bad_params(format!("{shown} is no place in a bucket: {why}"))
                .help("write --data-root s3://bucket/prefix")
        };
        let rest = url.to_str().and_then(|url| url.strip_prefix(SCHEME)).ok_or_else(|| refuse("it is no URL"))?;
        let rest = rest.trim_end_matches('/');
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if bucket.is_empty() || !bucket.bytes().all(plain) {
            return Err(refuse("a bucket's name is made of letters, digits, dots and dashes"));
        }
        let prefix = match prefix.starts_with('/') {
            true => return Err(refuse("its prefix has an empty part")),
            false => Key::parse(prefix).map_err(|_| refuse("its prefix has an empty part, or \".\", or \"..\""))?,
        };
        Ok(Self { url: format!("{SCHEME}{rest}"), bucket: bucket.to_owned(), prefix })
    }

    /// A client for its server.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadParams`] for settings that are none, each by its name and without its value.
    pub fn connect(&self, settings: &AwsSettings, retry: RetryConfig) -> Result<AmazonS3, Fault> {
        let allowed = settings.get("AWS_ALLOW_HTTP").is_some_and(|value| value != "0" && value != "false");
        if let Some(url) = endpoint(settings)
            && !url.starts_with("http://")
            && !url.starts_with("https://")
        {
            let names = ENDPOINTS.join(", ");
            return Err(Fault::bad_params(format!("what is set of {names} is no address of a server"))
                .help("begin it with https://, or with http:// where its network is trusted"));
        }
        if endpoint(settings).is_some_and(|url| url.starts_with("http://")) && !allowed {
            return Err(Fault::denied(format!("the endpoint of {} speaks HTTP, which anybody can read", self.url))
                .help("name one with https://, or set AWS_ALLOW_HTTP=true if its network is trusted"));
        }
        // The process has one provider; another part of it may have named it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = AmazonS3Builder::new().with_retry(retry);
        for (key, value) in PATIENCE {
            builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
        }
        for (name, value) in settings.iter() {
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        builder.with_bucket_name(&self.bucket).build().map_err(|error| {
            let why = super::fault::bottom(&error);
            Fault::bad_params(format!("{} cannot be reached with the AWS_ variables that are set: {why}", self.url))
                .help("look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL")
        })
    }
}

/// The server, where it is not Amazon's.
pub fn endpoint(settings: &AwsSettings) -> Option<&str> {
    ENDPOINTS.iter().find_map(|name| settings.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FaultKind;

    fn parse(url: &str) -> Result<Address, Fault> {
        Address::parse(Path::new(url))
    }

    fn settings(all: &[(&str, &str)]) -> AwsSettings {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_url_is_a_bucket_and_a_prefix() {
        for (url, bucket, prefix) in [
            ("s3://data", "data", ""),
            ("s3://data/", "data", ""),
            ("s3://my.data-1/a/b c/", "my.data-1", "a/b c"),
            ("s3://data/a%20b", "data", "a%20b"),
        ] {
            let found = parse(url).expect("a place");
            assert_eq!((found.bucket.as_str(), found.prefix.as_ref()), (bucket, prefix), "{url}");
            assert_eq!(found.url, url.trim_end_matches('/'));
        }
        for url in ["s3://", "s3:///a", "s3://a b/c", "s3://a//b", "s3://a/b//c", "s3://a/../b", "s3://a/./b"] {
            assert_eq!(parse(url).expect_err("none").kind(), FaultKind::BadParams, "{url}");
        }
    }

    #[test]
    fn plain_http_is_asked_for_and_secrets_are_not_told() {
        let place = parse("s3://data").expect("a place");
        let plain = [("AWS_ENDPOINT_URL", "http://localhost:9000"), ("AWS_ACCESS_KEY_ID", "me")];
        let whole = [("AWS_SECRET_ACCESS_KEY", "hidden"), ("AWS_ALLOW_HTTP", "true")];
        assert_eq!(place.connect(&settings(&plain), often()).expect_err("HTTP").kind(), FaultKind::Denied);
        assert!(place.connect(&settings(&[plain, whole].concat()), often()).is_ok());
        let bare = [("AWS_ENDPOINT_URL", "localhost:9000"), ("AWS_ACCESS_KEY_ID", "me")];
        assert_eq!(place.connect(&settings(&bare), often()).expect_err("no URL").kind(), FaultKind::BadParams);
        let half = settings(&whole);
        let fault = place.connect(&half, often()).expect_err("a secret without a key");
        assert_eq!(fault.kind(), FaultKind::BadParams);
        assert!(!format!("{fault:?}{half:?}").contains("hidden"), "{fault:?}");
    }
}
