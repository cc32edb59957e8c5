//! The only way to a file.
//!
//! Every path that a user names is opened beneath the data root, and the operating system holds it there: neither
//! `..` nor a symbolic link leads out, not even one that is swapped in while a run is under way.

use crate::fault::Fault;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptionsExt};
use cap_tempfile::TempFile;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Where the system that Quiver succeeds kept its files. Paths under it are read as paths under the data root.
pub const LEGACY_ROOT: &str = "/app/data";

/// The orchestrator's own folder in the data root. No path of a pipeline leads into it.
pub const OWN_FOLDER: &str = ".quiver";

/// The folder beneath which all files of pipelines lie.
#[derive(Clone, Debug)]
pub struct DataRoot {
    dir: Arc<Dir>,
    path: Arc<PathBuf>,
}

impl DataRoot {
    /// The data root at `path`, which must be a folder.
    ///
    /// # Errors
    /// Why the folder cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Fault> {
        let path = path.as_ref();
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Fault::not_found(format!("there is no folder {} for data", path.display()))
                .help("make it, or set another one with --data-root"),
            _ => Fault::io(format!("the data root {}", path.display()), &error),
        };
        let full = path.canonicalize().map_err(failed)?;
        let dir = Dir::open_ambient_dir(&full, ambient_authority()).map_err(failed)?;
        Ok(Self { dir: Arc::new(dir), path: Arc::new(full) })
    }

    /// Its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The orchestrator's own folder in it, made if it is not there: a root of its own.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn own_folder(&self) -> Result<Self, Fault> {
        let path = self.path.join(OWN_FOLDER);
        let made = self.make_folder(Path::new(OWN_FOLDER));
        let dir = made.map_err(|error| Fault::io(path.display(), &error))?;
        Ok(Self { dir: Arc::new(dir), path: Arc::new(path) })
    }

    /// Removes a file. One that is not there is removed already.
    ///
    /// # Errors
    /// Why it cannot be removed.
    pub fn remove_file(&self, relative: &Path) -> Result<(), Fault> {
        match self.dir.remove_file(relative) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Fault::io(relative.display(), &error)),
            _ => Ok(()),
        }
    }

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
        let inside = path.strip_prefix(LEGACY_ROOT).or_else(|_| path.strip_prefix(self.path.as_path())).unwrap_or(path);
        let mut relative = PathBuf::new();
        for part in inside.components() {
            match part {
                Component::Normal(name) => relative.push(name),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(refuse(
                        Fault::denied(format!("{given} lies outside the data root {}", self.path.display()))
                            .help("use a path relative to the data root, or set another one with --data-root"),
                    ));
                }
            }
        }
        if relative.as_os_str().is_empty() {
            return Err(refuse(Fault::bad_params(format!("{given} is a folder, not a file"))));
        }
        if relative.starts_with(OWN_FOLDER) {
            let fault = Fault::denied(format!("{OWN_FOLDER} is the orchestrator's own folder"));
            return Err(refuse(fault.help("what a run has kept is read by its API")));
        }
        Ok(relative)
    }

    /// Opens a user's file for reading.
    ///
    /// # Errors
    /// As [`DataRoot::locate`]; otherwise why the file cannot be opened.
    pub fn open_file(&self, given: &str, param: &str) -> Result<File, Fault> {
        let path = self.locate(given, param)?;
        let mut options = cap_std::fs::OpenOptions::new();
        // A pipe without a writer would be waited for.
        options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        let opened = self.dir.open_with(&path, &options);
        let file = opened.map_err(|error| self.explain(given, param, &path, &error))?;
        let found = file.metadata().map_err(|error| Fault::io(given, &error))?;
        if !found.is_file() {
            let what = if found.is_dir() { "a folder" } else { "a pipe or a device" };
            let message = format!("{given} is {what}, not a file");
            return Err(Fault::bad_params(message.clone()).violation(format!("/{param}"), message));
        }
        Ok(file)
    }

    fn explain(&self, given: &str, param: &str, path: &Path, error: &io::Error) -> Fault {
        let pointer = format!("/{param}");
        if leads_out(error) {
            return Fault::denied(format!("{given} leads outside the data root {}", self.path.display()))
                .help("a symbolic link may only point to files beneath the data root")
                .violation(pointer, format!("{given} leads outside the data root"));
        }
        let fault = Fault::io(given, error);
        let message = fault.message().to_owned();
        let fault = fault.violation(pointer, message);
        if error.kind() != io::ErrorKind::NotFound {
            return fault;
        }
        let root = self.path.display();
        match self.nearest_name(path) {
            Some(near) => fault.help(format!("did you mean \"{near}\"? (looked beneath {root})")),
            None => {
                fault.help(format!("paths are looked up beneath the data root {root}; set another with --data-root"))
            }
        }
    }

    fn nearest_name(&self, path: &Path) -> Option<String> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let wanted = path.file_name()?.to_str()?;
        let entries = if folder.as_os_str().is_empty() { self.dir.entries() } else { self.dir.read_dir(folder) };
        let names: Vec<String> =
            entries.ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).take(1000).collect();
        let near = crate::params::nearest(wanted, names.iter().map(String::as_str))?;
        Some(folder.join(near).to_string_lossy().into_owned())
    }

    /// Adds to the end of a file, which is made if it is not there.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn append(&self, relative: &Path, bytes: &[u8]) -> Result<(), Fault> {
        let shown = relative.display();
        let folder = relative.parent().unwrap_or(Path::new(""));
        let dir = if folder.as_os_str().is_empty() { self.dir.try_clone() } else { self.make_folder(folder) };
        let name = relative.file_name().ok_or_else(|| Fault::bad_params(format!("{shown} has no file name")))?;
        let written = dir.and_then(|dir| {
            let mut options = cap_std::fs::OpenOptions::new();
            dir.open_with(name, options.append(true).create(true))?.write_all(bytes)
        });
        written.map_err(|error| Fault::io(shown, &error))
    }

    /// The files beneath the root, by path, without those whose names or folders begin with a dot. At most `most` of them.
    ///
    /// # Errors
    /// Why the root cannot be read.
    pub fn files(&self, most: usize) -> Result<Vec<FileEntry>, Fault> {
        let mut found = Vec::new();
        self.walk(PathBuf::new(), |file| {
            found.push(file);
            found.len() < most
        })?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// The files whose paths match a user's pattern, in the order of their paths: `*` and `?` stand for what lies within a
    /// folder, `**` for any folders, `[ab]` for one of these characters. `param` is named in errors.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadParams`] for a pattern that is none, or that more than `most` files match; otherwise as
    /// [`DataRoot::locate`].
    pub fn matching(&self, pattern: &str, param: &str, most: usize) -> Result<Vec<String>, Fault> {
        let refuse = |fault: Fault, what: &str| fault.violation(format!("/{param}"), format!("{pattern}: {what}"));
        let located = self.locate(pattern, param)?;
        let compiled = glob::Pattern::new(&located.to_string_lossy()).map_err(|error| {
            refuse(Fault::bad_params(format!("{pattern} is no pattern of files: {}", error.msg)), error.msg)
        })?;
        let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::default() };
        let mut found = Vec::new();
        self.walk(literal_folder(&located), |file| {
            if compiled.matches_path_with(&file.path, options) {
                found.push(file.path.to_string_lossy().into_owned());
            }
            found.len() <= most
        })?;
        if found.len() > most {
            let what = format!("more than {most} files match");
            return Err(refuse(Fault::bad_params(format!("{pattern}: {what}")).help("choose a narrower one"), &what));
        }
        found.sort();
        Ok(found)
    }

    /// Shows each file beneath a folder, in no particular order, for as long as `see` says so. What begins with a dot is
    /// left out.
    fn walk(&self, from: PathBuf, mut see: impl FnMut(FileEntry) -> bool) -> Result<(), Fault> {
        let mut folders = vec![from];
        while let Some(folder) = folders.pop() {
            let entries = match folder.as_os_str().is_empty() {
                true => self.dir.entries(),
                false => self.dir.read_dir(&folder),
            };
            let entries = match entries {
                Ok(entries) => entries,
                // It may be gone meanwhile, or not ours to read; the root itself must be.
                Err(error) if folder.as_os_str().is_empty() => return Err(Fault::io(self.path.display(), &error)),
                Err(_) => continue,
            };
            for entry in entries.filter_map(Result::ok) {
                let name = entry.file_name();
                let Some(metadata) = entry.metadata().ok().filter(|_| !name.to_string_lossy().starts_with('.')) else {
                    continue;
                };
                let path = folder.join(name);
                if metadata.is_dir() {
                    folders.push(path);
                    continue;
                }
                let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
                if metadata.is_file() && !see(FileEntry { path, bytes: metadata.len(), modified }) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Begins a file that is seen only once it is whole: see [`NewFile::commit`].
    ///
    /// # Errors
    /// Why the folder cannot be made or written to.
    pub fn new_file(&self, relative: &Path) -> Result<NewFile, Fault> {
        let shown = relative.display();
        let folder = relative.parent().unwrap_or(Path::new(""));
        let dir = if folder.as_os_str().is_empty() { self.dir.try_clone() } else { self.make_folder(folder) };
        let dir = dir.map_err(|error| match leads_out(&error) {
            true => Fault::denied(format!("{} leads outside the data root {}", folder.display(), self.path.display()))
                .help("a symbolic link may only point to folders beneath the data root"),
            false => Fault::io(folder.display(), &error),
        })?;
        let name =
            relative.file_name().ok_or_else(|| Fault::bad_params(format!("{shown} has no file name")))?.to_owned();
        if dir.metadata(&name).is_ok_and(|found| found.is_dir()) {
            return Err(Fault::bad_params(format!("{shown} is a folder, not a file"))
                .help("move the folder away, or choose another name"));
        }
        NewFile::begin(dir, name).map_err(|error| Fault::io(shown, &error))
    }

    /// Opens before it makes: making a folder in the place of a file, or of a link that leads out, only says that
    /// something is there.
    fn make_folder(&self, folder: &Path) -> io::Result<Dir> {
        match self.dir.open_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.dir.create_dir_all(folder)?;
                self.dir.open_dir(folder)
            }
            opened => opened,
        }
    }
}

