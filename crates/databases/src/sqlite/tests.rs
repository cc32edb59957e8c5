//! Files as others leave them: locked, linked, in the middle of being written, or taken away.

use super::*;
use flight_common::FaultKind;
use flight_common::testing::locks_on;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

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
    fs::write(folder.path().join("a.csv"), "id,name\n1,a and much more\n").expect("written");
    assert_eq!(kind(&root, "a.csv"), FaultKind::BadData);
    fs::write(folder.path().join("empty.db"), "").expect("written");
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
    let held = locks_on(&[&file]);
    assert!(!held.is_empty(), "it is locked");
    let address = address("a.db");
    identity(&root, &address).expect("identified");
    drop(open_for_reading(&root, &address).expect("opened"));
    let other = Connection::open_in_memory().expect("opened");
    other.busy_timeout(Duration::ZERO).expect("set");
    assert!(begin_writing(&other, &root, &address, "place", &|| false).is_err(), "it is locked");
    drop(other);
    assert_eq!(locks_on(&[&file]), held);
    writer.execute_batch("COMMIT").expect("let go");
}

#[test]
fn what_is_a_database_is_no_ordinary_file() {
    let (folder, root) = root();
    let refused = |path: &str| {
        let fault = root.open_file(path, "p").expect_err("it is SQLite's");
        assert_eq!(fault.kind(), FaultKind::BadParams);
        assert!(fault.message().contains("database of SQLite"), "{fault}");
    };
    refused("a.db");
    // One that is being made does not begin like one yet.
    let new = address("new.db");
    let writer = Connection::open_in_memory().expect("opened");
    let attached = begin_writing(&writer, &root, &new, "place", &|| false).expect("begun");
    assert_eq!(folder.path().join("new.db").metadata().expect("made").len(), 0);
    refused("new.db");
    writer.execute_batch("CREATE TABLE place.t (n); COMMIT; PRAGMA place.journal_mode = WAL").expect("written");
    writer.execute_batch("INSERT INTO place.t VALUES (1)").expect("written");
    refused("new.db");
    refused("new.db-shm");
    // Another file in its place is another database.
    assert!(attached.check(&root, &new).is_ok());
    fs::copy(folder.path().join("a.db"), folder.path().join("other.db")).expect("copied");
    fs::rename(folder.path().join("other.db"), folder.path().join("new.db")).expect("renamed");
    let fault = attached.check(&root, &new).expect_err("it was replaced");
    assert_eq!(fault.kind(), FaultKind::Upstream, "{fault}");
    drop((writer, attached));
    fs::remove_file(folder.path().join("new.db")).expect("removed");
    fs::write(folder.path().join("new.db"), "n\n1\n").expect("written");
    assert!(root.open_file("new.db", "p").is_ok(), "another file of this name");
}

/// A folder with `a.db`, whose writer was ended in the middle, and the journal of what it did.
fn left_in_the_middle() -> (tempfile::TempDir, DataRoot) {
    let (before, _) = root();
    let writer = Connection::open(before.path().join("a.db")).expect("opened");
    // What does not fit in the memory it has goes to the file.
    let write = "PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN; UPDATE t SET n = 2; CREATE TABLE u (x TEXT);
        WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2000)
        INSERT INTO u SELECT printf('%0500d', n) FROM s";
    writer.execute_batch(write).expect("written");
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["a.db", "a.db-journal"] {
        fs::copy(before.path().join(file), folder.path().join(file)).expect("copied");
    }
    assert!(fs::metadata(folder.path().join("a.db")).expect("it is there").len() > 100_000, "it is half written");
    let root = DataRoot::open(folder.path()).expect("it is there");
    (folder, root)
}

#[test]
fn what_was_left_in_the_middle_is_undone() {
    let (folder, root) = left_in_the_middle();
    for _ in 0..2 {
        let open = open_for_reading(&root, &address("a.db")).expect("opened");
        let n: i64 = open.query_row("SELECT n FROM t", [], |row| row.get(0)).expect("read");
        assert_eq!(n, 1);
        let tables: i64 = open.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).expect("read");
        assert_eq!(tables, 1);
        assert!(open.execute_batch("DELETE FROM t").is_err(), "it is read only");
        assert!(!folder.path().join("a.db-journal").exists());
    }
}

