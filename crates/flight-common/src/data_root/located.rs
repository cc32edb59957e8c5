//! Which place a user's path means, and which files a pattern.

use super::{DataRoot, FileEntry, LEGACY_ROOT, OWN_FOLDER, bucket, is_hidden};
use crate::fault::Fault;
use std::path::{Component, MAIN_SEPARATOR, Path, PathBuf};

/// The name of any file.
const SOME_FILE: &str = "file";

/// What stands for others stands for no slash, nor for the dot of what is hidden.
pub(crate) const WITHIN_FOLDERS: glob::MatchOptions =
    glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

impl DataRoot {
    /// The place that a user's path means, relative to the root. `param` is named in errors.
    ///
    /// # Errors
    /// [`crate::FaultKind::Denied`] for a path that leads out, [`crate::FaultKind::BadParams`] for one that is none.
    pub fn locate(&self, given: &str, param: &str) -> Result<PathBuf, Fault> {
        let refuse = |fault: Fault| {
            let message = fault.message().to_owned();
            fault.violation(format!("/{param}"), message)
        };
        if given.is_empty() || given.contains('\0') {
            return Err(refuse(Fault::bad_params(format!("{param} is not a path: {given:?}"))));
        }
        let path = Path::new(given);
        let inside = path.strip_prefix(LEGACY_ROOT).or_else(|_| path.strip_prefix(self.path())).unwrap_or(path);
        let outside = || {
            Fault::denied(format!("{given} lies outside the data root {self}"))
                .help("use a path relative to the data root, or set another one with --data-root")
        };
        if is_url(inside) {
            return Err(refuse(outside()));
        }
        let mut relative = PathBuf::new();
        for part in inside.components() {
            match part {
                Component::Normal(name) => relative.push(name),
                Component::CurDir => {}
                Component::ParentDir => {
                    let fault = Fault::denied(format!("{given} may lead outside the data root {self}: `..` is in it"));
                    let help = "write it without `..`, relative to the data root, or set another one with --data-root";
                    return Err(refuse(fault.help(help)));
                }
                Component::RootDir | Component::Prefix(_) => return Err(refuse(outside())),
            }
        }
        if relative.as_os_str().is_empty() || given.ends_with(['/', MAIN_SEPARATOR]) {
            let fault = Fault::bad_params(format!("{param}: {given} is a folder, not a file"));
            return Err(refuse(fault.help("add the name of a file, such as report.csv")));
        }
        // Some file systems take letters of either case for the same.
        if relative.iter().any(|name| name.eq_ignore_ascii_case(OWN_FOLDER)) {
            let fault = Fault::denied(format!("{OWN_FOLDER} is the own folder of an orchestrator"));
            return Err(refuse(fault.help("what a run has kept is read by its API")));
        }
        Ok(relative)
    }

    /// The same for a file that is sent to be kept, whose names must be ones that [`DataRoot::files`] shows and that a line
    /// of text can hold.
    ///
    /// # Errors
    /// As [`DataRoot::locate`]; [`crate::FaultKind::BadParams`] for other names.
    pub fn locate_upload(&self, given: &str, param: &str) -> Result<PathBuf, Fault> {
        let path = self.locate(given, param)?;
        let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
        let hidden = names.iter().find(|name| is_hidden(name));
        let broken = names.iter().find(|name| name.contains(char::is_control));
        let what = match (hidden, broken) {
            (Some(name), _) => format!("{name:?} would not be listed"),
            (None, Some(name)) => format!("{name:?} holds a control character"),
            (None, None) => return Ok(path),
        };
        Err(Fault::bad_params(what.clone()).help("choose another name").violation(format!("/{param}"), what))
    }

    /// The files whose paths match a user's pattern, in the order of their paths: `*` and `?` stand for what lies within a
    /// folder, `**` for any folders, `[ab]` for one of these characters. `param` is named in errors.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadParams`] for a pattern that is none, or that more than `most` files match; why a folder that may
    /// hold some cannot be looked at; otherwise as [`DataRoot::locate`].
    pub fn matching(&self, pattern: &str, param: &str, most: usize) -> Result<Vec<String>, Fault> {
        let refuse = |fault: Fault, what: &str| fault.violation(format!("/{param}"), format!("{pattern}: {what}"));
        let located = self.locate(pattern, param)?;
        let compiled = glob::Pattern::new(&located.to_string_lossy()).map_err(|error| {
            refuse(Fault::bad_params(format!("{pattern} is no pattern of files: {}", error.msg)), error.msg)
        })?;
        let mut found = Vec::new();
        let see = |file: FileEntry| {
            if compiled.matches_path_with(&file.path, WITHIN_FOLDERS) {
                found.push(file.path.to_string_lossy().into_owned());
            }
            found.len() <= most
        };
        // Rows that are left out without a word are worse than none.
        self.walk(literal_folder(&located), see, |path, fault| match leads_to(&located, path) {
            true => {
                let what = fault.message().to_owned();
                Err(refuse(fault, &what))
            }
            false => Ok(()),
        })?;
        if found.len() > most {
            let what = format!("more than {most} files match");
            return Err(refuse(Fault::bad_params(format!("{pattern}: {what}")).help("choose a narrower one"), &what));
        }
        found.sort();
        Ok(found)
    }
}

impl DataRoot {
    /// What files that match a user's pattern are called among all data: a namespace, and the names as a pattern.
    ///
    /// # Errors
    /// As [`DataRoot::locate`].
    pub(crate) fn pattern_of(&self, pattern: &str, param: &str) -> Result<(String, String), Fault> {
        let located = self.locate(pattern, param)?;
        let folder = literal_folder(&located);
        let open = located.strip_prefix(&folder).unwrap_or(&located).to_string_lossy();
        // The folder by what it is called from within.
        let (namespace, name) = self.name_of(&folder.join(SOME_FILE));
        let folder = name.strip_suffix(SOME_FILE).unwrap_or(&name);
        Ok((namespace, format!("{}{open}", glob::Pattern::escape(folder))))
    }
}

/// Whether this is the URL of a bucket or of something in it, and no path of a file.
pub(super) fn is_url(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.starts_with(bucket::SCHEME))
}

/// Whether a file beneath this path, or the file at it, may match the pattern.
fn leads_to(pattern: &Path, path: &Path) -> bool {
    let mut parts = pattern.iter();
    for name in path {
        let Some(part) = parts.next() else { return false };
        if part == "**" {
            return true;
        }
        let matches = |part: glob::Pattern| part.matches(&name.to_string_lossy());
        if !glob::Pattern::new(&part.to_string_lossy()).is_ok_and(matches) {
            return false;
        }
    }
    true
}

/// The folder of a pattern up to which nothing in it stands for something else.
fn literal_folder(pattern: &Path) -> PathBuf {
    let folder = pattern.parent().unwrap_or(Path::new(""));
    let literal = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    folder.components().take_while(literal).collect()
}