/// The folder of a pattern up to which nothing in it stands for something else.
fn literal_folder(pattern: &Path) -> PathBuf {
    let folder = pattern.parent().unwrap_or(Path::new(""));
    let literal = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    folder.components().take_while(literal).collect()
}

/// cap-std refuses what leads out of the root with an error of its own.
fn leads_out(error: &io::Error) -> bool {
    error.raw_os_error().is_none() && error.kind() == io::ErrorKind::PermissionDenied
}

/// A file beneath the data root.
#[derive(Clone, Debug)]
pub struct FileEntry {
    /// Its path, relative to the root.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// When it was last written.
    pub modified: Option<std::time::SystemTime>,
}

self_cell::self_cell!(
    /// A folder, and the unnamed file in it that is being written.
    struct Draft {
        owner: Dir,
        #[not_covariant]
        dependent: Unnamed,
    }
);

type Unnamed<'dir> = Option<TempFile<'dir>>;

/// A file in the making. It has no name until it is committed, so that a crash at any point leaves nothing behind.
pub struct NewFile {
    draft: Draft,
    name: OsString,
}

impl NewFile {
    fn begin(dir: Dir, name: OsString) -> io::Result<Self> {
        let draft = Draft::try_new(dir, |dir| TempFile::new(dir).map(Some))?;
        Ok(Self { draft, name })
    }

