//! Commands that only look: the doctor, and lists of tokens.

use super::PROGRAM;
use quiver_tests::House;

/// What the doctor finds of a part, in this environment.
fn diagnosed(house: &House, words: &[&str], part: &str, environment: &[(&str, &str)]) -> serde_json::Value {
    let mut command = house.command(&[&["doctor", "--json", "--url", "http://127.0.0.1:1"], words].concat());
    let output = command.envs(environment.iter().copied()).output().expect("it starts");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let found = found["findings"].as_array().expect("findings").iter().find(|finding| finding["what"] == part);
    found.expect("it was looked at").clone()
}

#[test]
fn who_only_looks_makes_no_store() {
    let house = House::new(PROGRAM);
    for words in [&["list"][..], &["list", "--store", "sqlite://new.db"], &["revoke", "some"]] {
        let looked = house.quiver(&[&["token"], words].concat());
        assert!(looked.code == Some(2) && looked.stderr.contains("--data-root or --store"), "{words:?}: {looked:?}");
    }
    for words in [&[][..], &["--store", "sqlite://new.db"], &["--store", "sqlite:new.db?mode=rwc"]] {
        let store = diagnosed(&house, words, "store", &[]);
        assert!(store["found"].as_str().is_some_and(|found| found.contains("none yet")), "{words:?}: {store}");
    }
    assert_eq!(house.outputs(), [""; 0]);
    let store = diagnosed(&house, &["--store", "sqlite://none/new.db"], "store", &[]);
    assert_eq!((&store["ok"], &store["found"]), (&false.into(), &"there is no folder none for the store".into()));
    assert!(store["help"].as_str().is_some_and(|help| help.contains("make it")), "{store}");
}

#[test]
fn the_doctor_calls_no_collector_fine_to_which_nothing_is_sent() {
    let house = House::new(PROGRAM);
    let listening = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listening.local_addr().expect("its address");
    let collector = |endpoint: &str, disabled: &str| {
        let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_SDK_DISABLED", disabled)];
        let found = diagnosed(&house, &[], "collector", &environment);
        assert_eq!(found["needed"], found["ok"], "runs go on without");
        (found["ok"].as_bool().expect("yes or no"), found["found"].as_str().expect("a text").to_owned())
    };
    let (ok, found) = collector(&format!("http://{address}"), "");
    assert!(ok && found.contains("takes connections"), "{found}");
    let (ok, found) = collector(&format!("https://{address}"), "");
    assert!(!ok && found.contains("no http:// address"), "{found}");
    let (ok, found) = collector(&format!("http://{address}"), "true");
    assert!(ok && found.contains("not sent"), "{found}");
}
