//! Where secrets are: in the environment, or in a folder with a file for each, as Kubernetes mounts them.

use flight_common::{DataRoot, Fault, FaultKind};
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// A variable of the environment with a secret begins with this.
const VARIABLE: &str = "QUIVER_SECRET_";
/// The folder, where no flag names one.
const FOLDER_VARIABLE: &str = "QUIVER_SECRETS_DIR";
/// Bytes of the longest secret.
const LONGEST: u64 = 64 << 10;
/// Characters of the longest name.
const LONGEST_NAME: usize = 253;

type Variables = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Where secrets are looked for. Holds none itself: each is read when it is needed, so that one that was changed counts
/// at the next call. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    variables: Arc<Variables>,
    folder: Option<DataRoot>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("folder", &self.folder.as_ref().map(DataRoot::path)).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Those of the environment (`QUIVER_SECRET_DB_PASSWORD` is `secret://db-password`) and then those of a folder.
    ///
    /// # Errors
    /// Why the folder cannot be opened.
    pub fn open(folder: Option<&Path>) -> Result<Self, Fault> {
        Self::with_variables(|name| std::env::var(name).ok(), folder)
    }

    /// As [`Secrets::open`], with the folder that `QUIVER_SECRETS_DIR` names.
    ///
    /// # Errors
    /// Why the folder cannot be opened.
    pub fn of_environment() -> Result<Self, Fault> {
        let folder = std::env::var_os(FOLDER_VARIABLE).filter(|folder| !folder.is_empty());
        Self::open(folder.as_deref().map(Path::new))
    }

    /// As [`Secrets::open`], with something else in the place of the environment.
    ///
    /// # Errors
    /// Why the folder cannot be opened.
    pub fn with_variables(
        variables: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        folder: Option<&Path>,
    ) -> Result<Self, Fault> {
        let open = |path: &Path| {
            DataRoot::open(path).map_err(|fault| match fault.kind() {
                FaultKind::NotFound => Fault::not_found(format!("there is no folder {} with secrets", path.display()))
                    .help("make it, or name another one with --secrets-dir"),
                _ => fault,
            })
        };
        Ok(Self { variables: Arc::new(variables), folder: folder.map(open).transpose()? })
    }

    /// The secret of this name.
    ///
    /// # Errors
    /// [`FaultKind::NotFound`] that says where it was looked for; why its file cannot be used.
    pub(crate) async fn get(&self, name: &str) -> Result<String, Fault> {
        check(name)?;
        if let Some(value) = (self.variables)(&variable(name)) {
            return not_empty(name, value);
        }
        let Some(folder) = self.folder.clone() else { return Err(self.missing(name)) };
        let file = name.to_owned();
        let read = tokio::task::spawn_blocking(move || read(&folder, &file)).await.map_err(Fault::internal)?;
        match read {
            Ok(Some(value)) => not_empty(name, value),
            Ok(None) => Err(self.missing(name)),
            Err(fault) => Err(fault),
        }
    }

    fn missing(&self, name: &str) -> Fault {
        let variable = variable(name);
        let looked = match &self.folder {
            Some(folder) => format!(
                "looked for the environment variable {variable}, and for the file {name} in {}",
                folder.path().display()
            ),
            None => format!(
                "looked for the environment variable {variable}; --secrets-dir names a folder with a file for each secret"
            ),
        };
        Fault::not_found(format!("there is no secret \"{name}\"")).help(looked)
    }
}

/// A name is that of a file in the folder, and leads nowhere else.
pub(super) fn check(name: &str) -> Result<(), Fault> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > LONGEST_NAME || name.starts_with('.') || !name.chars().all(good) {
        return Err(Fault::bad_params(format!("\"{name}\" cannot be the name of a secret"))
            .help("use letters, digits, - _ and . as in secret://db-password"));
    }
    Ok(())
}

fn variable(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("{VARIABLE}{}", name.chars().map(letter).collect::<String>())
}

fn not_empty(name: &str, value: String) -> Result<String, Fault> {
    match value.is_empty() {
        true => Err(Fault::bad_params(format!("the secret \"{name}\" is empty")).help("give it a value")),
        false => Ok(value),
    }
}

