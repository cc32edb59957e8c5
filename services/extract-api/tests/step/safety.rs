//! Each guard, with the attack that it stops.

use crate::support::{Reply, Server, read_with, run};
use extract_api::{ExtractApi, Params};
use flight_common::FaultKind;
use flight_common::testing::Bench;
use flight_common::testing::refused;
use serde_json::{Value, json};

fn good() -> Reply {
    Reply::json(r#"[{"a": 1}]"#)
}

#[tokio::test]
async fn private_addresses_are_refused_in_every_spelling() {
    let server = Server::start(|_| good()).await;
    let port = server.port();
    let nothing_allowed = async |url: &str| Bench::new().run(ExtractApi::default(), json!({"url": url}), &[]).await;
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
        "100.64.0.1",
        "192.168.0.1",
        "172.16.0.1",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[64:ff9b::7f00:1]",
        "168.63.129.16",
    ] {
        let fault = nothing_allowed(&format!("http://{host}:{port}/")).await;
        refused(fault, FaultKind::Denied, &["no public address", "--http-allow"]);
    }
    assert_eq!(server.seen().len(), 0, "nothing was sent");
    for scheme in ["file:///etc/passwd", "ftp://h/", "gopher://h/", "data:application/json,[]"] {
        refused(nothing_allowed(scheme).await, FaultKind::BadParams, &["http"]);
    }
}

