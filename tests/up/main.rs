//! The service as operators run it: real processes, asked and told by the command.

mod looks;

use quiver_tests::service::{SOON, Service, write_tiny, written};
use quiver_tests::{House, eventually, signal};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_quiver-under-test");

#[test]
fn an_operator_lives_through_a_day() {
    let house = House::new(PROGRAM);
    let service = Service::start(&house, &[]);
    let followed = service.quiver(&["runs", "submit", "examples/pipelines/hr_analytics.yaml", "--follow"]);
    assert_eq!(followed.code, Some(0), "{}", followed.stderr);
    assert!(followed.stdout.contains("committing load"), "{}", followed.stdout);

    let gate = ["runs", "submit", "examples/pipelines/hr_analytics.yaml", "-f", "--set", "quality.rules.min_rows=501"];
    let failed = service.quiver(&gate);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(failed.stdout.contains("min_rows"), "{}", failed.stdout);

    house.write("wrong.yaml", "steps:\n  - {id: a, service: extract-cvs, params: {file_path: x.csv}}\n");
    let wrong = service.quiver(&["runs", "submit", "wrong.yaml"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("line 2") && wrong.stderr.contains("extract-csv"), "{}", wrong.stderr);

    let listed = service.quiver(&["runs", "list", "--json"]).json();
    let states: Vec<&str> =
        listed["items"].as_array().expect("runs").iter().filter_map(|r| r["state"].as_str()).collect();
    assert_eq!(states, ["failed", "done"]);
    let (failed, done) = (listed["items"][0]["id"].as_str(), listed["items"][1]["id"].as_str());
    let (failed, done) = (failed.expect("an id"), done.expect("an id"));
    let shown = service.quiver(&["runs", "show", failed]);
    assert!(shown.stdout.contains("min_rows") && shown.stdout.contains("quality"), "{}", shown.stdout);
    let diff = service.quiver(&["runs", "diff", failed, done]).stdout;
    for told in ["quality.rules.min_rows=501", "step quality", "failed", "min_rows"] {
        assert!(diff.contains(told), "{told} in {diff}");
    }
    let log = service.quiver(&["runs", "logs", failed, "--step", "quality"]).stdout;
    assert!(log.lines().count() == 1 && log.contains("error") && log.contains("min_rows"), "{log}");
    let whole = service.quiver(&["runs", "logs", done, "--json"]).json();
    assert!(whole.as_array().is_some_and(|lines| lines.iter().any(|line| line["step"] == "clean")), "{whole}");
    let late = service.quiver(&["runs", "cancel", done, "--json"]);
    assert_eq!((late.code, &late.json()["fault"]["code"]), (Some(2), &"illegal_move".into()), "{}", late.stdout);
    assert_eq!(service.quiver(&["runs", "show", "none"]).code, Some(2));
    for (meant, id) in [("last", failed), (&done[done.len() - 6..], done)] {
        assert_eq!(service.show(meant)["id"], id, "{meant}");
    }

    let put = ["pipelines", "put", "hr", "examples/pipelines/hr_analytics.yaml"];
    assert_eq!(service.quiver(&put).code, Some(0));
    let by_name = service.quiver(&["runs", "submit", "--pipeline", "hr", "--follow"]);
    assert_eq!(by_name.code, Some(0), "{}", by_name.stderr);

    let rest = service.url.trim_start_matches("http://");
    let astray = house.quiver(&["run", "examples/pipelines/hr_analytics.yaml", "--connect", rest]);
    assert_eq!(astray.code, Some(2), "{}", astray.stderr);
    assert!(astray.stderr.contains(rest) && astray.stderr.contains("Flight front"), "{}", astray.stderr);

    let doctor = service.quiver(&["doctor", "--json"]);
    assert_eq!(doctor.code, Some(0), "{}", doctor.stdout);
    assert_eq!(written(&house).len(), 2);
    service.process.signal("TERM");
    assert_eq!(service.process.end_within(SOON).code, Some(0));
    assert_eq!(house.quiver(&["doctor", "--url", &service.url]).code, Some(1));
}

#[test]
fn a_certificate_of_ones_own_is_trusted_where_one_says_so() {
    let house = House::new(PROGRAM);
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    house.write("cert.pem", made.cert.pem());
    house.write("key.pem", made.signing_key.serialize_pem());
    let service = Service::start(&house, &["--embedded", "--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let listed = service.quiver(&["runs", "list", "--ca-cert", "cert.pem", "--json"]);
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    assert_eq!(listed.json()["items"], serde_json::json!([]));
    let strange = service.quiver(&["runs", "list"]);
    assert!(strange.code == Some(1) && strange.stderr.contains("--ca-cert"), "{}", strange.stderr);
    let wrong = service.quiver(&["runs", "list", "--ca-cert", "key.pem"]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("key.pem holds no certificate"), "{}", wrong.stderr);
    house.write(
        "config.yaml",
        format!("current: own\ncontexts: {{own: {{url: \"{}\", ca_cert: cert.pem}}}}", service.url),
    );
    let by_context = house.quiver(&["runs", "list", "--config", "config.yaml"]);
    assert_eq!(by_context.code, Some(0), "{}", by_context.stderr);
}

#[test]
fn a_pipeline_runs_by_itself_and_for_times_that_have_passed() {
    let house = House::new(PROGRAM);
    house.write(
        "daily.yaml",
        "params: {day: {type: date}}\nsteps:\n  \
         - {id: read, service: extract-csv, params: {file_path: \"in-{{ day }}.csv\"}}\n  \
         - {id: write, service: load-data, params: {format: csv, dataset_name: \"out-{{ day }}\"}, depends_on: [read]}\n",
    );
    house.write("in-2026-03-28.csv", "id\n1\n");
    let service = Service::start(&house, &["--embedded"]);
    assert_eq!(service.quiver(&["pipelines", "put", "daily", "daily.yaml"]).code, Some(0));
    let put = |param: &str| {
        let when = ["--cron", "30 2 * * *", "--zone", "Europe/Berlin", "--jitter", "60"];
        let what = ["schedules", "put", "nightly", "--pipeline", "daily", "--version", "1", "--param", param];
        service.quiver(&[&what[..], &when].concat())
    };
    let wrong = put("dya={{ date }}");
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("\"dya\"") && wrong.stderr.contains("did you mean \"day\"?"), "{}", wrong.stderr);
    let good = put("day={{ date }}");
    assert_eq!(good.code, Some(0), "{}", good.stderr);
    let listed = service.quiver(&["schedules", "list"]).stdout;
    assert!(listed.lines().count() == 2 && listed.contains(":30:00 +0"), "{listed}");
    let stored = service.quiver(&["schedules", "list", "--json"]).json();
    assert_eq!((&stored[0]["version"], &stored[0]["jitter_seconds"]), (&1.into(), &60.into()));
    let kept = service.quiver(&["pipelines", "delete", "daily"]);
    assert!(kept.code == Some(2) && kept.stderr.contains("nightly"), "{}", kept.stderr);

    let fill = ["backfill", "nightly", "--from", "2026-03-28", "--until", "2026-03-30"];
    let filled = service.quiver(&[&fill[..], &["--json"]].concat()).json();
    let of = |place: usize, key: &str| filled["occurrences"][place][key].as_str().expect("text").to_owned();
    assert_eq!([of(0, "time"), of(1, "time")], ["2026-03-28T02:30:00+01:00", "2026-03-29T03:30:00+02:00"]);
    service.until(&of(0, "run"), &["done"]);
    // The file of that day has not come yet.
    service.until(&of(1, "run"), &["failed"]);
    let again = service.quiver(&fill).stdout;
    let rows: Vec<&str> = again.lines().skip(1).collect();
    assert!(rows[0].contains("done already") && rows[0].contains(&of(0, "run")), "{again}");
    assert!(rows[1].contains("queued") && !rows[1].contains(&of(1, "run")), "{again}");
    service.until(rows[1].split_whitespace().last().expect("its id"), &["failed"]);
    assert_eq!(service.quiver(&["backfill", "nightly", "--cancel"]).stdout, "no runs\n");
    assert_eq!(service.quiver(&["backfill", "nightly"]).code, Some(2), "neither a range nor --cancel");
    let shown = service.quiver(&["runs", "show", &of(0, "run")]).stdout;
    assert!(shown.contains("scheduled for 2026-03-2") && shown.contains("param day=2026-03-28"), "{shown}");
}

#[test]
fn tokens_made_at_the_store_open_the_service() {
    let house = House::new(PROGRAM);
    let made = house.quiver(&["token", "create", "ann", "--role", "operator"]);
    let secret = made.stdout.trim().to_owned();
    let service = Service::start(&house, &["--embedded", "--tokens"]);
    assert_eq!(service.quiver(&["runs", "list"]).code, Some(2), "the call is wrong");
    assert_eq!(service.quiver(&["runs", "list", "--token", &secret]).code, Some(0));
    house.write("token", &secret);
    let contexts = format!("current: here\ncontexts:\n  here: {{url: \"{}\", token_file: token}}\n", service.url);
    house.write("config.yaml", contexts);
    assert_eq!(house.quiver(&["runs", "list", "--config", "config.yaml"]).code, Some(0));
    // Neither is a URL that the environment names meant by who names a context.
    let by_context = |context: &str, named: bool| {
        let mut command = house.command(&["runs", "list", "--config", "config.yaml"]);
        let command = if named { command.args(["--context", context]) } else { command.env("QUIVER_CONTEXT", context) };
        command.env("QUIVER_URL", "http://127.0.0.1:1").output().expect("it starts").status.code()
    };
    assert_eq!((by_context("here", true), by_context("here", false)), (Some(0), Some(1)));
    // A store that the environment names is not meant by who names an orchestrator.
    let mut elsewhere = house.command(&["token", "list", "--url", &service.url, "--token", &secret]);
    let elsewhere = elsewhere.env("QUIVER_STORE", "sqlite://elsewhere.db").output().expect("it starts");
    assert_eq!(elsewhere.status.code(), Some(2), "{elsewhere:?}");
    assert!(!house.path().join("elsewhere.db").exists());
    // Not an admin.
    assert_eq!(house.quiver(&["token", "list", "--config", "config.yaml"]).code, Some(2));
}

#[test]
fn a_server_that_hangs_is_given_up_in_time() {
    let house = House::new(PROGRAM);
    let text = std::fs::read_to_string(house.path().join("examples/pipelines/hr_analytics.yaml")).expect("there");
    house.write("limited.yaml", text.replace("service: outliers", "service: outliers\n    timeout: 2s"));
    let service = Service::start(&house, &["--attempts", "2"]);
    let server = service.server("outliers");
    let run = service.submit("limited.yaml");
    service.until_event(&run, "done");
    // From here on nothing that it is asked is answered.
    signal(server, "STOP");
    house.write("again.yaml", text.replace("service: outliers", "service: outliers\n    timeout: 2s") + "\n");
    let refused = service.quiver(&["runs", "submit", "again.yaml"]);
    signal(server, "CONT");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("outliers"), "{}", refused.stderr);
    let next = service.submit("again.yaml");
    assert_eq!(service.until(&next, &["done", "failed"])["state"], "done");
}

#[test]
fn a_server_that_hangs_is_replaced() {
    let house = House::new(PROGRAM);
    let service = Service::start(&house, &[]);
    let hangs = service.server("outliers");
    signal(hangs, "STOP");
    eventually(SOON, "another one is there", || (service.server("outliers") != hangs).then_some(()));
    let run = service.submit("examples/pipelines/hr_analytics.yaml");
    assert_eq!(service.until(&run, &["done", "failed"])["state"], "done");
}

#[test]
fn whoever_asks_twice_for_the_end_does_not_wait_for_runs() {
    let house = House::new(PROGRAM);
    let rows: String = (0..3000).map(|id| format!("{id}\n")).collect();
    house.write("in.csv", format!("id\n{rows}"));
    let query = "SELECT count(*) AS n FROM input AS a, input AS b, input AS c WHERE a.id + b.id * c.id = -1";
    house.write(
        "long.yaml",
        json!({"steps": [
            {"id": "read", "service": "extract-csv", "params": {"file_path": "in.csv"}},
            {"id": "count", "service": "sql", "params": {"query": query}, "depends_on": "read"},
            {"id": "write", "service": "load-data", "params": {"format": "csv", "dataset_name": "n"}, "depends_on": "count"},
        ]})
        .to_string(),
    );
    let words = ["up", "--embedded", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0", "--drain", "10m", "--json"];
    let mut service = Service::spawn(&house, house.command(&words));
    let run = service.submit("long.yaml");
    service.until_event(&run, "started");
    let ended = eventually(SOON, "it ends", || {
        let ended = service.process.child().try_wait().expect("its state");
        // Those that come soon after the first are one request with it.
        if ended.is_none() {
            service.process.signal("INT");
        }
        ended
    });
    assert_eq!(ended.code(), Some(130));
}

#[test]
fn a_data_set_is_described_as_pipelines_read_it() {
    let house = House::new(PROGRAM);
    house.write("a.csv", "zip,n\n00001,1\n00002,\n");
    house.write("b.csv", "zip;n\n\"0\n1\";1\n");
    house.write("c.json", r#"[{"id": 1, "at": {"x": 2.5}}, {"id": 12345678901234567890}]"#);
    house.write("d.jsonl", "{\"id\": 1}\n{\"id\": 2}\n");
    house.write("e.csv", "a,a\n1,2\n");
    let service = Service::start(&house, &["--embedded"]);
    let told = |path: &str| service.asked(&format!("/api/v1/datasets/{path}?count=true"));
    let types = |path: &str| {
        let told = told(path);
        let columns = told["columns"].as_array().unwrap_or_else(|| panic!("{told}")).clone();
        columns.iter().map(|column| format!("{} {}", column["name"], column["type"])).collect::<Vec<_>>().join(", ")
    };
    assert_eq!((types("a.csv").as_str(), &told("a.csv")["rows"]), (r#""zip" "Utf8", "n" "Int64""#, &json!(2)));
    assert!(types("c.json").starts_with(r#""id" "Utf8", "at" "Struct("#), "{}", types("c.json"));
    assert_eq!((types("d.jsonl").as_str(), &told("d.jsonl")["rows"]), (r#""id" "Int64""#, &json!(2)));
    // The step says what is wrong with a file.
    for (path, part) in [("b.csv", "set `delimiter: "), ("e.csv", "\"a\\\"")] {
        assert!(told(path).to_string().contains(part), "{}", told(path));
    }
}

#[test]
fn a_full_disk_is_told_and_got_over() {
    let house = House::new(PROGRAM);
    write_tiny(&house);
    let service = Service::start(&house, &["--embedded"]);
    let first = service.submit("tiny.yaml");
    service.until(&first, &["done"]);
    // No file may grow any more: what a full disk does, without filling one.
    let limit = |soft: &str| {
        let pid = service.process.pid().to_string();
        let limit = format!("--fsize={soft}:unlimited");
        let set = std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        assert!(set.is_ok_and(|status| status.success()), "prlimit");
    };
    limit("0");
    // Several at once: they share a transaction.
    let refused = std::thread::scope(|scope| {
        let asked = [(); 4].map(|()| scope.spawn(|| service.quiver(&["runs", "submit", "tiny.yaml"])));
        asked.map(|asked| asked.join().expect("no panic"))
    });
    for refused in refused {
        assert_eq!(refused.code, Some(1), "{}{}", refused.stdout, refused.stderr);
        assert!(refused.stderr.contains("the store cannot be used"), "{}", refused.stderr);
    }
    // It can still be asked.
    assert_eq!(service.show(&first)["state"], "done");
    limit("unlimited");
    let next = service.submit("tiny.yaml");
    assert_eq!(service.until(&next, &["done", "failed"])["state"], "done");
}

#[test]
fn a_secret_is_used_and_written_down_nowhere() {
    const SECRET: &str = "topsecret-4711";
    let house = House::new(PROGRAM);
    house.write("in.csv", "id,name\n1,Ann\n2,Bo\n");
    house.write("secrets/place", SECRET);
    house.write(
        "secret.yaml",
        "name: hidden\nsteps:\n  - {id: read, service: extract-csv, params: {file_path: in.csv}}\n  \
         - {id: write, service: load-data, params: {format: csv, dataset_name: \"secret://place\"}, depends_on: [read]}\n",
    );
    let service = Service::start(&house, &["--secrets-dir", "secrets"]);
    let followed = service.quiver(&["runs", "submit", "secret.yaml", "--follow"]);
    assert_eq!(followed.code, Some(0), "{}", followed.stderr);
    assert!(!followed.stdout.contains(SECRET), "{}", followed.stdout);
    let run = service.quiver(&["runs", "list", "--json"]).json()["items"][0]["id"].as_str().expect("a run").to_owned();
    let shown = service.show(&run).to_string();
    assert!(!shown.contains(SECRET), "{shown}");
    service.process.signal("TERM");
    assert_eq!(service.process.end_within(SOON).code, Some(0));
    // It was used: the data set has its name.
    assert!(house.outputs().iter().any(|path| path.starts_with(&format!("{SECRET}/processed/"))));
    for path in house.outputs().into_iter().filter(|path| path.starts_with(".quiver/")) {
        let bytes = std::fs::read(house.path().join(&path)).expect("there");
        let found = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!found, "{path} holds the secret");
    }
}

#[test]
fn a_collector_that_is_gone_is_told_and_costs_nothing() {
    let house = House::new(PROGRAM);
    let mut command = house.command(&["up", "--embedded", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0", "--json"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let service = Service::spawn(&house, command);
    let run = service.submit("examples/pipelines/hr_analytics.yaml");
    assert_eq!(service.until(&run, &["done", "failed"])["state"], "done");
    let ready = service.asked("/ready");
    let part = ready["parts"].as_array().expect("parts").iter().find(|part| part["name"] == "collector");
    let part = part.expect("the collector");
    assert_eq!((&ready["ready"], &part["ok"], &part["needed"]), (&true.into(), &false.into(), &false.into()), "{part}");
    assert!(part["reason"].as_str().is_some_and(|why| why.contains("127.0.0.1:1")), "{part}");
}

#[test]
fn what_is_downloaded_is_what_a_load_writes() {
    let house = House::new(PROGRAM);
    let service = Service::start(&house, &[]);
    house.write("odd.csv", "id,note,price\n1,\"\",1234567890123456789012345678.0001\n2,NA,\n3,\"a, \"\"b\"\"\",-0.5\n");
    house.write(
        "odd.yaml",
        "name: odd
steps:
  - {id: read, service: extract-csv, params: {file_path: odd.csv, types: {price: 'decimal(38,4)'}}}
  - id: odd
    service: sql
    params:
      query: >-
        SELECT *, CAST(note AS BYTEA) AS bytes, INTERVAL '1 month 2 days' AS span, TIME '10:30:00' AS at FROM input
    depends_on: read
    checkpoint: true
  - {id: csv, service: load-data, params: {path: out.csv}, depends_on: odd}
  - {id: json, service: load-data, params: {path: out.json}, depends_on: odd}
  - {id: jsonl, service: load-data, params: {path: out.jsonl}, depends_on: odd}
",
    );
    let ended = service.quiver(&["runs", "submit", "odd.yaml", "--follow"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for format in ["csv", "json", "jsonl"] {
        let loaded = std::fs::read_to_string(house.path().join(format!("out.{format}"))).expect("it was written");
        let downloaded = service.quiver(&["runs", "download", "last", "odd", "--format", format]);
        assert_eq!(downloaded.stdout, loaded, "{format}: {}", downloaded.stderr);
        // Unless told, the format is that which the file is called after.
        let file = format!("down.{format}");
        let saved = service.quiver(&["runs", "download", "last", "odd", "-o", &file]);
        assert_eq!(saved.code, Some(0), "{}", saved.stderr);
        assert_eq!(std::fs::read_to_string(house.path().join(file)).expect("it was written"), loaded);
    }
    let unknown = service.quiver(&["runs", "download", "last", "odd", "-o", "down.xml"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains(".xml"), "{unknown:?}");
    let folder = service.quiver(&["runs", "download", "last", "none", "-o", "examples"]);
    assert!(folder.code == Some(2) && folder.stderr.contains("examples is a folder"), "{folder:?}");
    let lines = std::fs::read_to_string(house.path().join("out.jsonl")).expect("it was written");
    let id = service.show("last")["id"].as_str().expect("an id").to_owned();
    let preview = service.asked(&format!("/api/v1/runs/{id}/steps/odd/preview?limit=2"));
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&preview["rows"][0], &preview["rows"][1]["price"]), (&first, &serde_json::Value::Null));
}
