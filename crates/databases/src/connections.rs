//! Connections by name: what a pipeline calls `hr_db` is configured on the process where the step runs, in its environment
//! or in a folder with a file for each, as Kubernetes mounts a secret.

use crate::address::Address;
use crate::database::Database;
use flight_common::{DataRoot, Fault, FaultKind};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A variable of the environment with a connection begins with this.
const VARIABLE: &str = "QUIVER_CONNECTION_";
/// The variable that names the folder.
const FOLDER_VARIABLE: &str = "QUIVER_CONNECTIONS_DIR";
/// Bytes of the longest address.
const LONGEST: u64 = 64 << 10;
/// Characters of the longest name.
const LONGEST_NAME: usize = 253;

type Variables = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Where connections are looked for. Holds none itself: each is read when it is needed, so that one that was changed
/// counts at the next call. Cheap to clone.
#[derive(Clone)]
pub struct Connections(Arc<Variables>);

impl Default for Connections {
    /// Those of this process's environment.
    fn default() -> Self {
        Self::with_variables(|name| std::env::var(name).ok())
    }
}

impl Connections {
    /// With something else in the place of the environment.
    pub fn with_variables(variables: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(variables))
    }

    /// The address that the parameters `connection` and `db_url` give, of which there must be exactly one. May read a file:
    /// call it on the compute pool.
    ///
    /// # Errors
    /// [`FaultKind::BadParams`] for none, both, or one that is no address; [`FaultKind::NotFound`] that says where a name
    /// was looked for.
    pub fn resolve(&self, database: &Database) -> Result<Address, Fault> {
        let refuse = |what: &str, pointer: &str| {
            let help = "write connection: name, for one that is configured on the service, or db_url: secret://name";
            Fault::bad_params(what).help(help).violation(pointer, what)
        };
        match (database.connection.as_deref(), database.db_url.as_deref()) {
            (Some(name), None) => self.named(name),
            (None, Some(url)) => Address::parse(url, "/db_url"),
            (Some(_), Some(_)) => Err(refuse("connection and db_url are both given, and mean the same", "/db_url")),
            (None, None) => Err(refuse("it is not said which database: neither connection nor db_url is given", "")),
        }
    }

    fn named(&self, name: &str) -> Result<Address, Fault> {
        let refuse = |fault: Fault| {
            let message = fault.message().to_owned();
            fault.violation("/connection", message)
        };
        let text = self.look_up(name).map_err(refuse)?;
        Address::parse(&text, "/connection").map_err(|fault| {
            refuse(
                Fault::bad_params(format!("connection \"{name}\": {}", fault.message()))
                    .help(fault.help_text().unwrap_or_default()),
            )
        })
    }

    fn look_up(&self, name: &str) -> Result<String, Fault> {
        check(name)?;
        let variable = variable(name);
        if let Some(value) = (self.0)(&variable).filter(|value| !value.is_empty()) {
            return Ok(value);
        }
        let folder = (self.0)(FOLDER_VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let found = folder.as_deref().map(|folder| read(folder, name)).transpose()?.flatten();
        found.ok_or_else(|| {
            let looked = match &folder {
                Some(folder) => format!("and for the file {name} in {}", folder.display()),
                None => format!("and {FOLDER_VARIABLE} names no folder with a file for each connection"),
            };
            Fault::not_found(format!("there is no connection \"{name}\""))
                .help(format!("looked for the environment variable {variable} on the service, {looked}"))
        })
    }
}

/// A name is that of a file in the folder, and leads nowhere else.
fn check(name: &str) -> Result<(), Fault> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > LONGEST_NAME || name.starts_with('.') || !name.chars().all(good) {
        // It may be a URL in the wrong place, with its password.
        return Err(Fault::bad_params("connection is the name of a connection, and this cannot be one")
            .help("use letters, digits, - _ and . as in hr_db; an address belongs into db_url"));
    }
    Ok(())
}

fn variable(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("{VARIABLE}{}", name.chars().map(letter).collect::<String>())
}

/// What a file says, without the end of its line. The folder holds the path beneath itself, wherever links lead.
fn read(folder: &Path, name: &str) -> Result<Option<String>, Fault> {
    let file = match DataRoot::open(folder).and_then(|folder| folder.open_file(name, "connection")) {
        Ok(file) => file,
        Err(fault) if fault.kind() == FaultKind::NotFound => return Ok(None),
        Err(fault) => {
            return Err(Fault::new(fault.kind(), format!("the connection \"{name}\" cannot be read"))
                .help("its file must be readable, and a link in the folder of connections may not lead out of it"));
        }
    };
    let mut text = String::new();
    file.into_std().take(LONGEST + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Fault::bad_params(format!("the connection \"{name}\" is no text in UTF-8")),
        _ => Fault::io(format!("the connection \"{name}\""), &error),
    })?;
    if text.len() as u64 > LONGEST {
        return Err(Fault::bad_params(format!("the connection \"{name}\" is longer than 64 KiB")));
    }
    Ok(Some(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn connections(folder: Option<&Path>) -> Connections {
        let folder = folder.map(|folder| folder.display().to_string());
        Connections::with_variables(move |name| match name {
            "QUIVER_CONNECTION_HR_DB_1" => Some("postgres://ann:s3cret@db/hr".to_owned()),
            "QUIVER_CONNECTIONS_DIR" => folder.clone(),
            _ => None,
        })
    }

    fn named(name: &str) -> Database {
        Database { connection: Some(name.to_owned()), db_url: None }
    }

    #[test]
    fn a_name_is_looked_up_in_the_environment_and_then_in_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("sales"), "sqlite:sales.db\n").expect("written");
        let connections = connections(Some(folder.path()));
        let shown = |name| connections.resolve(&named(name)).map(|address| address.shown().to_owned());
        assert_eq!(shown("hr-db.1").as_deref(), Ok("postgres://db/hr"));
        assert_eq!(shown("sales").as_deref(), Ok("sqlite:sales.db"));
    }

    #[test]
    fn a_missing_name_says_where_it_was_looked_for() {
        let fault = connections(None).resolve(&named("hr")).expect_err("missing");
        assert_eq!(fault.kind(), FaultKind::NotFound);
        assert!(fault.help_text().is_some_and(|help| help.contains("QUIVER_CONNECTION_HR")), "{fault:?}");
        assert_eq!(fault.violations()[0].pointer, "/connection");
    }

    #[test]
    fn exactly_one_of_name_and_address_is_given() {
        let both = Database { db_url: Some("sqlite:a.db".to_owned()), ..named("hr-db.1") };
        for database in [Database::default(), both] {
            let fault = connections(None).resolve(&database).expect_err("refused");
            assert_eq!(fault.kind(), FaultKind::BadParams);
        }
    }

    #[test]
    fn names_lead_nowhere_else_and_are_not_repeated() {
        let (folder, outside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        std::fs::write(outside.path().join("x"), "sqlite:x.db").expect("written");
        symlink(outside.path().join("x"), folder.path().join("stolen")).expect("linked");
        let connections = connections(Some(folder.path()));
        for name in ["", "..", "../x", "a/b", "postgres://ann:s3cret@db/hr"] {
            let fault = connections.resolve(&named(name)).expect_err("no name");
            assert_eq!(fault.kind(), FaultKind::BadParams, "{name}");
            assert!(!format!("{fault:?}").contains("s3cret"));
        }
        assert_eq!(connections.resolve(&named("stolen")).expect_err("denied").kind(), FaultKind::Denied);
    }
}