#[tokio::test]
async fn the_operator_allows_hosts_and_networks() {
    let server = Server::start(|_| good()).await;
    let url = format!("http://localhost:{}/", server.port());
    for list in ["localhost", "127.0.0.0/8,::1", "*"] {
        let bench = Bench::new().http_allow(list.parse().expect("a list"));
        bench.run(ExtractApi::default(), json!({"url": url}), &[]).await.expect("allowed");
    }
    let bench = Bench::new().http_allow("10.0.0.0/8,example.org".parse().expect("a list"));
    refused(bench.run(ExtractApi::default(), json!({"url": url}), &[]).await, FaultKind::Denied, &["localhost"]);
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused() {
    // The first server may be reached, the second must not.
    let inner = Server::start_at("127.0.0.2:0", |_| good()).await;
    for location in
        [format!("http://127.0.0.2:{}/", inner.port()), "http://169.254.169.254/latest/meta-data".to_owned()]
    {
        for status in
            ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
        {
            let location = location.clone();
            let server = Server::start(move |_| Reply::redirect(status, &location)).await;
            refused(read_with(&server, json!({})).await, FaultKind::Denied, &["no public address"]);
        }
    }
    assert_eq!(inner.seen().len(), 0);
}

#[tokio::test]
async fn a_link_or_cursor_to_a_private_address_is_refused() {
    let inner = Server::start_at("127.0.0.2:0", |_| good()).await;
    let next = format!("http://127.0.0.2:{}/", inner.port());
    let body = json!({"next": next, "items": [{"a": 1}]}).to_string();
    let server = Server::start(move |_| Reply::json(&body).header("link", format!("<{next}>; rel=next"))).await;
    for pagination in [json!({"type": "link"}), json!({"type": "cursor", "path": "/next"})] {
        let ran = read_with(&server, json!({"records_path": "/items", "pagination": pagination})).await;
        refused(ran, FaultKind::Denied, &["page 2", "no public address"]);
    }
    assert_eq!(inner.seen().len(), 0);
}

#[tokio::test]
async fn redirects_are_followed_within_bounds() {
    let server = Server::start(|request| match request.path.as_str() {
        "/" => Reply::redirect("302 Found", "/b?x=1"),
        "/b" => Reply::redirect("307 Temporary Redirect", "c"),
        "/c" => good(),
        _ => Reply::redirect("302 Found", "/loop"),
    })
    .await;
    assert_eq!(read_with(&server, json!({})).await.expect("followed").cells(), [["1"]]);
    let endless = run(json!({"url": server.url("/loop")})).await;
    refused(endless, FaultKind::Upstream, &["more than 10 times"]);
    assert_eq!(server.seen().iter().filter(|request| request.path == "/loop").count(), 11);
}

#[tokio::test]
async fn credentials_stay_with_the_origin_that_they_are_for() {
    let other = Server::start(|_| good()).await;
    let away = other.url("/");
    let server = Server::start(move |request| match request.path.as_str() {
        "/" => Reply::redirect("302 Found", "/same"),
        _ => Reply::redirect("302 Found", &away),
    })
    .await;
    let auths = [
        json!({"type": "bearer", "token": "s3cret"}),
        json!({"type": "basic", "user": "s3cret", "password": "s3cret"}),
        json!({"type": "api_key", "value": "s3cret"}),
        json!({"type": "api_key", "name": "key", "value": "s3cret", "in": "query"}),
    ];
    for auth in auths {
        let params = json!({"auth": auth, "headers": {"x-mine": "s3cret"}, "params": {"session": "s3cret"}});
        read_with(&server, params).await.expect("reads");
    }
    assert!(server.seen().iter().all(|request| request.headers["x-mine"] == "s3cret"), "also after a redirect at home");
    let seen = other.seen();
    assert!(!seen.is_empty() && !format!("{seen:?}").contains("s3cret"), "{seen:?}");
    assert!(!format!("{seen:?}").contains("authorization") && !format!("{seen:?}").contains("czNjcmV0"), "{seen:?}");
}

#[tokio::test]
async fn a_body_is_not_sent_to_another_origin() {
    let other = Server::start(|_| good()).await;
    let away = other.url("/");
    let server = Server::start(move |_| Reply::redirect("308 Permanent Redirect", &away)).await;
    let params = json!({"body": {"secret": 1}, "types": {"a": "int64"}});
    refused(read_with(&server, params).await, FaultKind::Denied, &["redirects a POST"]);
    assert_eq!(other.seen().len(), 0);
}

#[tokio::test]
async fn a_link_away_leaves_the_credentials_behind() {
    let other = Server::start(|_| good()).await;
    let away = other.url("/");
    let server = Server::start(move |_| good().header("link", format!("<{away}>; rel=next"))).await;
    let params = json!({"pagination": {"type": "link"}, "auth": {"type": "bearer", "token": "s3cret"}});
    assert_eq!(read_with(&server, params).await.expect("reads").cells(), [["1"], ["1"]]);
    assert!(!format!("{:?}", other.seen()).contains("s3cret"));
}

/// Every place where a secret may be given.
fn secrets(url: &str) -> Value {
    json!({
        "url": format!("{url}?q=s3cret"),
        "params": {"p": "s3cret"},
        "headers": {"x-mine": "s3cret"},
        "auth": {"type": "basic", "user": "s3cret", "password": "s3cret"},
    })
}

#[tokio::test]
async fn secrets_are_told_to_nobody() {
    let replies = [
        Reply::status("401 Unauthorized"),
        Reply::status("503 Service Unavailable"),
        Reply::redirect("302 Found", "http://10.0.0.1/?q=s3cret"),
        Reply::redirect("302 Found", "ftp://h/s3cret"),
        Reply::redirect("302 Found", "http://[s3cret"),
        Reply::new("text/html", ""),
        Reply::json("["),
        good().header("link", "<http://10.0.0.1/s3cret>; rel=next"),
    ];
    for reply in replies {
        let server = Server::start(move |_| reply.clone()).await;
        let mut params = secrets(&server.url("/s3cret"));
        params["retries"] = json!(0);
        params["pagination"] = json!({"type": "link"});
        let fault = run(params).await.expect_err("refused");
        let told = format!("{fault:?} {}", serde_json::to_string(&fault).expect("JSON"));
        assert!(!told.contains("s3cret") && !told.contains("czNjcmV0"), "{told}");
    }
    for wrong in [
        json!({"auth": {"type": "bearer", "token": "s3cret\n"}}),
        json!({"headers": {"x": "s3cret\n"}}),
        json!({"url": "s3cret"}),
    ] {
        let mut params = json!({"url": "http://127.0.0.1/"});
        params.as_object_mut().expect("a map").extend(wrong.as_object().expect("a map").clone());
        let fault = refused(run(params).await, FaultKind::BadParams, &[]);
        assert!(!format!("{fault:?}").contains("s3cret"), "{fault:?}");
    }
    let mut params = secrets("http://h/");
    params["body"] = json!({"x": "s3cret"});
    let params: Params = flight_common::params::parse(&params).expect("good");
    assert!(!format!("{params:?}").contains("s3cret"), "{params:?}");
}

#[tokio::test]
async fn what_identifies_the_source_holds_no_secret() {
    let server = Server::start(|_| good()).await;
    let step = flight_common::registry::erase(ExtractApi::default());
    let planned =
        step.plan(&secrets(&server.url("/")), &Default::default(), &crate::support::bench().env).await.expect("plans");
    assert!(planned.source.is_none());
}
