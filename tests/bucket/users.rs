//! What users read when something is wrong with a bucket.

use crate::house::{Place, server, told};
use flight_common::{FaultKind, RootOptions};
use quiver_tests::House;
use std::path::Path;
use test_servers::S3;

fn opened(options: &RootOptions, path: &str) -> (FaultKind, String) {
    let fault = options.open().and_then(|root| root.open_file(path, "file_path")).expect_err("refused");
    (fault.kind(), told(&fault))
}

#[test]
fn faults_say_what_and_where_and_what_to_try() {
    let server = server();
    let place = Place::new(&server);
    let file = "examples/data/hr_employees.csv";
    let at = |url: &str| RootOptions { data_root: url.into(), ..place.options() };
    let with = |name: &str, value: &str| {
        let server = server.environment(server.address()).into_iter().filter(|(known, _)| known != name);
        let aws = server.chain([(name.to_owned(), value.to_owned())]).collect();
        RootOptions { aws, ..place.options() }
    };
    for (options, path, kind, words) in [
        (
            &place.options(),
            "examples/data/hr_employes.csv",
            FaultKind::NotFound,
            "did you mean \"examples/data/hr_employees.csv\"",
        ),
        (&place.options(), "examples/data", FaultKind::BadParams, "is a folder"),
        (&place.options(), "../x.csv", FaultKind::Denied, "outside the data root s3://data/"),
        (&place.options(), "/etc/passwd", FaultKind::Denied, "lies outside"),
        (&place.options(), "s3://other/x.csv", FaultKind::Denied, "lies outside"),
        (&place.options(), ".quiver/quiver.db", FaultKind::Denied, "own folder"),
        (&at("s3://nowhere/in"), file, FaultKind::NotFound, "no bucket for s3://nowhere/in"),
        (&at("s3://"), file, FaultKind::BadParams, "--data-root s3://bucket/prefix"),
        (&with("AWS_SECRET_ACCESS_KEY", "wrong-one"), file, FaultKind::Denied, "refuses the credentials"),
        (&with("AWS_ALLOW_HTTP", "false"), file, FaultKind::Denied, "AWS_ALLOW_HTTP=true"),
        (&with("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), file, FaultKind::Upstream, "cannot be reached"),
    ] {
        let (found, text) = opened(options, path);
        assert_eq!(found, kind, "{path}: {text}");
        assert!(text.contains(words), "{path}: {text}");
        assert!(!text.contains("wrong-one") && !text.contains("a-secret-of-the-tests"), "{text}");
    }
    let absolute = [format!("{}/{file}", place.url), format!("/app/data/{file}"), format!("./{file}")];
    for path in absolute {
        assert!(place.root().open_file(&path, "file_path").is_ok(), "{path}");
    }
}

#[test]
fn the_line_of_the_pipeline_is_shown() {
    let server = server();
    let place = Place::new(&server);
    place.house.write("wrong.yaml", "steps:\n  - id: a\n    service: extract-csv\n    params: {file_path: hr.csv}\n");
    let ended = place.quiver(&["run", "wrong.yaml"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("wrong.yaml:4") && ended.stderr.contains(&place.url), "{}", ended.stderr);
}

#[test]
fn doctor_tells_how_the_bucket_is() {
    let server = server();
    let place = Place::new(&server);
    let found = |place: &Place| {
        let findings = place.quiver(&["doctor", "--json"]).json();
        findings["findings"][0].clone()
    };
    assert_eq!(found(&place)["ok"], true);
    let place = place.with("AWS_SECRET_ACCESS_KEY", "wrong-one");
    let bad = found(&place);
    assert_eq!(bad["ok"], false);
    assert!(bad["found"].as_str().is_some_and(|text| text.contains(&place.url)), "{bad}");
    assert!(!bad.to_string().contains("wrong-one"), "{bad}");
}

#[test]
fn a_server_is_known_by_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let [certificate, key] =
        [("cert.pem", made.cert.pem()), ("key.pem", made.signing_key.serialize_pem())].map(|(name, pem)| {
            std::fs::write(folder.path().join(name), pem).expect("written");
            folder.path().join(name)
        });
    let server = S3::start_with_tls(Path::new(env!("CARGO_TARGET_TMPDIR")), &certificate, &key);
    let house = House::new(env!("CARGO_BIN_EXE_quiver-under-test"));
    let generate = |trusted: &Path| {
        let mut command = house.command(&["generate", "hr", "--rows", "5", "-o", "s3://data/hr.csv"]);
        command.envs(server.environment(server.address())).env_remove("AWS_ALLOW_HTTP");
        command.env("QUIVER_STATE_DIR", house.path().join("state")).env("SSL_CERT_FILE", trusted);
        command.output().expect("it starts")
    };
    let refused = generate(&key);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("certificate") && said.contains("SSL_CERT_FILE"), "{said}");
    let sent = generate(&certificate);
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
}

#[test]
fn a_database_in_a_bucket_is_refused() {
    let server = server();
    let place = Place::new(&server);
    place.put("a.db", "SQLite format 3\0");
    let extract = "steps:\n  - {id: a, service: extract-sql, params: {db_url: 'sqlite:a.db', query: SELECT 1}}\n";
    place.house.write("sql.yaml", extract);
    let ended = place.quiver(&["plan", "sql.yaml"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("SQLite") && ended.stderr.contains("Parquet"), "{}", ended.stderr);
}

#[test]
fn only_files_are_listed() {
    let server = server();
    let place = Place::new(&server);
    for path in ["list/b.csv", "list/a.csv", "list/sub/c.csv", "list/.hidden", "list/.d/e.csv", "list/empty.csv"] {
        place.put(path, if path.contains("empty") { "" } else { "n\n1\n" });
    }
    let root = place.root();
    let found = |pattern: &str| root.matching(pattern, "files", 10).expect("files");
    assert_eq!(found("list/*.csv"), ["list/a.csv", "list/b.csv", "list/empty.csv"]);
    assert_eq!(found("list/**/[ac].csv"), ["list/a.csv", "list/sub/c.csv"]);
    assert_eq!(found("none/*.csv"), [""; 0]);
    assert_eq!(root.matching("list/**", "files", 2).expect_err("more").kind(), FaultKind::BadParams);
    let files = |prefix: &str, after, most| {
        let files = root.files(prefix, after, most).expect("files").into_iter();
        files.map(|file| (file.path.display().to_string(), file.bytes)).collect::<Vec<_>>()
    };
    let all = [("list/a.csv", 4), ("list/b.csv", 4), ("list/empty.csv", 0), ("list/sub/c.csv", 4)];
    let all = all.map(|(path, bytes)| (path.to_owned(), bytes));
    assert_eq!(files("list/", None, 9), all);
    assert_eq!(files("li", None, 2), all[..2]);
    assert_eq!(files("list", Some("list/b.csv"), 9), all[2..]);
    assert_eq!(files("list/sub/c", None, 9), all[3..]);
}
