//! The driver's settings from a URL: `mysql://user:password@host:3306/database?ssl-mode=VERIFY_IDENTITY`.

use crate::KEEPALIVE;
use crate::address::Address;
use flight_common::Fault;
use flight_common::params::did_you_mean;
use mysql_async::{Opts, OptsBuilder, SslOpts};
use percent_encoding::percent_decode_str;
use url::Url;

/// What may stand behind the question mark.
const KNOWN: [&str; 4] = ["ssl-mode", "socket", "unix_socket", "charset"];

/// Bytes of the longest row: what the protocol allows. The server's own limit is for what it takes, not for what it gives.
const LONGEST_ROW: usize = 1 << 30;

/// How a connection is encrypted, as MySQL's own programs call it.
#[derive(Clone, Copy, PartialEq)]
enum Tls {
    Disabled,
    Preferred,
    Required,
    VerifyCa,
    VerifyIdentity,
}

/// The settings, and whether an unencrypted connection will do if the server has no other.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for an option that is unknown or has an unknown value.
pub fn configured(address: &Address) -> Result<(Opts, bool), Fault> {
    let refuse = |what: String, help: String| {
        let what = format!("the address of {} cannot be read: {}", address.shown(), address.clean(&what));
        Fault::bad_params(what.clone()).help(help).violation(address.pointer(), what)
    };
    let url = Url::parse(address.secret()).map_err(|error| refuse(error.to_string(), String::new()))?;
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let some = |text: &str| Some(plain(text)).filter(|text| !text.is_empty());
    let (mut tls, mut socket) = (Tls::Preferred, None);
    for (key, value) in url.query_pairs() {
        match &*key {
            "ssl-mode" | "ssl_mode" | "sslmode" => {
                tls = mode(&value).ok_or_else(|| {
                    let help = "write DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY";
                    refuse(format!("ssl-mode is {value}"), help.to_owned())
                })?;
            }
            "socket" | "unix_socket" => socket = Some(value.into_owned()),
            // Texts come as Unicode whatever it says.
            "charset" => {}
            other => return Err(refuse(format!("unknown option `{other}`"), did_you_mean(other, KNOWN))),
        }
    }
    let opts = OptsBuilder::default()
        .ip_or_hostname(url.host_str().filter(|host| !host.is_empty()).unwrap_or("localhost").trim_matches(['[', ']']))
        .tcp_port(url.port().unwrap_or(3306))
        .user(some(url.username()))
        .pass(url.password().map(plain))
        .db_name(some(url.path().trim_start_matches('/')))
        .prefer_socket(false)
        .tcp_keepalive(Some(KEEPALIVE))
        .max_allowed_packet(Some(LONGEST_ROW))
        .ssl_opts(encrypted(tls).filter(|_| socket.is_none()))
        .socket(socket);
    Ok((opts.into(), tls == Tls::Preferred))
}

/// The same settings, unencrypted.
pub fn without_tls(opts: &Opts) -> Opts {
    OptsBuilder::from_opts(opts.clone()).ssl_opts(None).into()
}

fn mode(text: &str) -> Option<Tls> {
    Some(match text.to_ascii_uppercase().replace('-', "_").as_str() {
        "DISABLED" | "DISABLE" => Tls::Disabled,
        "PREFERRED" | "PREFER" => Tls::Preferred,
        "REQUIRED" | "REQUIRE" => Tls::Required,
        "VERIFY_CA" => Tls::VerifyCa,
        "VERIFY_IDENTITY" | "VERIFY_FULL" => Tls::VerifyIdentity,
        _ => return None,
    })
}

/// As MySQL's programs do: `PREFERRED` and `REQUIRED` encrypt and believe any certificate; the others believe those that
/// the machine's roots vouch for.
fn encrypted(tls: Tls) -> Option<SslOpts> {
    let opts = SslOpts::default();
    match tls {
        Tls::Disabled => None,
        Tls::Preferred | Tls::Required => Some(opts.with_danger_accept_invalid_certs(true)),
        Tls::VerifyCa => Some(rooted(opts).with_danger_skip_domain_validation(true)),
        Tls::VerifyIdentity => Some(rooted(opts)),
    }
}

fn rooted(opts: SslOpts) -> SslOpts {
    let roots = rustls_native_certs::load_native_certs().certs;
    let roots = roots.into_iter().map(|root| root.as_ref().to_vec().into()).collect();
    opts.with_root_certs(roots).with_disable_built_in_roots(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opts(rest: &str) -> Result<(Opts, bool), Fault> {
        configured(&Address::parse(&format!("mysql://ann:s3%40cret@{rest}"), "/db_url").expect("an address"))
    }

    #[test]
    fn the_parts_of_a_url_are_read() {
        let (opts, may_be_plain) = opts("db:3307/h%20r?charset=utf8mb4").expect("read");
        assert_eq!((opts.ip_or_hostname(), opts.tcp_port(), opts.db_name()), ("db", 3307, Some("h r")));
        assert_eq!((opts.user(), opts.pass()), (Some("ann"), Some("s3@cret")));
        assert!(may_be_plain && opts.ssl_opts().is_some_and(SslOpts::accept_invalid_certs));
    }

    #[test]
    fn a_host_that_dies_is_noticed() {
        let (opts, _) = opts("db/hr").expect("read");
        for opts in [without_tls(&opts), opts] {
            assert_eq!(opts.tcp_keepalive(), Some(KEEPALIVE));
        }
    }

    #[test]
    fn modes_of_tls_are_those_of_mysql() {
        let (required, may_be_plain) = opts("db/hr?ssl-mode=required").expect("read");
        assert!(!may_be_plain && required.ssl_opts().is_some());
        let (verified, _) = opts("db/hr?ssl-mode=VERIFY_IDENTITY").expect("read");
        assert!(verified.ssl_opts().is_some_and(|tls| !tls.accept_invalid_certs() && !tls.skip_domain_validation()));
        let (local, _) = opts("localhost/hr?socket=/run/x.sock").expect("read");
        assert_eq!((local.socket(), local.ssl_opts().is_none()), (Some("/run/x.sock"), true));
    }

    #[test]
    fn an_unknown_option_is_told_without_the_password() {
        for bad in ["db/hr?ssl-mod=x", "db/hr?ssl-mode=maybe"] {
            let fault = opts(bad).expect_err("refused");
            assert!(fault.message().contains("ssl-mod") && !format!("{fault:?}").contains("cret"), "{fault:?}");
        }
    }
}
