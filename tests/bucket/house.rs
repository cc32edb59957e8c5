//! What these tests share: a server, a house whose data root is a place of its own in its bucket, and a look into it.

use flight_common::{AwsSettings, DataRoot, Fault, RootOptions};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use quiver_tests::{Ended, House, Running};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use test_servers::S3;
use tokio::runtime::Runtime;

const PROGRAM: &str = env!("CARGO_BIN_EXE_quiver-under-test");

/// What the HR pipeline reads.
pub const HR_DATA: &str = "examples/data/hr_employees.csv";

/// A server of this test alone.
pub fn server() -> S3 {
    S3::start(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// A house, and a place in a bucket that is its data root. The house itself keeps the pipelines, and what a bucket needs on
/// this machine.
pub struct Place {
    /// The folder that commands run in.
    pub house: House,
    /// `s3://bucket/prefix`.
    pub url: String,
    prefix: String,
    variables: Vec<(String, String)>,
    store: Box<dyn ObjectStore>,
    runtime: Runtime,
}

impl Place {
    /// A fresh one, with what the HR pipeline reads in it.
    pub fn new(server: &S3) -> Self {
        static PLACES: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("place-{}/in", PLACES.fetch_add(1, Ordering::Relaxed));
        let variables = server.environment(server.address());
        let mut builder = AmazonS3Builder::new().with_bucket_name(server.bucket());
        for (name, value) in &variables {
            builder = builder.with_config(name.to_lowercase().parse().expect("a setting"), value);
        }
        let url = format!("s3://{}/{prefix}", server.bucket());
        let house = House::new(PROGRAM);
        // The first client of the process names what its TLS is made of.
        drop(options(&house, &url, &variables).open().expect("a bucket"));
        let store = Box::new(builder.build().expect("a client"));
        let runtime = Runtime::new().expect("a runtime");
        let place = Self { house, url, prefix, variables, store, runtime };
        let content = std::fs::read(place.house.path().join(HR_DATA)).expect("an example");
        place.put(HR_DATA, content);
        place
    }

    /// The same place, reached through a door at this address.
    pub fn through(mut self, server: &S3, address: &str) -> Self {
        self.variables = server.environment(address);
        self
    }

    /// Sets a variable more for those who reach it from now on.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The options that open it.
    pub fn options(&self) -> RootOptions {
        options(&self.house, &self.url, &self.variables)
    }

    /// It, opened.
    pub fn root(&self) -> DataRoot {
        self.options().open().expect("a bucket")
    }

    /// The command with these words, at this data root.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.house.command(words);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command.envs(self.variables.iter().cloned());
        command.env("QUIVER_DATA_ROOT", &self.url).env("QUIVER_STATE_DIR", self.state());
        command
    }

    /// Runs the command to its end.
    pub fn quiver(&self, words: &[&str]) -> Ended {
        self.start(words).end_within(std::time::Duration::from_secs(300))
    }

    /// Runs the command to its end, which must be a good one.
    pub fn well(&self, words: &[&str]) -> Ended {
        let ended = self.quiver(words);
        assert_eq!(ended.code, Some(0), "{words:?}: {}{}", ended.stdout, ended.stderr);
        ended
    }

    /// Starts the command.
    pub fn start(&self, words: &[&str]) -> Running {
        let mut command = self.command(words);
        Running::of(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"))
    }

    /// Where on this machine what belongs to buckets is kept.
    pub fn state(&self) -> PathBuf {
        self.house.path().join("state")
    }

    /// The sizes of the copies of objects on this machine.
    pub fn copies(&self) -> Vec<u64> {
        let places = std::fs::read_dir(self.state()).into_iter().flatten().flatten();
        let copies = places.flat_map(|place| std::fs::read_dir(place.path().join("copies")).into_iter().flatten());
        copies.flatten().map(|copy| copy.metadata().expect("its size").len()).collect()
    }

    /// Puts an object at this path.
    pub fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        let key = self.key(path);
        let put = self.store.put(&key, content.into().into());
        self.runtime.block_on(put).expect("put");
    }

    /// The content of the object at this path.
    pub fn get(&self, path: &str) -> Vec<u8> {
        let bytes = async { self.store.get(&self.key(path)).await?.bytes().await };
        self.runtime.block_on(bytes).unwrap_or_else(|error| panic!("{path}: {error}")).into()
    }

    /// The paths of all objects but the example data, in order.
    pub fn outputs(&self) -> Vec<String> {
        use futures::TryStreamExt;
        let listed = self.store.list(Some(&self.key(""))).try_collect::<Vec<_>>();
        let listed = self.runtime.block_on(listed).expect("a list");
        let path = |key: &Key| key.as_ref().trim_start_matches(&self.prefix).trim_start_matches('/').to_owned();
        let mut paths: Vec<String> = listed.iter().map(|object| path(&object.location)).collect();
        paths.retain(|path| !path.starts_with("examples/"));
        paths.sort();
        paths
    }

    fn key(&self, path: &str) -> Key {
        Key::parse(format!("{}/{path}", self.prefix)).expect("a key")
    }
}

fn options(house: &House, url: &str, variables: &[(String, String)]) -> RootOptions {
    RootOptions {
        state_dir: Some(house.path().join("state")),
        aws: variables.iter().cloned().collect::<AwsSettings>(),
        ..RootOptions::at(url)
    }
}

/// How many of these requests did this.
pub fn count(requests: &[String], operation: &str) -> usize {
    requests.iter().filter(|request| request.split(' ').next() == Some(operation)).count()
}

/// What a fault says, and what to try.
pub fn told(fault: &Fault) -> String {
    format!("{fault}; {}", fault.help_text().unwrap_or_default())
}
