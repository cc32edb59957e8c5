//! Where a database is: a URL, of which only what is no secret is ever shown.
//!
//! A URL holds a password more often than not. [`Address`] hands it to a driver and to nobody else: `Debug` and
//! [`Address::shown`] name kind, host and database, and [`Address::clean`] strikes the password out of what a driver says.

use flight_common::Fault;
use flight_common::params::did_you_mean;
use percent_encoding::percent_decode_str;
use std::fmt;
use url::Url;

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL, and what speaks like it.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
    /// A SQLite file.
    Sqlite,
}

/// Schemes of URLs, and what they mean. SQLAlchemy's `postgresql+psycopg2` is read as `postgresql`.
const SCHEMES: [(&str, Kind); 5] = [
    ("postgres", Kind::Postgres),
    ("postgresql", Kind::Postgres),
    ("mysql", Kind::MySql),
    ("mariadb", Kind::MySql),
    ("sqlite", Kind::Sqlite),
];

/// What a password is shown as.
const STRUCK: &str = "***";

/// The address of a database.
#[derive(Clone)]
pub struct Address {
    kind: Kind,
    url: String,
    shown: String,
    namespace: String,
    /// What must not be seen, in each spelling; the longest first.
    secrets: Vec<String>,
    pointer: &'static str,
}

impl Address {
    /// Reads a URL. `pointer` is that of the parameter that gave it.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] that says what is wrong without repeating the URL.
    pub fn parse(url: &str, pointer: &'static str) -> Result<Self, Fault> {
        let refuse = |what: &str, help: String| Fault::bad_params(what).help(help).violation(pointer, what);
        let url = url.trim();
        let Some((scheme, rest)) = url.split_once(':') else {
            let help = "write postgres://user:password@host/database, mysql://user:password@host/database or sqlite:path/to/file.db";
            return Err(refuse("the address of the database is no URL", help.to_owned()));
        };
        let plain = scheme.split('+').next().unwrap_or(scheme).to_ascii_lowercase();
        let Some((_, kind)) = SCHEMES.iter().find(|(name, _)| *name == plain) else {
            // What stands before the colon may be part of a secret: only what looks like a scheme is repeated.
            let named = plain.len() <= 16 && plain.chars().all(|c| c.is_ascii_alphanumeric());
            let what = if named {
                format!("no database is known by \"{plain}\"")
            } else {
                "the address of the database is no URL".to_owned()
            };
            return Err(refuse(&what, did_you_mean(&plain, SCHEMES.map(|(name, _)| name))));
        };
        match kind {
            Kind::Sqlite => Ok(Self::sqlite(rest, pointer)),
            Kind::Postgres | Kind::MySql => {
                let name = if *kind == Kind::Postgres { "postgres" } else { "mysql" };
                let url = with_host(format!("{name}:{rest}"));
                let parsed = Url::parse(&url).ok().filter(|url| rest.starts_with("//") && !url.cannot_be_a_base());
                let parsed = parsed.ok_or_else(|| {
                    let help = format!(
                        "write {name}://user:password@host/database; in user and password write @ : / ? # % as %40 %3A %2F %3F %23 %25"
                    );
                    refuse("the address of the database cannot be read", help)
                })?;
                Ok(Self::network(*kind, url, &parsed, pointer))
            }
        }
    }

    /// `sqlite:a.db` and `sqlite://a.db`; `sqlite:///a.db` and `sqlite:////a.db` as SQLAlchemy means them: a relative and
    /// an absolute path.
    fn sqlite(rest: &str, pointer: &'static str) -> Self {
        let path = rest.strip_prefix("///").or_else(|| rest.strip_prefix("//")).unwrap_or(rest);
        let (shown, namespace) = (format!("sqlite:{path}"), "file".to_owned());
        Self { kind: Kind::Sqlite, url: path.to_owned(), shown, namespace, secrets: Vec::new(), pointer }
    }

    fn network(kind: Kind, text: String, url: &Url, pointer: &'static str) -> Self {
        let mut secrets = Vec::new();
        let mut hide = |secret: &str| {
            let plain = percent_decode_str(secret).decode_utf8_lossy().into_owned();
            secrets.extend([secret.to_owned(), plain].into_iter().filter(|spelling| !spelling.is_empty()));
        };
        url.password().iter().for_each(|password| hide(password));
        let secret = |key: &str| key.contains("password") || key.contains("secret") || key == "options";
        url.query_pairs().filter(|(key, _)| secret(key)).for_each(|(_, value)| hide(&value));
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        let by_query = url.query_pairs().find(|(key, _)| names_host(key)).map(|(_, host)| host.into_owned());
        let host = url.host_str().map(str::to_owned).filter(|host| !host.is_empty() && by_query.is_none());
        let host = host.or(by_query).unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let database = percent_decode_str(url.path()).decode_utf8_lossy().into_owned();
        let (scheme, usual) = (url.scheme(), if kind == Kind::Postgres { 5432 } else { 3306 });
        let shown = format!("{scheme}://{host}{port}{database}");
        let namespace = format!("{scheme}://{host}:{}", url.port().unwrap_or(usual));
        Self { kind, url: text, shown, namespace, secrets, pointer }
    }

    /// Which database it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What may be shown of it, and what tells it from another: `postgres://host:5432/database`.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// What to try when its user has no right to do something.
    pub fn grant(&self) -> String {
        format!(
            "let an owner of {} grant it to the user of the connection: SELECT to read; INSERT, UPDATE and DELETE to write",
            self.shown
        )
    }

