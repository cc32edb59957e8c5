//! A data root that is a place in a bucket: S3, or a server that speaks as S3 does.
//!
//! Reading opens a copy of the object on this machine ([`cache`]); writing sends a file that is whole ([`upload`], [`show`]). So
//! every step works as it does with a folder, and a reader never sees a mixture of two versions. What a bucket cannot do,
//! the store of runs and files that grow, is on this machine.

mod address;
mod ahead;
mod blocking;
mod cache;
mod download;
mod fault;
mod settings;
mod show;
mod upload;
mod version;

use super::listing::Part;
use super::{DataFile, FileEntry, NewFile, is_hidden, looked_up};
use crate::fault::{Fault, FaultKind};
use crate::identity::FileIdentity;
use address::Address;
pub(super) use address::SCHEME;
pub(super) use ahead::ahead;
use blocking::{blocking, wait};
use cache::Cache;
use download::{Source, download};
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::path::Path as Key;
use object_store::{Error, ObjectMeta, ObjectStoreExt};
pub use settings::AwsSettings;
use sha2::{Digest, Sha256};
pub(super) use show::Sent;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
pub(super) use upload::Upload;

/// Names that are looked at for one that is like another.
const NEIGHBOURS: usize = 1000;

/// A place in a bucket, and what is kept of it on this machine.
pub(super) struct Bucket {
    address: Address,
    store: Arc<AmazonS3>,
    /// The same, for requests that whoever makes them repeats.
    once: AmazonS3,
    /// The server, as far as it tells this bucket from others of its name.
    server: String,
    state: PathBuf,
    cache: Cache,
}

/// What may be kept on this machine of buckets.
pub(super) struct Keeping {
    /// Where; each bucket has a folder of its own in it.
    pub state: PathBuf,
    /// Bytes for copies of objects.
    pub cache_size: u64,
}

impl Bucket {
    /// Gets ready to ask. Nothing is asked yet.
    pub fn open(url: &Path, settings: &AwsSettings, keeping: Keeping) -> Result<Self, Fault> {
        let address = Address::parse(url)?;
        let store = Arc::new(address.connect(settings, address::often())?);
        let once = address.connect(settings, address::once())?;
        let server = address::endpoint(settings).unwrap_or_default().trim_end_matches('/').to_owned();
        let place = format!("{}-{}", address.bucket, &digest(&[&server, &address.url])[..12]);
        let state = keeping.state.join(place);
        let cache = Cache::new(state.join("copies"), keeping.cache_size);
        Ok(Self { address, store, once, server, state, cache })
    }

    pub fn url(&self) -> &str {
        &self.address.url
    }

    pub fn own_path(&self) -> PathBuf {
        self.state.join("own")
    }

    /// The folder for what a bucket cannot keep.
    pub fn own_folder(&self) -> Result<PathBuf, Fault> {
        let path = self.own_path();
        cache::make(&path).map_err(|error| cache::unwritable(&path, &error))?;
        Ok(path)
    }

    pub fn name_of(&self, relative: &Path) -> (String, String) {
        let name = Path::new(self.address.prefix.as_ref()).join(relative);
        (format!("{SCHEME}{}", self.address.bucket), name.to_string_lossy().into_owned())
    }

    /// Whether the bucket is there, and lets itself be read.
    pub fn check(&self) -> Result<(), Fault> {
        blocking(|| self.page(&self.beneath(Path::new("")), one())).map(drop)
    }

    /// A copy of the object as it is now.
    pub fn open_file(&self, path: &Path, given: &str, param: &str) -> Result<DataFile, Fault> {
        let opened = || {
            let object = self.object(path, given)?;
            let version = version::version(&object);
            let name = digest(&[&self.server, &self.address.bucket, object.location.as_ref(), &version]);
            let size = object.size;
            let source = Source {
                store: self.store.clone(),
                object,
                url: self.url().to_owned(),
                shown: given.to_owned(),
                copies: self.cache.folder().to_owned(),
            };
            let file = self.cache.open(&name[..40], size, |file| wait(download(source, file)))?;
            Ok(DataFile::copy(file, version))
        };
        blocking(opened).map_err(|fault: Fault| of_param(fault, param))
    }

