//! A disk that is full. A limit on the size of files stands in for it: it fails writes in the same place, and needs no
//! rights. It holds for the whole process, so that this is the only test in its binary.

#[allow(dead_code, reason = "it needs a part of it")]
#[path = "step/support.rs"]
mod support;

use crate::support::Root;
use arrow::array::{Int64Array, StringArray};
use flight_common::FaultKind;
use flight_common::testing::make_batch;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::fs;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

const SIGXFSZ: i32 = 25;

/// The size of files that this process may write, until it is dropped: what tells how the test ended may be a larger file.
struct Limited(Rlimit);

impl Limited {
    fn to(bytes: u64) -> Self {
        let before = getrlimit(Resource::Fsize);
        setrlimit(Resource::Fsize, Rlimit { current: Some(bytes), ..before }).expect("a lower limit is allowed");
        Self(before)
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        setrlimit(Resource::Fsize, self.0).expect("what was allowed before");
    }
}

#[tokio::test]
async fn a_file_that_cannot_grow_is_told_and_leaves_what_was_there() {
    // With somebody listening, the signal no longer ends the process, and the write fails instead.
    let _listening = signal(SignalKind::from_raw(SIGXFSZ)).expect("a listener");
    let _limited = Limited::to(64 * 1024);

    let numbers: Int64Array =
        (0..40_000).map(|n: i64| Some(n.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64))).collect();
    let texts: StringArray = numbers.iter().map(|n| n.map(|n| format!("{:x}", n ^ 0x5555))).collect();
    let batch = make_batch(vec![("n", Arc::new(numbers)), ("s", Arc::new(texts))]);
    for params in [
        json!({"format": "csv"}),
        json!({"format": "csv", "compression": "gzip"}),
        json!({"format": "json", "compression": "zstd"}),
        json!({"format": "jsonl"}),
        json!({"format": "xlsx"}),
        json!({"format": "parquet"}),
        json!({"format": "arrow"}),
    ] {
        let root = Root::new();
        fs::write(root.0.path().join("kept"), "precious").expect("written");
        let mut overwriting = params.clone();
        overwriting["path"] = json!("kept");
        for params in [&params, &overwriting] {
            let fault = root.load(params.clone(), &batch).await.expect_err("the disk is full");
            assert_eq!(fault.kind(), FaultKind::Busy, "{params}: {fault}");
            let help = fault.help_text().unwrap_or_default();
            // What writes workbooks does not tell why it cannot.
            let is_vague = params["format"] == "xlsx" && help.contains("disk space");
            assert!(help.contains("ulimit -f") || is_vague, "{params}: {fault:?}");
        }
        assert_eq!(root.files(), ["kept"], "{params}");
        assert_eq!(fs::read_to_string(root.0.path().join("kept")).expect("there"), "precious", "{params}");
    }
}
