//! Other languages: real pyarrow drives every step of a real server. The environment is made here, once.

use quiver_tests::{House, repository};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_quiver-under-test");
const PYARROW: &str = "pyarrow==26.*";

/// A Python with pyarrow, in the target folder. Fails where it cannot be had.
fn python() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pyarrow-26");
    let program = folder.join("bin/python");
    let ready = |program: &PathBuf| {
        let import = Command::new(program).args(["-c", "import pyarrow.flight"]).stderr(Stdio::null()).status();
        import.is_ok_and(|status| status.success())
    };
    if !ready(&program) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(&program).args(["-m", "pip", "install", "--quiet", PYARROW]));
        assert!(ready(&program), "pyarrow cannot be imported");
    }
    program
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}");
}

#[test]
fn pyarrow_drives_every_step() {
    let python = python();
    let house = House::new(PROGRAM);
    let mut server = house.start(&["serve", "--listen", "127.0.0.1:0"]);
    let address = server.address();
    let tests = Command::new(python)
        .arg(repository().join("tests/interop/test_steps.py"))
        .env("QUIVER_ADDRESS", format!("grpc://{address}"))
        .env("QUIVER_DATA_ROOT", house.path())
        .output()
        .expect("Python runs");
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stderr));
}