/// Puts a database with the table `kept` into the place of one, all at once.
fn replace(root: &DataRoot, path: &str) -> Result<(), Fault> {
    begin_replacing(root, path)?.commit()
}

fn begin_replacing(root: &DataRoot, path: &str) -> Result<flight_common::NewFile, Fault> {
    let mut file = root.new_file(Path::new(path))?;
    let whole = tempfile::tempdir().expect("a folder");
    let made = Connection::open(whole.path().join("whole.db")).expect("made");
    made.execute_batch("CREATE TABLE kept (n INTEGER)").expect("written");
    file.write_all(&fs::read(whole.path().join("whole.db")).expect("read")).expect("written");
    Ok(file)
}

fn is_kept(root: &DataRoot, path: &str) -> bool {
    let open = open_for_reading(root, &address(path)).expect("opened");
    open.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).is_ok_and(|said| said == "ok")
        && open.prepare("SELECT n FROM kept").is_ok()
}

#[test]
fn what_was_left_in_the_middle_is_brought_into_no_other_file() {
    let (folder, root) = left_in_the_middle();
    let fault = replace(&root, "a.db").expect_err("there is a journal");
    assert_eq!(fault.kind(), FaultKind::Denied, "{fault}");
    assert!(fault.message().contains("a.db-journal"), "{fault}");
    open_for_reading(&root, &address("a.db")).expect("it is undone");
    replace(&root, "a.db").expect("there is none");
    assert!(is_kept(&root, "a.db"));
    // One that comes while the file is written.
    let file = begin_replacing(&root, "a.db").expect("begun");
    fs::write(folder.path().join("a.db-wal"), "a log").expect("written");
    assert_eq!(file.commit().expect_err("there is a log").kind(), FaultKind::Denied);
    fs::write(folder.path().join("a.db-wal"), "").expect("written");
    fs::write(folder.path().join("a.db-journal"), [0; 512]).expect("written");
    replace(&root, "a.db").expect("nothing is in them");
    assert!(is_kept(&root, "a.db"));
    // Also beside a database that is gone, but not where there is none.
    for name in ["gone.db-journal", "book-journal", "book"] {
        fs::write(folder.path().join(name), "one page").expect("written");
    }
    assert_eq!(replace(&root, "gone.db").expect_err("there is a journal").kind(), FaultKind::Denied);
    let mut book = root.new_file(Path::new("book")).expect("begun");
    book.write_all(b"two pages").expect("written");
    book.commit().expect("it is no database");
}

/// Another process that has a database open.
struct Other(Child);

impl Other {
    fn begin(database: &Path, statements: &str) -> Self {
        let script = "import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2].split(';'):
    held.execute(statement).fetchall()
print('begun', flush=True)
sys.stdin.read()";
        let mut python = Command::new("python3");
        python.args(["-c", script]).arg(database).arg(statements).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut other = python.spawn().expect("Python runs");
        let mut said = String::new();
        let told = other.stdout.as_mut().expect("it is piped");
        BufReader::new(told).read_line(&mut said).expect("it begins");
        Self(other)
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().expect("it ends").success());
    }
}

#[test]
fn what_sqlite_writes_to_is_replaced_once_that_has_ended() {
    let (folder, root) = root();
    let in_use = |path: &str| assert_eq!(replace(&root, path).expect_err("it is in use").kind(), FaultKind::Busy);
    let writer = Connection::open_in_memory().expect("opened");
    let attached = begin_writing(&writer, &root, &address("a.db"), "place", &|| false).expect("begun");
    in_use("a.db");
    drop((writer, attached));
    for begin in ["BEGIN IMMEDIATE", "PRAGMA journal_mode = WAL; SELECT 1 FROM t"] {
        let other = Other::begin(&folder.path().join("a.db"), begin);
        in_use("a.db");
        other.end();
    }
    replace(&root, "a.db").expect("nobody writes");
    assert!(is_kept(&root, "a.db"));
}

#[test]
fn who_may_not_undo_what_was_left_is_told() {
    let (folder, root) = left_in_the_middle();
    let journal = folder.path().join("a.db-journal");
    // SQLite follows no link to a journal, and so has no right to it, also as root.
    fs::rename(&journal, folder.path().join("moved")).expect("moved");
    std::os::unix::fs::symlink("moved", &journal).expect("a link");
    let fault = open_for_reading(&root, &address("a.db")).expect_err("denied");
    assert_eq!(fault.kind(), FaultKind::Denied, "{fault:?}");
    assert!(fault.help_text().is_some_and(|help| help.contains("may write the file and its folder")), "{fault:?}");
}

