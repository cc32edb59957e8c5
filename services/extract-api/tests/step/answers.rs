//! Answers of many forms that are read well, and what is told of those that are not.

use crate::support::{Reply, Server, bench, read_json, read_reply, read_with};
use arrow::array::AsArray;
use arrow::datatypes::{Decimal128Type, Int64Type, TimestampMicrosecondType};
use extract_api::ExtractApi;
use flight_common::registry::erase;
use flight_common::testing::refused;
use flight_common::{FaultKind, InputSchemas};
use serde_json::json;

#[tokio::test]
async fn a_list_of_records_becomes_rows() {
    let ran = read_json(json!([{"a": 1, "b": "x"}, {"b": "y", "a": null}, {"a": 3}]), json!({})).await.expect("reads");
    let (names, cells) = ran.shown();
    assert_eq!(names, ["a: Int64", "b: Utf8"]);
    assert_eq!(cells, [["1", "x"], ["∅", "y"], ["3", "∅"]]);
    assert_eq!((ran.report.counters["requests"], ran.report.counters["pages"]), (1, 1));
}

/// A pipeline is planned before it runs, and once more as it begins.
#[tokio::test]
async fn an_api_is_asked_once_for_all_plans_of_a_run_and_once_by_the_run() {
    let server = Server::start(|_| Reply::json(json!([{"a": 1}]))).await;
    let (step, bench) = (erase(ExtractApi::default()), bench());
    let params = json!({"url": server.url("/")});
    for run in 1..=2 {
        step.plan(&params, &InputSchemas::default(), &bench.env).await.expect("plans");
        bench.run_erased(&*step, &params, Vec::new()).await.expect("runs");
        assert_eq!(server.seen().len(), 2 * run, "the run after it looks anew");
    }
    let other = json!({"url": server.url("/"), "params": {"b": 1}});
    step.plan(&params, &InputSchemas::default(), &bench.env).await.expect("plans");
    step.plan(&other, &InputSchemas::default(), &bench.env).await.expect("plans");
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn numbers_with_more_digits_than_a_float_gives_back_stay_text() {
    let body = r#"[{"a": 1234567890123456789.25, "b": 0.30000000000000004, "c": 1e-400}]"#;
    let ran = read_reply(Reply::json(body), json!({})).await.expect("reads");
    let (names, cells) = ran.shown();
    assert_eq!(names, ["a: Utf8", "b: Float64", "c: Utf8"]);
    assert_eq!(cells, [["1234567890123456789.25", "0.30000000000000004", "1e-400"]]);
}

#[tokio::test]
async fn a_pointer_leads_to_the_records() {
    let document = json!({"meta": {"n": 2}, "data": {"items": [{"a": 1}, {"a": 2}]}});
    let ran = read_json(document.clone(), json!({"records_path": "/data/items"})).await.expect("reads");
    assert_eq!(ran.cells(), [["1"], ["2"]]);
    let wrong = read_json(document, json!({"records_path": "/data/itms"})).await;
    refused(wrong, FaultKind::BadData, &["itms", "items"]);
}

#[tokio::test]
async fn columns_become_rows() {
    let document = json!({"hourly": {"time": ["2024-01-01T00:00", "2024-01-01T01:00"], "temp": [1.5, null]}});
    let ran = read_json(document, json!({"records_path": "/hourly"})).await.expect("reads");
    assert_eq!(ran.shown().0, ["time: Timestamp(µs)", "temp: Float64"]);
    assert_eq!(ran.cells(), [["2024-01-01T00:00:00", "1.5"], ["2024-01-01T01:00:00", "∅"]]);
    let uneven = read_json(json!({"a": [1, 2], "b": [1]}), json!({})).await;
    refused(uneven, FaultKind::BadData, &["2 values", "\"b\" 1"]);
}

#[tokio::test]
async fn objects_are_flattened_and_lists_kept() {
    let document = json!([
        {"u": {"id": 1, "at": {"x": 0.5}}, "tags": ["a", null], "deep": [[1]]},
        {"u": null, "tags": [], "deep": {"k": 1}},
        {"u": {"at": null}, "tags": null},
    ]);
    let ran = read_json(document, json!({})).await.expect("reads");
    assert_eq!(
        ran.schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
        ["u.id", "u.at.x", "tags", "deep"]
    );
    let wanted = [["1", "0.5", "[a, ∅]", "[[1]]"], ["∅", "∅", "[]", "{\"k\":1}"], ["∅", "∅", "∅", "∅"]];
    assert_eq!(ran.cells(), wanted);
}

#[tokio::test]
async fn two_fields_of_one_name_are_refused() {
    let clash = read_json(json!([{"a.b": 1, "a": {"b": 2}}]), json!({})).await;
    let fault = refused(clash, FaultKind::BadData, &["a.b", "json"]);
    assert_eq!(fault.violations()[0].pointer, "/types/a");
    let twice = read_reply(Reply::json(r#"[{"a": 1, "a": 2}]"#), json!({})).await;
    refused(twice, FaultKind::BadData, &["page 1, record 1", "\"a\""]);
    let ran = read_json(json!([{"a.b": 1, "a": {"b": 2}}]), json!({"types": {"a": "json"}})).await.expect("reads");
    assert_eq!(ran.cells(), [["1", "{\"b\":2}"]]);
    let ran = read_json(json!([{"A": 1, "a": 2, "": 3}]), json!({})).await.expect("reads");
    assert_eq!(ran.cells(), [["1", "2", "3"]]);
}

#[tokio::test]
async fn values_keep_every_digit() {
    let document = r#"[{"big": 9007199254740993, "money": 12345678901234567890123456.12, "old": "1969-12-31T23:59:59.999999Z", "smile": "😀\u0000"}]"#;
    let ran = read_reply(Reply::json(document), json!({"types": {"money": "decimal(38,2)"}})).await.expect("reads");
    let rows = ran.rows();
    assert_eq!(rows["big"].as_primitive::<Int64Type>().value(0), (1 << 53) + 1);
    assert_eq!(rows["money"].as_primitive::<Decimal128Type>().value(0), 1_234_567_890_123_456_789_012_345_612);
    assert_eq!(rows["old"].as_primitive::<TimestampMicrosecondType>().value(0), -1);
    assert_eq!(rows["smile"].as_string::<i32>().value(0), "😀\0");
}

#[tokio::test]
async fn numbers_as_text_stay_text_unless_the_user_says_so() {
    let document = json!([{"zip": "01067", "n": "5"}]);
    let ran = read_json(document.clone(), json!({})).await.expect("reads");
    assert_eq!(ran.shown().0, ["zip: Utf8", "n: Utf8"]);
    let ran = read_json(document, json!({"types": {"n": "int64"}})).await.expect("reads");
    assert_eq!(ran.rows()["n"].as_primitive::<Int64Type>().value(0), 5);
}

#[tokio::test]
async fn what_does_not_fit_later_names_page_record_and_field() {
    let later = |value: serde_json::Value| json!([{"a": 1}, {"a": 2}, {"a": value}]);
    let one = json!({"sample_rows": 1});
    for (value, words) in [
        (json!("3"), ["page 1, record 3", "field \"a\"", "\"3\" is not int64", "\"a\": string"]),
        (json!(2.5), ["page 1, record 3", "field \"a\"", "\"2.5\" is not int64", "sample_rows"]),
        (json!({"b": 1}), ["page 1, record 3", "field \"a\"", "is not int64", "\"a\": json"]),
    ] {
        let fault = refused(read_json(later(value), one.clone()).await, FaultKind::BadData, &words);
        assert_eq!((fault.row_number(), fault.column_name()), (Some(3), Some("a")));
    }
    let unknown = json!([{"a": 1}, {"a": 2, "new": {"x": 1}}]);
    let fault =
        refused(read_json(unknown.clone(), one).await, FaultKind::BadData, &["record 2", "\"new\"", "unknown_fields"]);
    assert_eq!(fault.column_name(), Some("new"));
    let ran = read_json(unknown, json!({"sample_rows": 1, "unknown_fields": "ignore"})).await.expect("reads");
    assert_eq!(ran.cells(), [["1"], ["2"]]);
    let no_object = json!([{"a": {"b": 1}}, {"a": 5}]);
    refused(
        read_json(no_object, json!({"sample_rows": 1})).await,
        FaultKind::BadData,
        &["record 2", "\"a\"", "no object"],
    );
}

#[tokio::test]
async fn types_alone_need_no_request_to_plan() {
    let server = Server::start(|_| Reply::json(r#"[{"b": "7", "a": {"x": true}, "other": 1}]"#)).await;
    let params = json!({"types": {"b": "int64", "a.x": "boolean"}, "sample_rows": 0});
    let ran = read_with(&server, params).await.expect("reads");
    assert_eq!(ran.shown().0, ["a.x: Boolean", "b: Int64"]);
    assert_eq!(ran.cells(), [["true", "7"]]);
    assert_eq!(server.seen().len(), 1, "the run's alone");
    let none = read_with(&server, json!({"sample_rows": 0})).await;
    assert_eq!(refused(none, FaultKind::BadParams, &["types"]).violations()[0].pointer, "/types");
}

#[tokio::test]
async fn a_post_is_sent_when_planning_only_if_the_user_says_so() {
    let server = Server::start(|_| Reply::json(r#"[{"a": 1}]"#)).await;
    let body = json!({"query": "status:open"});
    refused(read_with(&server, json!({"body": body})).await, FaultKind::BadParams, &["types", "sample_rows"]);
    assert_eq!(server.seen().len(), 0);
    let ran = read_with(&server, json!({"body": body, "types": {"a": "int64"}})).await.expect("reads");
    assert_eq!(ran.cells(), [["1"]]);
    let seen = server.seen();
    assert_eq!((seen.len(), seen[0].method.as_str(), seen[0].body.as_str()), (1, "POST", r#"{"query":"status:open"}"#));
    assert_eq!(seen[0].headers["content-type"], "application/json");
    read_with(&server, json!({"body": body, "sample_rows": 10})).await.expect("reads");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_record_per_line() {
    let reply = Reply::new("application/x-ndjson", "{\"a\": 1}\n\n{\"a\": 2}\r\n{\"a\": 3}");
    assert_eq!(read_reply(reply, json!({})).await.expect("reads").cells(), [["1"], ["2"], ["3"]]);
    let wrong = Reply::new("application/x-ndjson", "{\"a\": 1}\n{\"a\": }\n{\"a\": 3}");
    refused(read_reply(wrong, json!({})).await, FaultKind::BadData, &["record 2", "not JSON"]);
}

#[tokio::test]
async fn csv_is_read_by_the_rules_of_extract_csv() {
    let text = "id,zip,day,ok\n1,007,2024-02-29,true\n,NA,,False\n";
    let ran = read_reply(Reply::new("text/csv", text), json!({})).await.expect("reads");
    assert_eq!(ran.shown().0, ["id: Int64", "zip: Utf8", "day: Date32", "ok: Boolean"]);
    assert_eq!(ran.cells(), [["1", "007", "2024-02-29", "true"], ["∅", "∅", "∅", "false"]]);
    let header = read_reply(Reply::new("text/csv", "a;b\n"), json!({"delimiter": ";"})).await.expect("reads");
    assert_eq!(header.shown(), (vec!["a: Utf8".to_owned(), "b: Utf8".to_owned()], Vec::new()));
    let uncut = read_reply(Reply::new("text/csv", "a;b\n1;2\n"), json!({})).await;
    refused(uncut, FaultKind::BadData, &["one field", "set `delimiter"]);
    let single = read_reply(Reply::new("text/csv", "a;b\nx\n"), json!({"delimiter": ","})).await.expect("reads");
    assert_eq!(single.shown().0, ["a;b: Utf8"]);
    let lists = read_reply(Reply::new("text/csv", text), json!({"types": {"id": "list(int64)"}})).await;
    refused(lists, FaultKind::BadParams, &["list"]);
    let ragged = read_reply(Reply::new("text/csv", "a,b\n1\n"), json!({})).await;
    refused(ragged, FaultKind::BadData, &["row 1", "1 fields"]);
}

#[tokio::test]
async fn without_records_the_columns_must_be_told() {
    let fault = read_json(json!([]), json!({})).await;
    refused(fault, FaultKind::BadData, &["no records", "types"]);
    for empty in [json!([]), json!({"items": null}), json!({"items": []})] {
        let path = if empty.is_object() { "/items" } else { "" };
        let ran = read_json(empty, json!({"records_path": path, "types": {"a": "date"}})).await.expect("reads");
        assert_eq!((ran.rows().num_rows(), ran.shown().0), (0, vec!["a: Date32".to_owned()]));
    }
}

#[tokio::test]
async fn what_is_neither_json_nor_csv_is_refused() {
    refused(
        read_reply(Reply::new("text/html", "<html>"), json!({})).await,
        FaultKind::BadData,
        &["text/html", "format"],
    );
    let forced = read_reply(Reply::new("text/html", "<html>"), json!({"format": "json"})).await;
    refused(forced, FaultKind::BadData, &["not JSON"]);
    refused(read_reply(Reply::json("[{\"a\": 1,}]"), json!({})).await, FaultKind::BadData, &["record 1", "not JSON"]);
    refused(read_reply(Reply::json("[{\"a\": 1} {}]"), json!({})).await, FaultKind::BadData, &["not JSON"]);
    let deep = format!("[{}1{}]", "{\"a\":".repeat(5000), "}".repeat(5000));
    refused(read_reply(Reply::json(&deep), json!({})).await, FaultKind::BadData, &["128 objects"]);
    refused(read_reply(Reply::new("text/csv", "a,b\n1,\"x"), json!({})).await, FaultKind::BadData, &["never closed"]);
    refused(read_reply(Reply::json("[{\"a\": \"\u{1}\"}]"), json!({})).await, FaultKind::BadData, &["not JSON"]);
    let bytes = Reply::new("application/json", b"[{\"a\": \"\xff\"}]");
    refused(read_reply(bytes, json!({})).await, FaultKind::BadData, &["UTF-8"]);
}

#[tokio::test]
async fn the_older_parameters_work() {
    let server = Server::start(|_| Reply::json(r#"[{"a": 1}]"#)).await;
    let params = json!({
        "api_url": server.url("/users?x=1"), "api_params": {"country": "de", "n": 10, "all": true},
        "auth_type": "bearer", "auth_value": "t0ken",
    });
    crate::support::run(params).await.expect("reads");
    let request = &server.seen()[0];
    assert_eq!((request.path.as_str(), request.headers["authorization"].as_str()), ("/users", "Bearer t0ken"));
    for (name, value) in [("x", "1"), ("country", "de"), ("n", "10"), ("all", "true")] {
        assert_eq!(request.query[name], value);
    }
    let both = crate::support::run(json!({"url": "http://h/", "api_url": "http://h/"})).await;
    refused(both, FaultKind::BadParams, &["older name"]);
    let none = crate::support::run(json!({})).await;
    refused(none, FaultKind::BadParams, &["missing parameter \"url\""]);
}

#[tokio::test]
async fn whoever_asks_is_told_in_each_way() {
    let server = Server::start(|_| Reply::json(r#"[{"a": 1}]"#)).await;
    for (auth, header) in [
        (
            json!({"auth": {"type": "basic", "user": "ann", "password": "s3cret"}}),
            ("authorization", "Basic YW5uOnMzY3JldA=="),
        ),
        (json!({"auth_type": "basic", "auth_value": "ann:s3cret"}), ("authorization", "Basic YW5uOnMzY3JldA==")),
        (json!({"auth": {"type": "api_key", "name": "X-Mine", "value": "k3y"}}), ("x-mine", "k3y")),
        (json!({"auth_type": "api_key", "auth_value": "k3y"}), ("x-api-key", "k3y")),
        (json!({"headers": {"X-Other": "0ther"}}), ("x-other", "0ther")),
    ] {
        read_with(&server, auth).await.expect("reads");
        assert_eq!(server.seen().last().expect("asked").headers[header.0], header.1);
    }
    let query = json!({"auth": {"type": "api_key", "name": "key", "value": "k3y", "in": "query"}});
    read_with(&server, query).await.expect("reads");
    assert_eq!(server.seen().last().expect("asked").query["key"], "k3y");
}