    /// Where its tables are, as OpenLineage names it: `postgres://host:5432`, `file`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The path of a file.
    pub fn path(&self) -> Option<&str> {
        (self.kind == Kind::Sqlite).then_some(self.url.as_str())
    }

    /// The JSON pointer of the parameter that gave it.
    pub fn pointer(&self) -> &'static str {
        self.pointer
    }

    /// The name of that parameter.
    pub fn param(&self) -> &'static str {
        self.pointer.trim_start_matches('/')
    }

    /// What was planned with it. A fault that speaks of no parameter speaks of this one.
    ///
    /// # Errors
    /// That of `planned`.
    pub fn blame<T>(&self, planned: Result<T, Fault>) -> Result<T, Fault> {
        planned.map_err(|fault| match fault.violations() {
            [] => {
                let message = fault.message().to_owned();
                fault.violation(self.pointer, message)
            }
            _ => fault,
        })
    }

    /// The whole of it, for a driver; of a file its path.
    pub(crate) fn secret(&self) -> &str {
        &self.url
    }

    /// A text without the password.
    pub fn clean(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), STRUCK))
    }
}

/// Whether this option says where the server is.
fn names_host(option: &str) -> bool {
    matches!(option, "host" | "socket" | "unix_socket")
}

/// An address that has a user and only behind the question mark a host: `ann@/hr?host=/run/postgresql`. Clients of databases
/// take that for an address, and URLs are none without a host there; so it gets one, which the other overrides.
fn with_host(url: String) -> String {
    let Some(start) = url.find("//").map(|slashes| slashes + 2) else { return url };
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |length| start + length);
    let place = url[..end].rfind('@').map_or(start, |at| at + 1);
    let (host, rest) = (&url[place..end], &url[end..]);
    let options = rest.split_once('?').map_or("", |(_, options)| options);
    let is_named = options.split('&').any(|option| names_host(option.split('=').next().unwrap_or_default()));
    // An `@` further on may be that of the user, and what stands before it a password.
    let is_missing = place > start && (host.is_empty() || host.starts_with(':')) && !rest.contains('@');
    match is_missing && is_named {
        true => format!("{}localhost{}", &url[..place], &url[place..]),
        false => url,
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::FaultKind;

    fn shown(url: &str) -> String {
        Address::parse(url, "/db_url").expect("an address").shown
    }

    #[test]
    fn what_is_shown_names_host_and_database_only() {
        assert_eq!(shown("postgres://ann:s3cret@db.example:5433/hr?sslmode=require"), "postgres://db.example:5433/hr");
        assert_eq!(shown("postgresql+psycopg2://ann:s3cret@db/hr"), "postgres://db/hr");
        assert_eq!(shown("postgres://ann@localhost/hr?host=/run/pg&password=s3cret"), "postgres:///run/pg/hr");
        assert_eq!(shown("mariadb://ann:s3cret@db/hr?ssl-mode=REQUIRED"), "mysql://db/hr");
        let address = Address::parse("postgres://ann:s3%40cret@db/hr", "/db_url").expect("an address");
        assert_eq!(address.namespace(), "postgres://db:5432");
        assert_eq!(format!("{address:?}"), "Address(\"postgres://db/hr\")");
        assert_eq!(address.clean("no login with s3@cret (s3%40cret)"), "no login with *** (***)");
    }

    #[test]
    fn a_host_may_stand_behind_the_question_mark_alone() {
        assert_eq!(shown("postgres://ann:s3cret@/hr?host=/run/postgresql"), "postgres:///run/postgresql/hr");
        assert_eq!(shown("postgresql://ann@:5433/hr?sslmode=disable&host=db"), "postgres://db:5433/hr");
        assert_eq!(shown("mysql://ann:s3cret@/hr?socket=/run/mysqld.sock"), "mysql:///run/mysqld.sock/hr");
        for url in
            ["postgres://ann:s3cret@/hr", "postgres://ann:s3@/cret@db/hr?host=db", "mysql://ann:s3cret@/hr?x=host"]
        {
            let fault = Address::parse(url, "/db_url").expect_err("no host");
            assert!(fault.help_text().is_some_and(|help| help.contains("host")), "{fault:?}");
            assert!(!format!("{fault:?}").contains("cret"), "{fault:?}");
        }
    }

    #[test]
    fn paths_of_files_are_read_as_their_authors_mean_them() {
        for url in ["sqlite:a/b.db", "sqlite://a/b.db", "sqlite:///a/b.db", "SQLite+pysqlite:///a/b.db"] {
            assert_eq!(shown(url), "sqlite:a/b.db", "{url}");
        }
        assert_eq!(shown("sqlite:////srv/b.db"), "sqlite:/srv/b.db");
    }

    #[test]
    fn a_bad_address_is_refused_without_repeating_it() {
        for url in
            ["s3cret", "s3cret word:x", "postgres:s3cret", "postgres://ann:s3/cret@[db", "oracle://ann:s3cret@db"]
        {
            let fault = Address::parse(url, "/db_url").expect_err("refused");
            assert_eq!(fault.kind(), FaultKind::BadParams);
            assert!(!format!("{fault:?}").contains("s3"), "{fault:?}");
            assert_eq!(fault.violations()[0].pointer, "/db_url");
        }
    }
}
