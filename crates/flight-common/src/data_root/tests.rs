//! What a data root opens, lists, looks up and writes, and what it keeps out.

use super::*;
use crate::FaultKind;
use std::fs;
use std::io::Write;

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
    for path in ["../x", "a/../../x", "/etc/passwd", "link", ".quiver/quiver.db", "./.Quiver/x", "s3://other/x"] {
        assert_eq!(kind(&root, path), FaultKind::Denied, "{path}");
    }
    assert_eq!(kind(&root, "a\0b"), FaultKind::BadParams);
    fs::write(folder.path().join("a.csv"), "x").expect("written");
    for folder in [".", "a.csv/"] {
        assert_eq!(kind(&root, folder), FaultKind::BadParams, "{folder}");
    }
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status();
    assert!(made.is_ok_and(|status| status.success()));
    assert_eq!(kind(&root, "pipe"), FaultKind::BadParams);
}

#[test]
fn a_file_has_one_name_whatever_links_lead_to_it() {
    let (folder, root) = root();
    fs::create_dir(folder.path().join("a")).expect("a folder");
    std::os::unix::fs::symlink("a", folder.path().join("b")).expect("a link");
    std::os::unix::fs::symlink("/etc", folder.path().join("out")).expect("a link");
    let name = |path: &str| root.name_of(Path::new(path)).1;
    for file in ["x.csv", "new/x.csv"] {
        assert_eq!(name(&format!("b/{file}")), name(&format!("a/{file}")));
    }
    assert!(name("out/x.csv").ends_with("/out/x.csv"));
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
    let files = ["sales/b.csv", "sales/a.csv", "sales/old/c.csv", "sales/.hidden.csv", "sales/d.txt", "e.csv"];
    for path in files.into_iter().chain(["lost+found/c.csv"]) {
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
fn a_pattern_finds_links_to_files_and_whoever_opens_one_that_leads_out_is_told() {
    use std::os::unix::fs::symlink;
    let (folder, root) = root();
    fs::create_dir(folder.path().join("in")).expect("made");
    fs::write(folder.path().join("a.csv"), "x").expect("written");
    for (to, link) in
        [("../a.csv", "in/a.csv"), ("/etc/passwd", "in/out.csv"), ("gone", "in/gone.csv"), ("..", "in/up.csv")]
    {
        symlink(to, folder.path().join(link)).expect("linked");
    }
    assert_eq!(root.matching("in/*.csv", "files", 9).expect("found"), ["in/a.csv", "in/gone.csv", "in/out.csv"]);
    assert!(root.open_file("in/a.csv", "files").is_ok());
    assert_eq!(kind(&root, "in/out.csv"), FaultKind::Denied);
    assert_eq!(kind(&root, "in/gone.csv"), FaultKind::NotFound);
}

#[test]
fn a_link_that_leads_nowhere_is_told_as_such() {
    let (folder, root) = root();
    fs::create_dir(folder.path().join("in")).expect("made");
    for (to, link) in [("gone.csv", "in/a.csv"), ("a.csv", "in/b.csv")] {
        std::os::unix::fs::symlink(to, folder.path().join(link)).expect("linked");
    }
    for (link, to) in [("in/a.csv", "gone.csv"), ("in/b.csv", "a.csv")] {
        let fault = root.open_file(link, "file_path").expect_err("it leads nowhere");
        assert_eq!(fault.kind(), FaultKind::NotFound);
        assert_eq!(fault.message(), format!("{link} is a symbolic link that leads nowhere: to {to}"));
        assert!(fault.help_text().is_some_and(|help| help.contains("remove the link")), "{fault:?}");
        assert_eq!(fault.violations()[0].pointer, "/file_path");
    }
}

#[test]
fn a_pattern_fails_where_a_folder_that_may_hold_some_cannot_be_looked_at() {
    let (folder, root) = root();
    std::os::unix::fs::symlink("/etc", folder.path().join("out")).expect("linked");
    std::os::unix::fs::symlink("loop", folder.path().join("loop")).expect("linked");
    // Folders so deep that no path leads to the last of them.
    let (name, mut dir) = ("d".repeat(250), fs::File::open(folder.path()).expect("opened"));
    for depth in 0..20 {
        let name = if depth == 0 { "sales" } else { name.as_str() };
        rustix::fs::mkdirat(&dir, name, 0o700.into()).expect("made");
        dir = rustix::fs::openat(&dir, name, rustix::fs::OFlags::DIRECTORY, 0.into()).expect("opened").into();
    }
    fs::write(folder.path().join("a.csv"), "x").expect("written");
    let found = |pattern: &str| root.matching(pattern, "files", 9).map_err(|fault| fault.kind());
    assert_eq!(found("out/*.csv"), Err(FaultKind::Denied));
    assert!(found("loop/*.csv").is_err());
    for pattern in ["**/*.csv", "s*/**/*.csv", &format!("*/{}*.csv", "*/".repeat(18))] {
        assert!(found(pattern).is_err(), "{pattern}");
    }
    for pattern in ["*.csv", "a*/**/*.csv", "*/*/*.csv", "a.csv/*.csv", "gone/*.csv"] {
        assert!(found(pattern).is_ok(), "{pattern}");
    }
    assert!(root.files("", None, 9).expect("listed").iter().any(|file| file.path == Path::new("a.csv")));
}

#[test]
fn the_own_folder_is_for_nobody_else() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, root) = root();
    let own = folder.path().join(OWN_FOLDER);
    let mode = || fs::metadata(&own).expect("it is there").permissions().mode() & 0o777;
    root.own_folder().expect("made");
    assert_eq!(mode(), 0o700);
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).expect("opened to all");
    root.own_folder().expect("opened");
    assert_eq!(mode(), 0o700);
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

#[test]
fn who_may_read_a_file_may_read_what_takes_its_place() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, root) = root();
    let path = folder.path().join("a.csv");
    for mode in [0o600, 0o640, 0o666] {
        fs::write(&path, "old").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        let mut file = root.new_file(Path::new("a.csv")).expect("begun");
        file.write_all(b"new").expect("written");
        file.commit().expect("committed");
        assert_eq!(fs::read(&path).expect("there"), b"new");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, mode, "{mode:o}");
    }
}