/// What a file says, without the end of its line. The folder holds the path beneath itself, wherever links lead.
fn read(folder: &DataRoot, name: &str) -> Result<Option<String>, Fault> {
    let file = match folder.open_file(name, "secret") {
        Ok(file) => file,
        Err(fault) if fault.kind() == FaultKind::NotFound => return Ok(None),
        Err(fault) if fault.kind() == FaultKind::Denied => {
            return Err(Fault::denied(format!("the secret \"{name}\" cannot be read"))
                .help("its file must be readable, and a link in the folder of secrets may not lead out of it"));
        }
        Err(fault) => {
            return Err(Fault::new(fault.kind(), format!("the secret \"{name}\" cannot be read: {}", fault.message()))
                .help("each secret is a file in the folder of secrets"));
        }
    };
    let mut text = String::new();
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData => Fault::bad_params(format!("the secret \"{name}\" is no text in UTF-8"))
            .help("write it as a text; keep other bytes in base64"),
        _ => Fault::io(format!("the secret \"{name}\""), &error),
    };
    file.into_std().take(LONGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LONGEST {
        return Err(Fault::bad_params(format!("the secret \"{name}\" is longer than 64 KiB"))
            .help("keep a password or a token in it, not data"));
    }
    let value = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Some(value.strip_suffix('\r').unwrap_or(value).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn secrets(folder: Option<&Path>) -> Secrets {
        let variables = |name: &str| (name == "QUIVER_SECRET_DB_PASS_1").then(|| "from the environment".to_owned());
        Secrets::with_variables(variables, folder).expect("it opens")
    }

    #[tokio::test]
    async fn the_environment_comes_first_and_then_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        write("db.pass-1", "not this");
        write("token", "t0ken \n");
        write("windows", "two\nlines\r\n");
        let secrets = secrets(Some(folder.path()));
        assert_eq!(secrets.get("db.pass-1").await.as_deref(), Ok("from the environment"));
        assert_eq!(secrets.get("token").await.as_deref(), Ok("t0ken "));
        assert_eq!(secrets.get("windows").await.as_deref(), Ok("two\nlines"));
    }

    #[tokio::test]
    async fn links_stay_in_the_folder_as_those_of_kubernetes_do() {
        let (folder, outside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        std::fs::create_dir(folder.path().join("..2024_02_29")).expect("made");
        std::fs::write(folder.path().join("..2024_02_29/token"), "inside").expect("written");
        std::fs::write(outside.path().join("token"), "outside").expect("written");
        symlink("..2024_02_29", folder.path().join("..data")).expect("linked");
        symlink("..data/token", folder.path().join("token")).expect("linked");
        symlink(outside.path().join("token"), folder.path().join("stolen")).expect("linked");
        symlink(outside.path(), folder.path().join("away")).expect("linked");
        symlink("away/token", folder.path().join("stolen-too")).expect("linked");
        let secrets = secrets(Some(folder.path()));
        assert_eq!(secrets.get("token").await.as_deref(), Ok("inside"));
        for name in ["stolen", "stolen-too"] {
            assert_eq!(secrets.get(name).await.expect_err("it leads out").kind(), FaultKind::Denied, "{name}");
        }
    }

    #[tokio::test]
    async fn names_lead_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let secrets = secrets(Some(folder.path()));
        for name in ["", ".", "..", "../token", "a/b", "a\\b", "..data", "é", "a b", "a\0"] {
            assert_eq!(secrets.get(name).await.expect_err("no name").kind(), FaultKind::BadParams, "{name}");
        }
    }

    #[tokio::test]
    async fn a_missing_secret_says_where_it_was_looked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = secrets(Some(folder.path())).get("db-key").await.expect_err("missing");
        let help = missing.help_text().expect("help");
        assert!(help.contains("QUIVER_SECRET_DB_KEY") && help.contains("the file db-key in /"), "{help}");
        let missing = secrets(None).get("db-key").await.expect_err("missing");
        assert!(missing.help_text().expect("help").contains("--secrets-dir"), "{missing:?}");
        let empty = Secrets::with_variables(|_| Some(String::new()), None).expect("it opens");
        assert_eq!(empty.get("db").await.expect_err("empty").message(), "the secret \"db\" is empty");
        let gone = Secrets::open(Some(&folder.path().join("no"))).expect_err("no folder");
        assert!(gone.message().ends_with("with secrets"), "{gone}");
    }
}