#[test]
fn a_journal_that_names_another_file_is_left_to_others() {
    let (folder, root) = left_in_the_middle();
    let (journal, named) = (folder.path().join("a.db-journal"), folder.path().join("named"));
    fs::write(&named, "kept").expect("written");
    let name = named.to_str().expect("a name").as_bytes();
    let number = |number: usize| u32::try_from(number).expect("a number").to_be_bytes();
    let sum: usize = name.iter().map(|byte| usize::from(*byte)).sum();
    let magic: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    let mut written = fs::read(&journal).expect("read");
    written.extend([name, &number(name.len()), &number(sum), &magic].concat());
    fs::write(&journal, written).expect("written");
    let fault = open_for_reading(&root, &address("a.db")).expect_err("denied");
    assert_eq!(fault.kind(), FaultKind::Denied, "{fault:?}");
    assert!(journal.exists() && named.exists());
}

#[test]
fn who_writes_to_a_file_is_not_disturbed() {
    let (folder, root) = root();
    let writer = Connection::open(folder.path().join("a.db")).expect("opened");
    for lock in ["IMMEDIATE", "EXCLUSIVE"] {
        writer.execute_batch(&format!("BEGIN {lock}; UPDATE t SET n = n + 1")).expect("written");
        let begun = std::time::Instant::now();
        open_for_reading(&root, &address("a.db")).expect("opened");
        assert!(begun.elapsed() < Duration::from_secs(4), "whoever asks it something waits");
        writer.execute_batch("COMMIT").expect("committed");
    }
    let n: i64 = writer.query_row("SELECT n FROM t", [], |row| row.get(0)).expect("read");
    assert_eq!(n, 3);
}

#[test]
fn a_full_disk_is_told_with_what_to_do() {
    let said = Some("database or disk is full".to_owned());
    let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), said);
    let fault = fault(&error, &address("a.db"));
    assert_eq!(fault.kind(), FaultKind::Busy);
    assert!(fault.help_text().is_some_and(|help| help.contains("free some disk space")), "{fault:?}");
}

/// How often this process has the file open.
fn opened(file: &Path) -> usize {
    let all = fs::read_dir("/proc/self/fd").expect("the kernel tells");
    all.filter_map(|one| fs::read_link(one.ok()?.path()).ok()).filter(|path| path == file).count()
}

#[test]
fn a_file_that_was_made_is_taken_back_and_another_is_not() {
    let (_folder, root) = root();
    for (path, stays) in [("a.db", true), ("new.db", false)] {
        let connection = Connection::open_in_memory().expect("opened");
        let attached = begin_writing(&connection, &root, &address(path), "place", &|| false).expect("begun");
        connection.execute_batch("CREATE TABLE place.u (n)").expect("made");
        attached.take_back(&connection, &root, &address(path));
        assert_eq!(root.path().join(path).exists(), stays, "{path}");
    }
    let open = open_for_reading(&root, &address("a.db")).expect("opened");
    let tables: i64 = open.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).expect("read");
    assert_eq!(tables, 1);
}

#[test]
fn who_waits_for_a_file_that_is_taken_back_writes_to_another() {
    let (_folder, root) = root();
    let (file, address) = (root.path().join("new.db"), address("new.db"));
    let first = Connection::open_in_memory().expect("opened");
    let attached = begin_writing(&first, &root, &address, "place", &|| false).expect("begun");
    first.execute_batch("CREATE TABLE place.first (n)").expect("made");
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let second = Connection::open_in_memory().expect("opened");
            second.busy_timeout(Duration::from_millis(10)).expect("set");
            begin_writing(&second, &root, &address, "place", &|| true).expect("begun");
            second.execute_batch("CREATE TABLE place.second (n); COMMIT").expect("written");
        });
        while opened(&file) < 2 {
            assert!(!second.is_finished(), "it waits");
            std::thread::yield_now();
        }
        attached.take_back(&first, &root, &address);
        second.join().expect("no panic");
    });
    let open = open_for_reading(&root, &address).expect("opened");
    let table: String = open.query_row("SELECT name FROM sqlite_schema", [], |row| row.get(0)).expect("read");
    assert_eq!(table, "second");
}
