//! Which locks on files this process holds, as the kernel tells.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The locks (`READ 1073741826 1073742335`: kind, first and last byte) that this process holds on these files, in order.
///
/// Asked of each open file. `/proc/locks` is read in parts, and shows a lock twice or not at all where others come and
/// go meanwhile.
///
/// # Panics
///
/// If a file is not there, or the kernel does not tell.
pub fn locks_on(files: &[&Path]) -> Vec<String> {
    let number = |file: &&Path| format!(":{} ", file.metadata().expect("it is there").ino());
    let numbers: Vec<_> = files.iter().map(number).collect();
    let mut held = Vec::new();
    for open in fs::read_dir("/proc/self/fdinfo").expect("the kernel tells") {
        // One that was closed meanwhile holds none.
        let told = fs::read_to_string(open.expect("the kernel tells").path()).unwrap_or_default();
        // `lock:	1: POSIX  ADVISORY  READ 20473 fe:00:9978458 1073741826 1073742335`
        for line in told.lines().filter(|line| line.starts_with("lock:")) {
            if numbers.iter().any(|number| line.contains(number)) {
                let words: Vec<_> = line.split_whitespace().collect();
                held.push([words[4], words[7], words[8]].join(" "));
            }
        }
    }
    held.sort();
    held
}
