//! How a message is signed, as Standard Webhooks (standardwebhooks.com) has it: HMAC-SHA256 over its id, the time of
//! sending and the body, so that a receiver can tell that it is ours, is whole, and is no old one sent again. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flight_common::Fault;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A secret with this in front is base64; any other one is the key as it stands.
const PREFIX: &str = "whsec_";

/// The value of `webhook-signature`.
///
/// # Errors
/// A secret that begins with `whsec_` and is no base64.
pub(super) fn signature(secret: &str, id: &str, sent_at: i64, body: &str) -> Result<String, Fault> {
    let key = match secret.strip_prefix(PREFIX) {
        Some(text) => STANDARD.decode(text).map_err(|_| {
            Fault::bad_params("the secret of the hook begins with whsec_ and goes on with what is no base64")
        })?,
        None => secret.as_bytes().to_vec(),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(Fault::internal)?;
    for part in [id, ".", &sent_at.to_string(), ".", body] {
        mac.update(part.as_bytes());
    }
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_signed_as_there() {
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signed.as_deref(), Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert!(signature("whsec_no base64", "m", 0, "").is_err());
    }
}
