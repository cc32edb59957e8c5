//! Both databases, and what the cases need of them.

use orchestrator::pipeline::HookRules;
use orchestrator::store::{AuditRecord, Claim, Definition, Limits, NewRun, Store};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use test_servers::Postgres;

/// A fresh store, and what keeps it alive.
pub struct Fresh {
    pub store: Store,
    pub url: String,
    _folder: TempDir,
    _server: Option<Arc<Postgres>>,
}

pub async fn sqlite() -> Fresh {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("quiver.db").display());
    Fresh { store: Store::open(&url).await.expect("it opens"), url, _folder: folder, _server: None }
}

pub async fn postgres() -> Fresh {
    let (server, url) = tokio::task::spawn_blocking(|| {
        let server = Postgres::shared();
        let url = server.database();
        (server, url)
    })
    .await
    .expect("PostgreSQL starts");
    let folder = tempfile::tempdir().expect("a folder");
    Fresh { store: Store::open(&url).await.expect("it opens"), url, _folder: folder, _server: Some(server) }
}

/// Runs each of these cases on both databases.
macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(crate::databases::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(crate::databases::postgres().await).await;
            })+
        }
    };
}
pub(crate) use on_both;

pub const LEASE: Duration = Duration::from_secs(60);

/// A run of this pipeline, with this id.
pub fn new_run(id: &str, pipeline: &str) -> NewRun {
    NewRun {
        id: id.to_owned(),
        pipeline: pipeline.to_owned(),
        version: None,
        definition: Definition::new("steps: []"),
        sets: vec!["a.b=1".to_owned()],
        params: BTreeMap::from([("rows".to_owned(), 7.into())]),
        services: vec!["numbers".to_owned()],
        hooks: HookRules::default(),
        priority: 0,
        concurrency: None,
        of_series: None,
        idempotency_key: None,
        submitted_by: "somebody".to_owned(),
        origin: "test".to_owned(),
        scheduled_at: None,
        traceparent: None,
    }
}

/// Takes one run, which must be there.
pub async fn claim_one(store: &Store, owner: &str) -> Claim {
    let taken = store.claim(owner, LEASE, 1, &Limits::default()).await;
    taken.expect("the store answers").claims.pop().expect("a run waits")
}

/// The kinds of the events of a run.
pub async fn kinds(store: &Store, run: &str) -> Vec<String> {
    let events = store.events(run, 0, 100).await.expect("the store answers");
    assert!(events.iter().enumerate().all(|(place, event)| event.seq == place as i64 + 1), "{events:?}");
    events.into_iter().map(|event| event.kind).collect()
}

/// What a step did in the first attempt of a run.
pub fn record(run: &str) -> AuditRecord {
    serde_json::from_value(json!({
        "at": "2026-03-01T00:00:00Z", "run_id": run, "attempt": 1, "pipeline": "hr", "definition": "d", "arguments": {},
        "submitted_by": "ann", "origin": "api", "trace_id": null, "id": "a", "step": "numbers", "version": "1",
        "params": {"dsn": "secret://db"}, "source": null, "status": "done", "rows_in": 1, "rows_out": 2,
        "columns": ["n Int64"], "duration_ms": 1.5, "counters": {"kept": 2}, "receipt": null, "fault": null,
    }))
    .expect("a record")
}