    /// That of the object as it is now, as a copy of it would have it.
    pub fn identity_of(&self, path: &Path, given: &str, param: &str) -> Result<FileIdentity, Fault> {
        let found = blocking(|| self.object(path, given)).map_err(|fault| of_param(fault, param))?;
        Ok(FileIdentity::of_object(given, found.size, version::version(&found)))
    }

    /// What the server says of an object.
    fn object(&self, path: &Path, given: &str) -> Result<ObjectMeta, Fault> {
        let key = self.key(path)?;
        match self.head(&key)? {
            Ok(object) => Ok(object),
            Err(Error::NotFound { .. }) => Err(self.missing(path, given)),
            Err(error) => {
                let has_no_words = matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. })
                    || fault::is_wordless(&error);
                // A list is told why it is refused; who may list is refused this object alone.
                if has_no_words {
                    self.check()?;
                }
                Err(fault::fault(self.url(), given, &error))
            }
        }
    }

    fn head(&self, key: &Key) -> Result<Result<ObjectMeta, Error>, Fault> {
        let (store, key) = (self.store.clone(), key.clone());
        wait(async move { Ok(store.head(&key).await) })
    }

    /// The fault for a file that is not there: with what is, in its place or beside it.
    fn missing(&self, path: &Path, given: &str) -> Fault {
        if self.holds_files(path).unwrap_or(false) {
            return Fault::bad_params(format!("{given} is a folder, not a file"));
        }
        match self.nearest_name(path) {
            Ok(near) => {
                Fault::not_found(format!("no file {given}")).help(looked_up(near.as_deref(), Path::new(self.url())))
            }
            // There is no bucket, say.
            Err(fault) => fault,
        }
    }

    /// Whether there are files beneath this path.
    fn holds_files(&self, path: &Path) -> Result<bool, Fault> {
        Ok(!self.page(&self.beneath(path), one())?.result.objects.is_empty())
    }

    fn nearest_name(&self, path: &Path) -> Result<Option<String>, Fault> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let options = PaginatedListOptions {
            delimiter: Some("/".into()),
            max_keys: Some(NEIGHBOURS),
            ..PaginatedListOptions::default()
        };
        let page = self.page(&self.beneath(folder), options)?.result;
        let keys = page.objects.iter().map(|object| &object.location).chain(&page.common_prefixes);
        let names: Vec<&str> = keys.filter_map(Key::filename).collect();
        let wanted = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let near = crate::params::nearest(wanted, names);
        Ok(near.map(|near| folder.join(near).to_string_lossy().into_owned()))
    }

    /// Shows each file beneath a folder, for as long as `see` says so. What begins with a dot is left out.
    pub fn walk(&self, from: &Path, mut see: impl FnMut(FileEntry) -> bool) -> Result<(), Fault> {
        let mut options = PaginatedListOptions::default();
        loop {
            let page = blocking(|| self.page(&self.beneath(from), options.clone()))?;
            for object in page.result.objects {
                if let Some(file) = self.file(&object)?
                    && !see(file)
                {
                    return Ok(());
                }
            }
            match page.page_token {
                Some(_) => options.page_token = page.page_token,
                None => return Ok(()),
            }
        }
    }

    /// The files that are wanted, by path.
    pub fn part(&self, part: Part<'_>) -> Result<Vec<FileEntry>, Fault> {
        let root = self.beneath(Path::new(""));
        let offset = Some(part.after).filter(|after| !after.is_empty()).map(|after| format!("{root}{after}"));
        let mut options = PaginatedListOptions { offset, ..PaginatedListOptions::default() };
        let mut found = Vec::new();
        loop {
            let page = blocking(|| self.page(&format!("{root}{}", part.prefix), options.clone()))?;
            for object in page.result.objects {
                found.extend(self.file(&object)?);
                if found.len() == part.most {
                    return Ok(found);
                }
            }
            match page.page_token {
                Some(_) => options.page_token = page.page_token,
                None => return Ok(found),
            }
        }
    }

    /// The file that an object is, unless it is hidden, or stands for a folder.
    fn file(&self, object: &ObjectMeta) -> Result<Option<FileEntry>, Fault> {
        let key = object.location.as_ref();
        let root = self.beneath(Path::new(""));
        let Some(relative) = key.strip_prefix(root.as_str()).filter(|path| !path.is_empty()) else { return Ok(None) };
        if relative.split('/').any(is_hidden) {
            return Ok(None);
        }
        // Some tools make empty objects for folders. The slash at the end of their keys is not told, but there is no
        // object without it.
        if object.size == 0 && matches!(blocking(|| self.head(&object.location))?, Err(Error::NotFound { .. })) {
            return Ok(None);
        }
        let modified = Some(object.last_modified.into());
        Ok(Some(FileEntry { path: relative.into(), bytes: object.size, modified }))
    }

    /// Whether a file may be called so. Nothing is asked.
    pub fn check_new_file(&self, relative: &Path) -> Result<(), Fault> {
        self.key(relative).map(drop)
    }

    /// Begins a file on this machine, which goes to the bucket when it is committed.
    pub fn new_file(self: &Arc<Self>, relative: &Path) -> Result<NewFile, Fault> {
        let shown = relative.to_string_lossy().into_owned();
        let key = self.key(relative)?;
        // Told now, and not when all rows are written. Who may write needs no right to list.
        match blocking(|| self.listed(&self.beneath(relative), one()))? {
            Ok(page) if !page.result.objects.is_empty() => return Err(super::is_a_folder(&shown)),
            Err(error) if !fault::lacks_right(&error) => return Err(self.not_listed(error)),
            Ok(_) | Err(_) => {}
        }
        let file = self.cache.scratch()?;
        Ok(NewFile::in_bucket(file, Upload { bucket: self.clone(), key, shown }))
    }

    fn page(&self, prefix: &str, options: PaginatedListOptions) -> Result<PaginatedListResult, Fault> {
        self.listed(prefix, options)?.map_err(|error| self.not_listed(error))
    }

    fn listed(&self, prefix: &str, options: PaginatedListOptions) -> Result<Result<PaginatedListResult, Error>, Fault> {
        let store = self.store.clone();
        let prefix = Some(prefix.to_owned()).filter(|prefix| !prefix.is_empty());
        wait(async move { Ok(store.list_paginated(prefix.as_deref(), options).await) })
    }

    fn not_listed(&self, error: Error) -> Fault {
        match error {
            // Of a list, only the bucket itself can be missing.
            Error::NotFound { .. } => fault::no_bucket(self.url()),
            error => fault::fault(self.url(), "its list of objects", &error),
        }
    }

    /// What the keys of all files beneath a folder begin with.
    fn beneath(&self, folder: &Path) -> String {
        let parts = [self.address.prefix.as_ref().to_owned(), folder.to_string_lossy().into_owned()];
        parts.iter().filter(|part| !part.is_empty()).map(|part| format!("{part}/")).collect()
    }

    fn key(&self, relative: &Path) -> Result<Key, Fault> {
        let refuse = || Fault::bad_params(format!("{} cannot be the key of an object", relative.display()));
        let relative = relative.to_str().ok_or_else(refuse)?;
        Key::parse(format!("{}{relative}", self.beneath(Path::new("")))).map_err(|_| refuse())
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("address", &self.address).field("state", &self.state).finish_non_exhaustive()
    }
}

/// Asks for one object only: whether there is any.
fn one() -> PaginatedListOptions {
    PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() }
}

fn of_param(fault: Fault, param: &str) -> Fault {
    if fault.kind() == FaultKind::Internal {
        return fault;
    }
    let message = fault.message().to_owned();
    fault.violation(format!("/{param}"), message)
}

/// A checksum of several texts, in hexadecimal digits.
fn digest(parts: &[&str]) -> String {
    let mut sum = Sha256::new();
    for part in parts {
        sum.update((part.len() as u64).to_le_bytes());
        sum.update(part);
    }
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
