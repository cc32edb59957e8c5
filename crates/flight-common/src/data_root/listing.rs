//! The files beneath the root in the order of their paths, in parts: each goes on where the one before has ended, and looks at
//! little else.

use super::{DataRoot, FileEntry, Place, is_hidden};
use crate::fault::Fault;
use std::path::{Component, Path};

/// Which files are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// What their paths begin with.
    pub prefix: &'a str,
    /// The path that they come after.
    pub after: &'a str,
    /// How many of them at most.
    pub most: usize,
}

impl Part<'_> {
    /// Whether the file at this path is one.
    pub fn has(&self, path: &str) -> bool {
        path.starts_with(self.prefix) && path > self.after
    }

    /// Whether a file beneath a folder, whose path ends with a slash, may be one.
    pub fn leads_to(&self, folder: &str) -> bool {
        (folder.starts_with(self.prefix) || self.prefix.starts_with(folder))
            && (folder > self.after || self.after.starts_with(folder))
    }
}

impl DataRoot {
    /// The files whose paths begin with `prefix`: the first by path, and of those that come `after` one at most `most`. Without
    /// those whose names or folders begin with a dot, and those that cannot be looked at.
    ///
    /// # Errors
    /// Why the root cannot be read.
    pub fn files(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Vec<FileEntry>, Fault> {
        let folder = Path::new(prefix.rsplit_once('/').map_or("", |(folder, _)| folder));
        let is_shown =
            |part: Component<'_>| matches!(part, Component::Normal(name) if !is_hidden(&name.to_string_lossy()));
        if !folder.components().all(is_shown) {
            return Ok(Vec::new());
        }
        let part = Part { prefix, after: after.unwrap_or_default(), most };
        match &self.0 {
            Place::Folder(root) => root.part(folder, part),
            Place::Bucket(bucket) => bucket.part(part),
        }
    }
}
