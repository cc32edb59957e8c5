//! What is to be told of the ends of runs, and what is written down with them.

use crate::databases::{Fresh, claim_one, kinds, new_run, on_both, record};
use flight_common::Fault;
use orchestrator::pipeline::{Hook, HookRules};
use orchestrator::store::{AuditRecord, Ending, NewRun, Sent, Store};
use serde_json::json;
use std::time::Duration;

on_both!(
    a_message_is_there_from_the_end_of_the_run_until_it_is_settled,
    each_message_is_taken_once,
    what_ran_is_written_down_with_the_end,
);

const LEASE: Duration = Duration::from_secs(60);

fn with_hooks(id: &str) -> NewRun {
    let hook = |url: &str| vec![Hook { url: url.to_owned(), secret: Some("secret://key".to_owned()) }];
    let hooks =
        HookRules { on_success: hook("http://a/"), on_failure: hook("http://b/"), on_cancel: hook("http://c/") };
    NewRun { hooks, ..new_run(id, "hr") }
}

async fn a_message_is_there_from_the_end_of_the_run_until_it_is_settled(fresh: Fresh) {
    let store = fresh.store;
    store.submit(&with_hooks("1")).await.expect("queued");
    let claim = claim_one(&store, "me").await;
    let retry = Ending::Retry(Fault::upstream("down"), Duration::ZERO);
    store.end(&claim.lease, &retry, &json!({})).await.expect("ended");
    assert!(!store.messages_due(&[]).await.expect("asked"), "it has not ended for good");
    let claim = claim_one(&store, "me").await;
    store.end(&claim.lease, &Ending::Failed(Fault::bad_data("no")), &json!({})).await.expect("ended");
    assert!(store.messages_due(&[]).await.expect("asked"));
    let taken = store.take_messages(LEASE, 9, &[]).await.expect("taken").remove(0);
    assert_eq!((taken.hook.url.as_str(), taken.tries, taken.run.as_str()), ("http://b/", 1, "1"));
    assert_eq!((&taken.body["type"], &taken.body["data"]["fault"]["message"]), (&"run.failed".into(), &"no".into()));
    assert!(store.take_messages(LEASE, 9, &[]).await.expect("asked").is_empty(), "it is taken");

    store.settle_message(&taken, &Sent::Again(json!({"try": 1}), Duration::ZERO)).await.expect("noted");
    let again = store.take_messages(LEASE, 9, &[]).await.expect("taken").remove(0);
    assert_eq!((&again.id, again.tries), (&taken.id, 2));
    // Whoever had it before has no say any more.
    store.settle_message(&taken, &Sent::GivenUp(json!({}))).await.expect("nothing is noted");
    store.settle_message(&again, &Sent::Delivered(json!({"status": 200}))).await.expect("noted");
    assert!(store.take_messages(Duration::ZERO, 9, &[]).await.expect("asked").is_empty());
    let told = kinds(&store, "1").await;
    assert_eq!(told[told.len() - 3..], ["failed", "hook_failed", "hook_delivered"]);

    store.submit(&with_hooks("2")).await.expect("queued");
    store.cancel("2", false, "ann").await.expect("cancelled while it waits");
    assert!(!store.messages_due(&["http://b/", "http://c/"]).await.expect("asked"), "it is for none of others");
    assert!(store.take_messages(LEASE, 9, &["http://c/"]).await.expect("asked").is_empty());
    assert!(store.messages_due(&["http://a/", "http://b/"]).await.expect("asked"));
    let taken = store.take_messages(LEASE, 9, &["http://a/", "http://b/"]).await.expect("taken");
    assert_eq!(taken[0].hook.url, "http://c/");
}

async fn each_message_is_taken_once(fresh: Fresh) {
    let store = fresh.store;
    for n in 0..20 {
        store.submit(&with_hooks(&n.to_string())).await.expect("queued");
        store.cancel(&n.to_string(), false, "ann").await.expect("cancelled");
    }
    let other = Store::open(&fresh.url).await.expect("it opens");
    let mut ids = Vec::new();
    while ids.len() < 20 {
        let both = tokio::join!(store.take_messages(LEASE, 3, &[]), other.take_messages(LEASE, 3, &[]));
        let both = [both.0.expect("taken"), both.1.expect("taken")];
        assert!(both.iter().any(|taken| !taken.is_empty()), "some are left: {}", ids.len());
        ids.extend(both.into_iter().flatten().map(|message| message.id));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

async fn what_ran_is_written_down_with_the_end(fresh: Fresh) {
    let store = fresh.store;
    store.submit(&new_run("1", "hr")).await.expect("queued");
    let claim = claim_one(&store, "me").await;
    let record = record("1");
    let records = [record.clone(), AuditRecord { id: "b".to_owned(), ..record }];
    store.end_attempt(&claim.lease, &Ending::Done, &json!({}), &records).await.expect("ended");
    assert_eq!(store.audit("1").await.expect("told"), records);
    assert!(store.audit("2").await.expect("told").is_empty());
}
