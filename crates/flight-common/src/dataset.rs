//! Names of data that lie outside a pipeline: what an extract reads and what a load writes.
//!
//! They are made as OpenLineage names datasets, so that a file that one pipeline writes and another one reads, or a tool
//! that is not ours, goes by one name.

use crate::data_root::{DataRoot, WITHIN_FOLDERS};
use crate::fault::Fault;
use crate::identity::is_pattern;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A file, a table, or another place of data. It holds no password.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dataset {
    /// Where it is: `file`, `s3://bucket`, `postgres://host:5432`.
    pub namespace: String,
    /// What it is called there: an absolute path, a key, `database.schema.table`.
    pub name: String,
}

impl Dataset {
    /// This name in this place.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The file or folder at this path beneath the data root.
    pub fn file(root: &DataRoot, relative: &Path) -> Self {
        let (namespace, name) = root.name_of(relative);
        Self { namespace, name }
    }

    /// The file at this path beneath the data root, or the one that a link there leads to: for who writes into it.
    pub fn followed(root: &DataRoot, relative: &Path) -> Self {
        let (namespace, name) = root.followed(relative).unwrap_or_else(|| root.name_of(relative));
        Self { namespace, name }
    }

    /// The file at this path beneath the data root, by its name, and by that of what a link there leads to.
    pub fn names(root: &DataRoot, relative: &Path) -> impl Iterator<Item = Self> {
        let followed = root.followed(relative).map(|(namespace, name)| Self { namespace, name });
        [Self::file(root, relative)].into_iter().chain(followed)
    }

    /// The file at one of these paths beneath the data root, or the folder that all of them are in.
    pub fn files<P: AsRef<Path>>(root: &DataRoot, relative: &[P]) -> Self {
        let Some((first, others)) = relative.split_first() else { return Self::file(root, Path::new("")) };
        let common = others.iter().fold(first.as_ref().to_owned(), |common, path| {
            let alike = common.components().zip(path.as_ref().components()).take_while(|(one, other)| one == other);
            alike.map(|(one, _)| one).collect::<PathBuf>()
        });
        Self::file(root, &common)
    }
}

/// A file or a table that a step writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The file or the table.
    #[serde(flatten)]
    pub dataset: Dataset,
    /// Whether all that is there stays, with more rows beside it, also when it is done again. Else it may be gone.
    #[serde(default)]
    pub adds: bool,
}

impl From<Dataset> for Written {
    /// What is there may be gone.
    fn from(dataset: Dataset) -> Self {
        Self { dataset, adds: false }
    }
}

/// A file that a step reads, or files of which all that match are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFile {
    /// The file; or its name is a pattern of files.
    #[serde(flatten)]
    pub dataset: Dataset,
    /// Whether the name is a pattern, as [`DataRoot::matching`] takes it.
    #[serde(default)]
    pub is_pattern: bool,
}

impl From<Dataset> for ReadFile {
    fn from(dataset: Dataset) -> Self {
        Self { dataset, is_pattern: false }
    }
}

impl ReadFile {
    /// The file at this path, by its name, and by that of what a link leads to.
    ///
    /// # Errors
    /// As [`DataRoot::locate`]. `param` is named in it.
    pub fn file(root: &DataRoot, given: &str, param: &str) -> Result<Vec<Self>, Fault> {
        Ok(Dataset::names(root, &root.locate(given, param)?).map(Self::from).collect())
    }

    /// What a user's path means (see [`crate::files_of`]), of which these files were found: by its name, and by those that links lead to.
    ///
    /// # Errors
    /// As [`DataRoot::locate`]. `param` is named in it.
    pub fn of<'a>(
        root: &DataRoot,
        given: &str,
        files: impl IntoIterator<Item = &'a str>,
        param: &str,
    ) -> Result<Vec<Self>, Fault> {
        if !is_pattern(given) {
            return Self::file(root, given, param);
        }
        let mut read = vec![Self::matching(root, given, param)?];
        for file in files {
            let file = root.locate(file, param)?;
            read.extend(root.followed(&file).map(|(namespace, name)| Dataset { namespace, name }.into()));
        }
        Ok(read)
    }

    /// All that match this pattern, as [`DataRoot::matching`] takes it.
    ///
    /// # Errors
    /// As [`DataRoot::locate`]. `param` is named in it.
    pub fn matching(root: &DataRoot, pattern: &str, param: &str) -> Result<Self, Fault> {
        let (namespace, name) = root.pattern_of(pattern, param)?;
        Ok(Self { dataset: Dataset { namespace, name }, is_pattern: true })
    }

    /// What it matches, if it is a pattern.
    pub fn pattern(&self) -> Option<FilePattern<'_>> {
        let Dataset { namespace, name } = &self.dataset;
        let names = self.is_pattern.then(|| glob::Pattern::new(name).ok()).flatten()?;
        Some(FilePattern { namespace, names })
    }
}

/// Which files a step reads, by their names.
#[derive(Debug)]
pub struct FilePattern<'a> {
    namespace: &'a str,
    names: glob::Pattern,
}

impl FilePattern<'_> {
    /// Whether this file is one of them.
    pub fn matches(&self, file: &Dataset) -> bool {
        self.namespace == file.namespace && self.names.matches_with(&file.name, WITHIN_FOLDERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_files_are_the_folder_that_they_are_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = DataRoot::open(folder.path()).expect("a root");
        let named = |paths: &[&str]| Dataset::files(&root, paths).name;
        let full = |path: &str| root.path().join(path).to_string_lossy().into_owned();
        assert_eq!(named(&["a/b/1.csv"]), full("a/b/1.csv"));
        assert_eq!(named(&["a/b/1.csv", "a/b/2.csv"]), full("a/b"));
        assert_eq!(named(&["a/b/1.csv", "a/bc/2.csv"]), full("a"));
    }
}
