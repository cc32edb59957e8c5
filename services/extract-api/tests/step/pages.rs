//! More than one page.

use crate::support::{Reply, Request, Server, read_with};
use flight_common::FaultKind;
use flight_common::testing::refused;
use serde_json::{Value, json};

/// Seven records in pages of three, from `start` on.
fn items(start: usize) -> Vec<Value> {
    (start..7.min(start + 3)).map(|id| json!({"id": id})).collect()
}

fn number(request: &Request, name: &str) -> usize {
    request.query.get(name).and_then(|value| value.parse().ok()).unwrap_or_default()
}

async fn ids(server: &Server, more: Value) -> Vec<String> {
    let ran = read_with(server, more).await.expect("reads");
    ran.cells().into_iter().flatten().collect()
}

const ALL: [&str; 7] = ["0", "1", "2", "3", "4", "5", "6"];

#[tokio::test]
async fn links_are_followed_to_the_last_page() {
    let server = Server::start(|request| {
        let start = number(request, "from");
        let reply = Reply::json(json!(items(start)));
        match start + 3 < 7 {
            true => reply.header("link", format!("</?from={}>; rel=\"next\", </?from=6>; rel=\"last\"", start + 3)),
            false => reply,
        }
    })
    .await;
    assert_eq!(ids(&server, json!({"pagination": {"type": "link"}})).await, ALL);
    assert_eq!(ids(&server, json!({"pagination": {"type": "none"}})).await, ALL[..3]);
    let fault = read_with(&server, json!({})).await.expect_err("there is more");
    assert!(fault.message().contains("has a next page"), "{fault:?}");
}

#[tokio::test]
async fn a_cursor_is_followed_wherever_it_stands() {
    let server = Server::start(|request| {
        let start = number(request, "after");
        let next = (start + 3 < 7).then_some(start + 3);
        // The cursor stands behind the records on every other page.
        Reply::json(match start % 2 {
            0 => json!({"meta": {"next": next}, "data": items(start)}).to_string(),
            _ => format!("{{\"data\": {}, \"meta\": {{\"next\": {}}}}}", json!(items(start)), json!(next)),
        })
    })
    .await;
    let pagination = json!({"type": "cursor", "path": "/meta/next", "param": "after"});
    assert_eq!(ids(&server, json!({"records_path": "/data", "pagination": pagination})).await, ALL);
}

#[tokio::test]
async fn a_cursor_that_is_nowhere_on_the_only_page_is_told() {
    let server = Server::start(|_| Reply::json(json!({"meta": {"next": "b"}, "data": items(0)}))).await;
    let pagination = json!({"type": "cursor", "path": "/meta/nxt", "param": "after"});
    let ran = read_with(&server, json!({"records_path": "/data", "pagination": pagination})).await.expect("reads");
    let warnings = ran.report.details["warnings"].to_string();
    assert!(warnings.contains("/meta/nxt"), "{warnings}");
}

#[tokio::test]
async fn a_cursor_may_be_an_address() {
    let server = Server::start(|request| {
        let start = number(request, "from");
        let next = (start + 3 < 7).then(|| format!("/?from={}", start + 3));
        Reply::json(json!({"next": next, "data": items(start)}))
    })
    .await;
    let pagination = json!({"type": "cursor", "path": "/next"});
    assert_eq!(ids(&server, json!({"records_path": "/data", "pagination": pagination})).await, ALL);
}

#[tokio::test]
async fn pages_and_records_are_counted() {
    let server = Server::start(|request| {
        let start = match request.query.contains_key("page") {
            true => 3 * (number(request, "page") - 1),
            false => number(request, "offset"),
        };
        Reply::json(json!(items(start)))
    })
    .await;
    assert_eq!(ids(&server, json!({"pagination": {"type": "page"}})).await, ALL);
    assert_eq!(ids(&server, json!({"pagination": {"type": "offset"}})).await, ALL);
    assert_eq!(ids(&server, json!({"pagination": {"type": "offset", "start": 5}})).await, ALL[5..]);
}

#[tokio::test]
async fn an_endless_list_is_stopped_and_told() {
    let server = Server::start(|_| Reply::json(r#"[{"id": 1}]"#)).await;
    let endless = read_with(&server, json!({"pagination": {"type": "page"}, "max_pages": 5})).await;
    refused(endless, FaultKind::BadData, &["5 pages", "max_pages"]);
    let stuck = Server::start(|_| Reply::json(r#"{"next": "a", "data": [{"id": 1}]}"#)).await;
    let pagination = json!({"type": "cursor", "path": "/next", "param": "after"});
    let stuck = read_with(&stuck, json!({"records_path": "/data", "pagination": pagination})).await;
    refused(stuck, FaultKind::BadData, &["page 2", "twice"]);
    let round = Server::start(|_| Reply::json(r#"[{"id": 1}]"#).header("link", "<>; rel=next")).await;
    let round = read_with(&round, json!({"pagination": {"type": "link"}})).await;
    refused(round, FaultKind::BadData, &["names itself"]);
}

#[tokio::test]
async fn a_later_page_that_does_not_fit_is_named() {
    let server = Server::start(|request| match number(request, "page") {
        1 => Reply::json(r#"[{"id": 1}]"#),
        2 => Reply::json(r#"[{"id": 2}, {"id": "x"}]"#),
        _ => Reply::json("[]"),
    })
    .await;
    let fault = refused(
        read_with(&server, json!({"pagination": {"type": "page"}})).await,
        FaultKind::BadData,
        &["page 2, record 2", "\"x\" is not int64"],
    );
    assert_eq!(fault.row_number(), Some(3));
}

#[tokio::test]
async fn each_page_of_csv_has_its_header() {
    let server = Server::start(|request| {
        Reply::new(
            "text/csv",
            match number(request, "page") {
                1 => "id,name\n1,a\n",
                2 => "name,id\nb,2\n",
                _ => "id,name\n",
            },
        )
    })
    .await;
    let ran = read_with(&server, json!({"pagination": {"type": "page"}})).await.expect("reads");
    assert_eq!(ran.cells(), [["1", "a"], ["2", "b"]]);
}
