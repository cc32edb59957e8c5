//! What can go wrong with a bucket, told so that a user can act on it. What a server wrote is not shown but for its code:
//! some show the key, and what was signed with it.

use crate::fault::Fault;
use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

/// Where machines at Amazon ask who they are: asked last, when no variable says it.
const METADATA: &str = "169.254.16";

/// The fault for an error about `what` in the bucket at `url`.
pub fn fault(url: &str, what: &str, error: &Error) -> Fault {
    let text = error.to_string();
    let code = code(&text);
    let told = code.map(|code| format!(" ({code})")).unwrap_or_default();
    match code {
        Some("NoSuchBucket") => return no_bucket(url),
        Some(
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken" | "InvalidSecurity"
            // As versitygw calls it.
            | "XAdminUserNotFound",
        ) => {
            return Fault::denied(format!("{url} refuses the credentials{told}"))
                .help("look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN");
        }
        Some("AccessDenied" | "AllAccessDisabled") => return no_right(url, what, &told),
        Some(
            "KeyTooLongError" | "InvalidObjectName" | "ObjectParentIsFile" | "ExistingObjectIsDirectory",
        ) => {
            return Fault::bad_params(format!("{url} cannot have {what}{told}")).help("choose another name");
        }
        Some("InvalidBucketName") => {
            return Fault::bad_params(format!("{url}: no bucket can be called so")).help("correct --data-root");
        }
        Some("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
            return Fault::bad_params(format!("{url} is in another region{told}")).help("set AWS_REGION to its region");
        }
        _ => {}
    }
    match error {
        Error::NotFound { .. } => Fault::not_found(format!("no file {what}")),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => no_right(url, what, &told),
        Error::Precondition { .. } | Error::NotModified { .. } => replaced(what),
        Error::InvalidPath { .. } => Fault::bad_data(format!("{url} has a key that is no path: {}", bottom(error)))
            .help("rename the object, or choose a prefix without it"),
        _ if text.contains(METADATA) => Fault::denied(format!("there are no credentials for {url}"))
            .help("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where the cloud gives a role"),
        _ => unanswered(url, what, error, &text),
    }
}

fn no_right(url: &str, what: &str, told: &str) -> Fault {
    Fault::denied(format!("no permission for {what} in {url}{told}"))
        .help("let the credentials list the bucket (s3:ListBucket), and read and write objects beneath the prefix")
}

/// The fault for a server that did not do what it should.
fn unanswered(url: &str, what: &str, error: &Error, text: &str) -> Fault {
    let help = "is AWS_ENDPOINT_URL right, and the server up? run again when it answers";
    if let Some(http) = http_error(error) {
        let why = bottom(http);
        let help = match why.contains("certificate") {
            true => "name the authority that its certificate is of by SSL_CERT_FILE",
            false => help,
        };
        return match http.kind() {
            HttpErrorKind::Timeout => Fault::timed_out(format!("{url} did not answer in time, asked for {what}")),
            HttpErrorKind::Connect => Fault::upstream(format!("{url} cannot be reached: {why}")),
            _ => Fault::upstream(format!("{url} broke off, asked for {what}: {why}")),
        }
        .help(help);
    }
    let told = code(text).or_else(|| status(text));
    let told = told.map_or_else(|| bottom(error), |told| format!("it answered {told}"));
    Fault::upstream(format!("{url} did not give or take {what}: {told}")).help(help)
}

/// Whether the credentials are good, and lack the right for what was asked.
pub fn lacks_right(error: &Error) -> bool {
    code(&error.to_string()) == Some("AccessDenied")
}

/// Whether the bucket itself is not there.
pub fn lacks_bucket(error: &Error) -> bool {
    code(&error.to_string()) == Some("NoSuchBucket")
}

/// Whether an answer says that something is wrong and has no words for it, as those about one object may have none.
pub fn is_wordless(error: &Error) -> bool {
    let text = error.to_string();
    code(&text).is_none()
        && (status(&text).is_some_and(|status| status.starts_with("400")) || text.contains("redirect"))
}

/// The fault for a bucket that is not there.
pub fn no_bucket(url: &str) -> Fault {
    Fault::not_found(format!("there is no bucket for {url}"))
        .help("make it, or correct --data-root; AWS_ENDPOINT_URL and AWS_REGION say where it is looked for")
}

/// The fault for an object that somebody replaced while it was read.
pub fn replaced(what: &str) -> Fault {
    Fault::bad_data(format!("{what} was replaced while it was read"))
        .help("run the pipeline again, when nobody writes to the source")
}

/// What a server calls its error.
fn code(text: &str) -> Option<&str> {
    let code = text.split_once("<Code>")?.1.split_once("</Code>")?.0;
    code.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(code)
}

/// The status that it answered with.
fn status(text: &str) -> Option<&str> {
    let status = text.split_once("status code: ")?.1.split(':').next()?.trim();
    (status.len() < 60).then_some(status)
}

fn http_error(error: &Error) -> Option<&HttpError> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        source = cause.source();
    }
    None
}

/// What went wrong at the bottom: no answer of a server, and no address.
pub fn bottom(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FaultKind;

    fn said(text: &str) -> Error {
        Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn codes_tell_what_to_do() {
        for (text, kind) in [
            ("status code: 404 Not Found: <Code>NoSuchBucket</Code>", FaultKind::NotFound),
            ("<Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIA</AWSAccessKeyId>", FaultKind::Denied),
            ("<Code>PermanentRedirect</Code>", FaultKind::BadParams),
            ("PUT http://169.254.169.254/latest/api/token", FaultKind::Denied),
            ("status code: 503 Service Unavailable: <Code>SlowDown</Code>", FaultKind::Upstream),
        ] {
            let fault = fault("s3://data/in", "a.csv", &said(text));
            assert_eq!(fault.kind(), kind, "{text}");
            assert!(fault.message().contains("s3://data/in") && fault.help_text().is_some(), "{fault:?}");
            assert!(!format!("{fault:?}").contains("AKIA"), "{fault:?}");
        }
    }
}
