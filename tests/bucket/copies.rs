//! Copies of objects on this machine: fetched once, bounded, and never taken for another version.

use crate::gate::{Act, Gate};
use crate::house::{Place, count, server};
use quiver_tests::{eventually, service::SOON};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

const HR: &str = "examples/pipelines/hr_analytics.yaml";

#[test]
fn a_second_run_fetches_nothing_and_a_new_version_is_fetched() {
    let server = server();
    let place = Place::new(&server);
    let fetched = || count(&server.requests(), "s3_GetObject");
    place.well(&["run", HR]);
    assert_eq!(fetched(), 1);
    place.well(&["run", HR]);
    place.well(&["run", HR, "--mesh"]);
    assert_eq!(fetched(), 1);
    let more = [place.get("examples/data/hr_employees.csv"), place.get("examples/data/hr_employees.csv")];
    let header = more[0].split(|byte| *byte == b'\n').next().map(<[u8]>::len).expect("a header");
    let before = fetched();
    place.put("examples/data/hr_employees.csv", [&more[0][..], &more[1][header + 1..]].concat());
    let report = place.well(&["run", HR, "--json", "--set", "quality.rules.check_duplicates=false"]).json();
    assert_eq!(fetched(), before + 1);
    assert_eq!(report["steps"][0]["rows_out"], 1000, "{report}");
}

#[test]
fn copies_stay_within_their_bound_and_are_for_nobody_else() {
    let server = server();
    let place = Place::new(&server);
    for name in ["a", "b", "c"] {
        place.put(&format!("{name}.csv"), format!("{name}\n{}", "1\n".repeat(1_000_000)));
    }
    place.put("d.csv", format!("d\n{}", "1\n".repeat(3_000_000)));
    for name in ["a", "b", "c", "d", "c"] {
        let pipeline = format!(
            "steps:
  - {{id: read, service: extract-csv, params: {{file_path: {name}.csv}}}}
  - {{id: load, service: load-data, params: {{path: out.csv}}, depends_on: [read]}}
"
        );
        place.house.write("read.yaml", pipeline);
        place.well(&["run", "read.yaml", "--cache-size", "5MB"]);
        let kept: u64 = place.copies().iter().sum();
        assert!((2_000_000..5_000_000).contains(&kept), "{kept} bytes after {name}");
    }
    // What does not fit at all is fetched each time.
    let of = |name: &str| {
        server
            .requests()
            .iter()
            .filter(|line| line.contains(&format!("/{name}.csv")) && line.starts_with("s3_GetObject"))
            .count()
    };
    assert_eq!([of("a"), of("b"), of("c")], [1, 1, 1]);
    assert!(of("d") > 1);
    let folders = std::fs::read_dir(place.state()).expect("a folder").flatten();
    for folder in folders {
        let copies = folder.path().join("copies").metadata().expect("a folder");
        assert_eq!(copies.permissions().mode() & 0o077, 0);
    }
}

#[test]
fn small_files_are_fetched_side_by_side_and_read_in_order() {
    const FILES: usize = 8;
    let server = server();
    let place = Place::new(&server);
    for number in 0..FILES {
        place.put(&format!("day-{number}.csv"), format!("n\n{number}\n"));
    }
    let pipeline = "steps:
  - {id: read, service: extract-csv, params: {file_path: day-*.csv}}
  - {id: load, service: load-data, params: {path: out.csv}, depends_on: [read]}
";
    place.house.write("read.yaml", pipeline);
    let come = AtomicUsize::new(0);
    // None passes before half of them have come.
    let gate = Gate::start(server.address(), "GET /data/", move |_| {
        come.fetch_add(1, Ordering::SeqCst);
        eventually(SOON, "others come", || (come.load(Ordering::SeqCst) >= FILES / 2).then_some(()));
        Act::Pass
    });
    let place = place.through(&server, &gate.address);
    place.well(&["run", "read.yaml"]);
    assert_eq!(gate.seen(), FILES);
    let place = place.through(&server, server.address());
    assert_eq!(place.get("out.csv"), b"n\n0\n1\n2\n3\n4\n5\n6\n7\n");
}
