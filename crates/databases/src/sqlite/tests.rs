use super::*;
use std::os::unix::fs::MetadataExt;

fn root() -> (tempfile::TempDir, DataRoot) {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Connection::open(folder.path().join("a.db")).expect("made");
    made.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)").expect("written");
    let root = DataRoot::open(folder.path()).expect("it is there");
    (folder, root)
}

fn address(path: &str) -> Address {
    Address::parse(&format!("sqlite:{path}"), "/db_url").expect("an address")
}

fn kind(root: &DataRoot, path: &str) -> FaultKind {
    open_for_reading(root, &address(path)).expect_err("refused").kind()
}

#[test]
fn a_file_beneath_the_root_is_read_and_not_written() {
    let (folder, root) = root();
    std::os::unix::fs::symlink("a.db", folder.path().join("link.db")).expect("a link");
    for path in ["a.db", "link.db", "/app/data/a.db"] {
        let open = open_for_reading(&root, &address(path)).expect("opened");
        let n: i64 = open.query_row("SELECT n FROM t", [], |row| row.get(0)).expect("read");
        assert_eq!(n, 1);
        let error = open.execute_batch("DELETE FROM t").expect_err("refused");
        assert_eq!(fault(&error, &address(path)).kind(), FaultKind::Denied);
    }
}

#[test]
fn what_leads_out_is_denied() {
    let (folder, root) = root();
    let outside = tempfile::tempdir().expect("a folder");
    Connection::open(outside.path().join("x.db")).and_then(|db| db.execute_batch("CREATE TABLE t (n)")).expect("made");
    std::os::unix::fs::symlink(outside.path().join("x.db"), folder.path().join("out.db")).expect("a link");
    std::os::unix::fs::symlink(outside.path(), folder.path().join("out")).expect("a link");
    for path in ["out.db", "out/x.db", "../x.db", "/etc/passwd", ".quiver/quiver.db"] {
        assert_eq!(kind(&root, path), FaultKind::Denied, "{path}");
    }
    for path in ["none.db", "file:a.db?mode=rwc"] {
        assert_eq!(kind(&root, path), FaultKind::NotFound, "{path}");
    }
    assert!(!folder.path().join("none.db").exists());
}

#[test]
fn another_file_is_no_database() {
    let (folder, root) = root();
    std::fs::write(folder.path().join("a.csv"), "id,name\n1,a and much more\n").expect("written");
    assert_eq!(kind(&root, "a.csv"), FaultKind::BadData);
    std::fs::write(folder.path().join("empty.db"), "").expect("written");
    assert!(open_for_reading(&root, &address("empty.db")).is_ok());
}

#[test]
fn what_was_written_to_the_log_is_another_state() {
    let (folder, root) = root();
    let before = identity(&root, &address("a.db")).expect("identified");
    let writer = Connection::open(folder.path().join("a.db")).expect("opened");
    writer.execute_batch("PRAGMA journal_mode=WAL; INSERT INTO t VALUES (2)").expect("written");
    assert_ne!(identity(&root, &address("a.db")).expect("identified"), before);
}

#[test]
fn who_looks_at_a_file_leaves_the_locks_on_it_alone() {
    let (folder, root) = root();
    let file = folder.path().join("a.db");
    let writer = Connection::open(&file).expect("opened");
    writer.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let number = format!(":{} ", file.metadata().expect("it is there").ino());
    let locks = || {
        let all = std::fs::read_to_string("/proc/locks").expect("the kernel tells");
        all.lines().filter(|line| line.contains(&number)).count()
    };
    let held = locks();
    assert!(held > 0, "none is told");
    let address = address("a.db");
    identity(&root, &address).expect("identified");
    drop(open_for_reading(&root, &address).expect("opened"));
    let other = Connection::open_in_memory().expect("opened");
    attach_for_writing(&other, &root, &address, "place", &|| false).expect("attached");
    drop(other);
    assert_eq!(locks(), held);
    writer.execute_batch("COMMIT").expect("let go");
}
