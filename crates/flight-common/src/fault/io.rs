//! Faults of files: what the operating system says, in words of ours.

use super::Fault;
use std::fmt::Display;
use std::io::{Error, ErrorKind as E};

impl Fault {
    /// The fault for a failed file operation on `what` (a path as the user wrote it).
    pub fn io(what: impl Display, error: &Error) -> Self {
        match error.kind() {
            E::NotFound => Self::not_found(format!("no file {what}")),
            E::PermissionDenied => Self::denied(format!("no permission for {what}"))
                .help("let the user that runs the service read or write it"),
            E::ReadOnlyFilesystem => Self::denied(format!("{what} is on a file system that is read-only"))
                .help("mount it so that the user that runs the service can write, or choose another place"),
            E::IsADirectory => Self::bad_params(format!("{what} is a folder, not a file")),
            E::NotADirectory => Self::bad_params(format!("part of {what} is a file, not a folder")),
            E::StorageFull | E::QuotaExceeded => {
                Self::busy(format!("no space left for {what}")).help("free some disk space, then run again")
            }
            E::FileTooLarge => Self::busy(format!("{what} would be larger than a file may be"))
                .help("raise the limit of the process (`ulimit -f`), or take a file system that allows larger files"),
            E::InvalidFilename => Self::bad_params(format!("the name {what} is too long, or none that files may have")),
            _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                Self::bad_params(format!("{what} is a link that leads in a circle"))
            }
            _ if too_many_files(error) => Self::busy(format!("{what} cannot be opened: {error}"))
                .help("raise the limit of open files (`ulimit -n`), or run less at once"),
            _ => Self::upstream(format!("{what}: {error}")),
        }
    }

    /// As [`Fault::io`] for a failed write, with what makes room for it. A file that is too large is helped by none.
    pub(crate) fn unwritten(what: impl Display, error: &Error, room: &str) -> Self {
        let fault = Self::io(what, error);
        if error.kind() == E::FileTooLarge { fault } else { fault.help(room) }
    }
}

/// Whether this process, or the machine, has as many files open as it may.
fn too_many_files(error: &Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FaultKind;
    use rustix::io::Errno;

    #[test]
    fn a_full_disk_is_busy_and_a_file_that_is_too_large_is_told_apart() {
        for (errno, told) in [(Errno::NOSPC, "disk space"), (Errno::DQUOT, "disk space"), (Errno::FBIG, "ulimit -f")] {
            let fault = Fault::io("out.csv", &errno.into());
            assert_eq!(fault.kind(), FaultKind::Busy, "{fault:?}");
            assert!(fault.help_text().is_some_and(|help| help.contains(told)), "{fault:?}");
        }
        let fault = Fault::unwritten("out.csv", &Errno::NOSPC.into(), "make room");
        assert_eq!(fault.help_text(), Some("make room"));
        let fault = Fault::unwritten("out.csv", &Errno::FBIG.into(), "make room");
        assert_ne!(fault.help_text(), Some("make room"));
    }
}
