//! Which data root a process is given: the knobs of every command that has one.

use super::bucket::Bucket;
use super::{DataRoot, Place, is_url};
use crate::fault::Fault;
use bytesize::ByteSize;
use clap::Args;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where files are.
#[derive(Clone, Debug, Args)]
pub struct RootOptions {
    /// The folder beneath which all files of pipelines lie, or a place in a bucket: `s3://bucket/prefix`, with credentials
    /// and endpoint from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL and the like.
    #[arg(long, env = "QUIVER_DATA_ROOT", default_value = ".", value_name = "DIR")]
    pub data_root: PathBuf,

    /// Where, if the data root is a bucket, copies of its objects are kept, and the store of runs, each bucket in a folder
    /// of its own [default: $XDG_STATE_HOME/quiver or ~/.local/state/quiver]
    #[arg(long, env = "QUIVER_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Disk for copies of objects. The copy that was not used for the longest time goes first.
    #[arg(long, env = "QUIVER_CACHE_SIZE", default_value_t = ByteSize::gib(10), value_name = "SIZE")]
    pub cache_size: ByteSize,

    /// How a bucket is reached.
    #[arg(skip = AwsSettings::from_env())]
    pub aws: AwsSettings,
}

impl RootOptions {
    /// This place, and the rest from the environment.
    pub fn at(data_root: impl Into<PathBuf>) -> Self {
        let state_dir = std::env::var_os("QUIVER_STATE_DIR").map(PathBuf::from);
        Self { data_root: data_root.into(), state_dir, cache_size: ByteSize::gib(10), aws: AwsSettings::from_env() }
    }

    /// Whether it is a place in a bucket.
    pub fn is_bucket(&self) -> bool {
        is_url(&self.data_root)
    }

    /// Opens it. A bucket is not asked for anything yet: what is wrong with it is told by what first needs it.
    ///
    /// # Errors
    /// Why a folder cannot be opened; for a bucket, that its URL or its settings are none.
    pub fn open(&self) -> Result<DataRoot, Fault> {
        if !self.is_bucket() {
            return DataRoot::open(&self.data_root);
        }
        Ok(DataRoot(Place::Bucket(Arc::new(Bucket::open(self)?))))
    }

    /// The folder for what is kept on this machine of a bucket.
    pub(super) fn state(&self) -> Result<PathBuf, Fault> {
        if let Some(folder) = &self.state_dir {
            return Ok(folder.clone());
        }
        let from = |name: &str, more: &str| {
            std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute()).map(|path| path.join(more))
        };
        let found = from("XDG_STATE_HOME", "quiver").or_else(|| from("HOME", ".local/state/quiver"));
        found.ok_or_else(|| {
            Fault::bad_params("a bucket needs a folder on this machine, and there is no HOME to make one in")
                .help("name one with --state-dir")
        })
    }
}

/// The settings of a bucket, by the names of environment variables: `AWS_ACCESS_KEY_ID` and the like.
#[derive(Clone, Default)]
pub struct AwsSettings(Vec<(String, String)>);

impl AwsSettings {
    /// Those of the environment.
    pub fn from_env() -> Self {
        let all =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        all.collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a variable that is set to something.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, value)| *found == name && !value.is_empty()).map(|(_, value)| value)
    }
}

impl FromIterator<(String, String)> for AwsSettings {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(all: I) -> Self {
        Self(all.into_iter().filter(|(name, _)| name.starts_with("AWS_")).collect())
    }
}

/// Values may be secrets.
impl fmt::Debug for AwsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}
