//! The files of kept outputs: where each lies, opened once it was found to be what was kept, and removed once no row of the
//! store names it any more.
//!
//! A file comes before the row that names it, and goes after it, so that no crash leaves a row without its file. What a
//! crash leaves is a file without a row. So does an output that is kept anew with another fingerprint, and a run that
//! begins anew. [`tidy`] removes them all, while nobody can resume their run: the run is over, and its row held.

use super::Service;
use crate::checksum::{Checksum, checksum_of};
use crate::store::{KeptOutput, Lease, StoreError};
use flight_common::{DataFile, DataRoot, Fault, FaultKind, compute};
use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io::{self, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The folder of kept outputs, in the orchestrator's own. In it is one for each run.
const FOLDER: &str = "kept";
/// Files that are known to be whole; past that many they are found out about anew.
const KNOWN: usize = 10_000;

/// Where an output is kept, relative to the orchestrator's own folder. Ids may hold any character, so they are hashed. No
/// two outputs share a file, nor do two replicas of which one has lost its lease.
pub(super) fn place(lease: &Lease, step: &str, fingerprint: &str, output: &str) -> PathBuf {
    let mut name = Checksum::default();
    for part in [step, fingerprint, output, &lease.fence.to_string()] {
        name.add_part(part);
    }
    folder(&lease.run).join(format!("{}.arrow", name.finish()))
}

fn folder(run: &str) -> PathBuf {
    Path::new(FOLDER).join(run)
}

/// What tells a file from what it was before, without a look at what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    file: (u64, u64),
    bytes: u64,
    written: (i64, i64),
    changed: (i64, i64),
    checksum: String,
}

impl State {
    fn of(found: &Metadata, checksum: &str) -> Self {
        Self {
            file: (found.dev(), found.ino()),
            bytes: found.len(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            checksum: checksum.to_owned(),
        }
    }
}

/// Files that this process has found to be whole, by their paths, as they were then.
#[derive(Default)]
pub(super) struct Whole(Mutex<HashMap<String, State>>);

impl Whole {
    fn knows(&self, path: &str, state: &State) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path) == Some(state)
    }

    fn learn(&self, path: &str, state: State) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(path.to_owned(), state);
    }
}

/// The file of a kept output, at its beginning, once all of it was found to be what was kept.
///
/// # Errors
/// [`FaultKind::NotFound`] when it is gone, [`FaultKind::BadData`] when it was changed.
pub(super) fn checked(own: &DataRoot, kept: &KeptOutput) -> Result<File, Fault> {
    let mut file = opened(own, kept)?;
    check(&mut file, kept)?;
    Ok(file)
}

fn check(file: &mut File, kept: &KeptOutput) -> Result<(), Fault> {
    let failed = |error: io::Error| Fault::io(&kept.path, &error);
    if checksum_of(&mut *file).map_err(failed)? != kept.checksum {
        return Err(anew(Fault::bad_data(said(kept, "was changed since it was kept: its SHA-256 is another"))));
    }
    file.rewind().map_err(failed)
}

fn opened(own: &DataRoot, kept: &KeptOutput) -> Result<File, Fault> {
    own.open_file(&kept.path, "path").map(DataFile::into_std).map_err(|fault| match fault.kind() {
        FaultKind::NotFound => anew(Fault::not_found(said(kept, "is gone"))),
        _ => fault,
    })
}

fn said(kept: &KeptOutput, what: &str) -> String {
    let KeptOutput { run_id, step, output, path, .. } = kept;
    format!("the kept output \"{output}\" of {step} in run {run_id} {what} (the file {path})")
}

fn anew(fault: Fault) -> Fault {
    fault.help("run the step again: resume the run if it has not ended well, else submit its pipeline anew")
}

impl Service {
    /// The file of a kept output, at its beginning. All of it is looked at before, once for as long as nobody touches it.
    ///
    /// # Errors
    /// [`FaultKind::NotFound`] when it is gone, [`FaultKind::BadData`] when it is not what was kept.
    pub async fn kept_file(&self, kept: &KeptOutput) -> Result<File, Fault> {
        let (service, kept) = (self.0.clone(), kept.clone());
        compute::run(move || {
            let mut file = opened(&service.own, &kept)?;
            let found = file.metadata().map_err(|error| Fault::io(&kept.path, &error))?;
            let state = State::of(&found, &kept.checksum);
            if !service.whole.knows(&kept.path, &state) {
                check(&mut file, &kept)?;
                service.whole.learn(&kept.path, state);
            }
            Ok(file)
        })
        .await
    }

    /// The file of a kept output, for what is told of its columns: whether its rows are what was kept is not looked at.
    ///
    /// # Errors
    /// [`FaultKind::NotFound`] when it is gone.
    pub async fn kept_head(&self, kept: &KeptOutput) -> Result<File, Fault> {
        let (service, kept) = (self.0.clone(), kept.clone());
        compute::run(move || opened(&service.own, &kept)).await
    }
}

/// Removes files of a run that no row names, and its folder if nothing is left in it: if the run is over, and while it
/// stays so.
///
/// # Errors
/// Why the store cannot be asked.
pub(super) async fn tidy(service: &Service, run: &str) -> Result<(), StoreError> {
    let Some(over) = service.0.store.over(run).await? else { return Ok(()) };
    let named: HashSet<PathBuf> = over.kept.iter().map(|kept| PathBuf::from(&kept.path)).collect();
    let (own, folder) = (service.0.own.clone(), folder(run));
    // Not on the compute pool, where others may take long: the store's row is held.
    let tidied = tokio::task::spawn_blocking(move || {
        for name in own.names(&folder)? {
            let path = folder.join(name);
            if !named.contains(&path) {
                own.remove_file(&path)?;
            }
        }
        own.remove_empty(&folder)
    })
    .await
    .unwrap_or_else(|error| Err(Fault::internal(error)));
    over.release();
    if let Err(fault) = tidied {
        tracing::warn!(run, fault = %fault, "the folder of kept outputs could not be tidied");
    }
    Ok(())
}

/// Tidies the folder of each run where a file lies that no row names, or no file at all.
///
/// # Errors
/// Why the store cannot be asked, or the folders not be read.
pub(super) async fn sweep(service: &Service) -> Result<(), Fault> {
    let own = service.0.own.clone();
    let mut runs = compute::run(move || own.names(Path::new(FOLDER))).await?;
    runs.sort();
    for run in runs.iter().filter_map(|run| run.to_str()) {
        let (own, folder) = (service.0.own.clone(), folder(run));
        let inside = folder.clone();
        let files: HashSet<PathBuf> =
            compute::run(move || own.names(&inside)).await?.into_iter().map(|name| folder.join(name)).collect();
        let kept = service.0.store.kept(run).await?;
        let named = kept.iter().filter(|kept| files.contains(Path::new(&kept.path))).count();
        if files.is_empty() || named < files.len() {
            tidy(service, run).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_known_until_somebody_touches_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.arrow");
        let state = |checksum: &str| State::of(&fs::metadata(&path).expect("there"), checksum);
        fs::write(&path, "rows").expect("written");
        let whole = Whole::default();
        assert!(!whole.knows("a", &state("c")));
        whole.learn("a", state("c"));
        assert!(whole.knows("a", &state("c")));
        assert!(!whole.knows("a", &state("d")), "another one was kept");
        // Of the same length, and put in its place.
        fs::write(folder.path().join("b.arrow"), "cows").expect("written");
        fs::rename(folder.path().join("b.arrow"), &path).expect("renamed");
        assert!(!whole.knows("a", &state("c")));
    }
}
