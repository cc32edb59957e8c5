//! Which data root a process is given: the knobs of every command that has one.

use super::bucket::{AwsSettings, Bucket, Keeping};
use super::located::is_url;
use super::{DataRoot, Place};
use crate::fault::Fault;
use crate::variables;
use bytesize::ByteSize;
use clap::Args;
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
        let state_dir = variables::set("QUIVER_STATE_DIR").map(PathBuf::from);
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
            let opened = DataRoot::open(&self.data_root);
            return match self.data_root.to_string_lossy().contains("://") && !self.data_root.exists() {
                true => opened.map_err(|fault| fault.help("a bucket is written --data-root s3://bucket/prefix")),
                false => opened,
            };
        }
        let keeping = Keeping { state: self.state()?, cache_size: self.cache_size.as_u64() };
        Ok(DataRoot(Place::Bucket(Arc::new(Bucket::open(&self.data_root, &self.aws, keeping)?))))
    }

    /// The folder for what is kept on this machine of a bucket.
    fn state(&self) -> Result<PathBuf, Fault> {
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