    fn with_file<R>(&mut self, work: impl FnOnce(&mut File) -> io::Result<R>) -> io::Result<R> {
        self.draft.with_dependent_mut(|_, file| match file {
            Some(file) => work(file.as_file_mut()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        })
    }

    /// Makes the file seen under its name, whole, in place of one that was there.
    ///
    /// # Errors
    /// Why it could not be written; then nothing is seen, and a file that was there stays.
    pub fn commit(mut self) -> Result<(), Fault> {
        let name = &self.name;
        let committed = self.draft.with_dependent_mut(|dir, file| {
            let file = file.take().ok_or(io::ErrorKind::BrokenPipe)?;
            file.as_file().sync_all()?;
            file.replace(name)?;
            // The name itself lasts only once its folder is on disk.
            dir.open(".")?.sync_all()
        });
        committed.map_err(|error: io::Error| Fault::io(self.name.to_string_lossy(), &error))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with_file(|file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with_file(File::flush)
    }
}

impl io::Seek for NewFile {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.with_file(|file| file.seek(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FaultKind;
    use std::fs;

    fn root() -> (tempfile::TempDir, DataRoot) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = DataRoot::open(folder.path()).expect("it is there");
        (folder, root)
    }

    fn kind(root: &DataRoot, path: &str) -> FaultKind {
        root.open_file(path, "file_path").expect_err("refused").kind()
    }

    #[test]
    fn what_leads_out_is_denied() {
        let (folder, root) = root();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).expect("a link");
        for path in ["../x", "a/../../x", "/etc/passwd", "link", ".quiver/quiver.db", "./.quiver/x"] {
            assert_eq!(kind(&root, path), FaultKind::Denied, "{path}");
        }
        assert_eq!(kind(&root, "a\0b"), FaultKind::BadParams);
        assert_eq!(kind(&root, "."), FaultKind::BadParams);
        let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status();
        assert!(made.is_ok_and(|status| status.success()));
        assert_eq!(kind(&root, "pipe"), FaultKind::BadParams);
    }

    #[test]
    fn the_old_root_and_the_real_one_both_mean_the_data_root() {
        let (folder, root) = root();
        fs::write(folder.path().join("a.csv"), "x").expect("written");
        let full = root.path().join("a.csv");
        for path in ["a.csv", "./a.csv", "/app/data/a.csv", full.to_str().expect("a plain name")] {
            assert!(root.open_file(path, "file_path").is_ok(), "{path}");
        }
    }

    #[test]
    fn a_pattern_finds_files_in_order_and_none_outside() {
        let (folder, root) = root();
        for path in ["sales/b.csv", "sales/a.csv", "sales/old/c.csv", "sales/.hidden.csv", "sales/d.txt", "e.csv"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, "x").expect("written");
        }
        let found = |pattern: &str| root.matching(pattern, "files", 3).map_err(|fault| fault.kind());
        assert_eq!(found("sales/*.csv").expect("found"), ["sales/a.csv", "sales/b.csv"]);
        assert_eq!(found("/app/data/sales/**/*.csv").expect("found").len(), 3);
        assert_eq!(found("**/[ce].csv").expect("found"), ["e.csv", "sales/old/c.csv"]);
        assert_eq!(found("none/*").expect("nothing"), [""; 0]);
        assert_eq!(found("../*"), Err(FaultKind::Denied));
        assert_eq!(found("a["), Err(FaultKind::BadParams));
        assert_eq!(found("**"), Err(FaultKind::BadParams), "too many");
    }

    #[test]
    fn a_missing_file_names_its_neighbour() {
        let (folder, root) = root();
        fs::write(folder.path().join("employees.csv"), "x").expect("written");
        let fault = root.open_file("employee.csv", "file_path").expect_err("it is not there");
        assert_eq!(fault.kind(), FaultKind::NotFound);
        assert!(fault.help_text().is_some_and(|help| help.contains("employees.csv")));
    }

    #[test]
    fn a_file_is_seen_whole_or_not_at_all() {
        let (folder, root) = root();
        let mut dropped = root.new_file(Path::new("out/a.csv")).expect("begun");
        dropped.write_all(b"half").expect("written");
        drop(dropped);
        assert_eq!(fs::read_dir(folder.path().join("out")).expect("a folder").count(), 0);

        let mut whole = root.new_file(Path::new("out/a.csv")).expect("begun");
        whole.write_all(b"all of it").expect("written");
        whole.commit().expect("committed");
        assert_eq!(fs::read(folder.path().join("out/a.csv")).expect("there"), b"all of it");
    }
}
