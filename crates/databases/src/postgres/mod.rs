//! A connection to PostgreSQL that cancels what it left running.
//!
//! A server in a long computation does not notice that its client is gone. So a [`Session`] that is dropped before
//! [`Session::close`] sends a cancel request, on a connection of its own. It does so too when its own connection has broken:
//! what lies between may have cut it, and the server compute on. Not when the server has said that it ends it itself: one that
//! shuts down would have all its clients come once more.

mod fault;
mod tls;

pub use fault::fault;

use crate::KEEPALIVE;
use crate::address::Address;
use flight_common::farewell::Farewell;
use flight_common::{Fault, compute};
use std::fmt::Display;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tls::Tls;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, Error};
use tokio_util::task::AbortOnDropHandle;
use url::{Position, Url};

/// How long a connection, TLS and login may take.
const CONNECT: Duration = Duration::from_secs(20);
/// How long a cancel request may take.
const CANCEL: Duration = Duration::from_secs(5);

/// Pause before a server that does not say that it is there is asked again.
const ASKED_AGAIN: Duration = Duration::from_secs(10);
/// A server that does not answer so often is gone.
const UNANSWERED: u32 = 6;

/// An open connection.
pub struct Session {
    client: Client,
    token: CancelToken,
    tls: Tls,
    address: Address,
    /// Nothing when nothing runs there.
    farewell: Option<Farewell>,
    parted: Parted,
    driver: Option<AbortOnDropHandle<()>>,
}

impl Session {
    /// Connects, and logs in.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for an address with unknown options,
    /// [`flight_common::FaultKind::Upstream`] when the server cannot be reached, and what it says when it refuses.
    pub async fn open(address: &Address) -> Result<Self, Fault> {
        let (config, tls) = configured(address)?;
        let connected = timeout(CONNECT, config.connect(tls.clone())).await;
        let connected = connected.map_err(|_| {
            Fault::upstream(format!("{} did not answer within {} s", address.shown(), CONNECT.as_secs()))
        })?;
        let (client, mut driver) = connected.map_err(|error| fault(&error, address))?;
        let token = client.cancel_token();
        let parted = Parted::default();
        let told = parted.clone();
        let driver = compute::spawn(async move {
            while let Some(message) = poll_fn(|context| driver.poll_message(context)).await {
                match message {
                    Ok(AsyncMessage::Notice(notice)) => told.hear(notice.code()),
                    Ok(_) => {}
                    // Whoever waits for an answer is told the error too.
                    Err(error) => {
                        told.hear_error(&error);
                        tracing::debug!(%error, "a connection to PostgreSQL ended");
                        break;
                    }
                }
            }
        });
        Ok(Self {
            client,
            token,
            tls,
            address: address.clone(),
            farewell: Some(Farewell::default()),
            parted,
            driver: Some(driver),
        })
    }

    /// What statements are sent through.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The fault for an error of this connection.
    pub fn fault(&self, error: &Error) -> Fault {
        self.parted.hear_error(error);
        fault(error, &self.address)
    }

    /// Runs statements that give no rows.
    ///
    /// # Errors
    /// What the server says.
    pub async fn run(&self, sql: &str) -> Result<(), Fault> {
        self.client.batch_execute(sql).await.map_err(|error| self.fault(&error))
    }

    /// Ends it when nothing is running. The server is told, so that its log has no lost connection.
    pub fn close(mut self) {
        if let (Some(driver), Some(farewell)) = (self.driver.take(), self.farewell.take()) {
            // It says goodbye when the client is dropped, which is now.
            farewell.say(async move { drop(timeout(CANCEL, driver).await) });
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(farewell) = self.farewell.take().filter(|_| !self.parted.is_so()) else { return };
        let (token, tls) = (self.token.clone(), self.tls.clone());
        farewell.say(async move {
            match timeout(CANCEL, token.cancel_query(tls)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "a query could not be cancelled"),
                Err(_) => tracing::warn!("a query could not be cancelled in time"),
            }
        });
    }
}

/// Whether the server has said that it ends a connection, and with it what runs there.
#[derive(Clone, Default)]
struct Parted(Arc<AtomicBool>);

impl Parted {
    fn hear(&self, code: &SqlState) {
        // It shuts down, or somebody there has ended the connection; it has crashed; it takes nobody on at the moment.
        if [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW].contains(code) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn hear_error(&self, error: &Error) {
        if let Some(code) = error.code() {
            self.hear(code);
        }
    }

    fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The driver's settings from a URL. It knows nothing of `verify-ca` and `verify-full`: for it they are `require`, and the
/// certificate is checked here.
fn configured(address: &Address) -> Result<(Config, Tls), Fault> {
    let unreadable = |why: &dyn Display| {
        let what = format!("the address of {} cannot be read: {}", address.shown(), address.clean(&why.to_string()));
        Fault::bad_params(what.clone()).violation(address.pointer(), what)
    };
    let mut url = Url::parse(address.secret()).map_err(|error| unreadable(&error))?;
    let mut verify = false;
    let options: Vec<(String, String)> = url
        .query_pairs()
        .map(|(key, value)| match (&*key, &*value) {
            ("sslmode", "verify-ca" | "verify-full") => {
                verify = true;
                (key.into_owned(), "require".to_owned())
            }
            _ => (key.into_owned(), value.into_owned()),
        })
        .collect();
    url.set_query(None);
    if !options.is_empty() {
        url.query_pairs_mut().extend_pairs(&options);
    }
    // A space is a plus in a form; the driver reads it as one.
    let query = url.query().map(|query| query.replace('+', "%20"));
    url.set_query(query.as_deref());
    let mut config: Config =
        for_driver(&url, &options).parse().map_err(|error: Error| match std::error::Error::source(&error) {
            Some(source) => unreadable(&source),
            None => unreadable(&error),
        })?;
    if config.get_application_name().is_none() {
        config.application_name("quiver");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT / 2);
    }
    if !options.iter().any(|(name, _)| name == "keepalives_idle") {
        config.keepalives_idle(KEEPALIVE);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(ASKED_AGAIN);
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(UNANSWERED);
    }
    Ok((config, if verify { Tls::verifying()? } else { Tls::trusting()? }))
}

/// The URL as the driver takes it. As in libpq, a host among the options is the only one; the driver would try it after the
/// other.
fn for_driver(url: &Url, options: &[(String, String)]) -> String {
    let has = |name: &str| options.iter().any(|(option, _)| option == name);
    if !has("host") {
        return url.as_str().to_owned();
    }
    let port = url.port().filter(|_| !has("port")).map(|port| format!("&port={port}")).unwrap_or_default();
    format!("{}{}{port}", &url[..Position::BeforeHost], &url[Position::AfterPort..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_postgres::config::{Host, SslMode};

    fn config(options: &str) -> Result<Config, Fault> {
        let address =
            Address::parse(&format!("postgres://ann:s3%40cret@db/hr{options}"), "/db_url").expect("an address");
        configured(&address).map(|(config, _)| config)
    }

    #[test]
    fn modes_of_tls_are_those_of_libpq() {
        assert_eq!(config("").expect("read").get_ssl_mode(), SslMode::Prefer);
        assert_eq!(config("?sslmode=disable").expect("read").get_ssl_mode(), SslMode::Disable);
        let verified = config("?application_name=a%20b&sslmode=verify-full").expect("read");
        assert_eq!(verified.get_ssl_mode(), SslMode::Require);
        assert_eq!(verified.get_application_name(), Some("a b"));
        assert_eq!(verified.get_password(), Some(&b"s3@cret"[..]));
    }

    #[test]
    fn a_plus_is_a_space_in_an_option_and_itself_elsewhere() {
        let address = Address::parse("postgres://a+nn:s+cret%2B@db/h+r?application_name=a+b%2Bc", "/db_url");
        let (config, _) = configured(&address.expect("an address")).expect("read");
        assert_eq!((config.get_user(), config.get_dbname()), (Some("a+nn"), Some("h+r")));
        assert_eq!((config.get_password(), config.get_application_name()), (Some(&b"s+cret+"[..]), Some("a b+c")));
    }

    #[test]
    fn a_host_among_the_options_is_the_only_one() {
        let unix = |path: &str| vec![Host::Unix(path.into())];
        for (address, hosts, ports) in [
            ("postgres://ann:s3%40cret@/hr?host=/run/pg", unix("/run/pg"), vec![]),
            ("postgres://ann:s3%40cret@localhost:5433/hr?host=%2Frun%2Fpg", unix("/run/pg"), vec![5433]),
            ("postgres://ann:s3%40cret@:5433/hr?host=db&port=5434", vec![Host::Tcp("db".to_owned())], vec![5434]),
            ("postgres://ann:s3%40cret@db:5433/hr", vec![Host::Tcp("db".to_owned())], vec![5433]),
        ] {
            let (config, _) = configured(&Address::parse(address, "/db_url").expect(address)).expect(address);
            assert_eq!((config.get_hosts(), config.get_ports()), (&hosts[..], &ports[..]), "{address}");
            assert_eq!((config.get_user(), config.get_dbname()), (Some("ann"), Some("hr")), "{address}");
            assert_eq!(config.get_password(), Some(&b"s3@cret"[..]), "{address}");
        }
    }

    #[test]
    fn a_server_whose_host_is_gone_is_noticed_in_minutes_unless_told_otherwise() {
        let patience = |options: &str| {
            let config = config(options).expect("read");
            let pause = config.get_keepalives_interval().expect("a pause");
            (config.get_keepalives_idle().as_secs(), pause.as_secs(), config.get_keepalives_retries())
        };
        assert_eq!(patience(""), (60, 10, Some(6)));
        let named = "?keepalives_idle=7200&keepalives_interval=75&keepalives_retries=9";
        assert_eq!(patience(named), (7200, 75, Some(9)));
    }

    #[test]
    fn an_unknown_option_is_told_without_the_password() {
        let fault = config("?sslmod=require").expect_err("refused");
        assert!(fault.message().contains("sslmod"), "{fault}");
        assert!(!format!("{fault:?}").contains("cret"));
    }
}
