//! The step run on a database, its rows as text, and what holds of every server.

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use databases::Connections;
use extract_sql::ExtractSql;
use flight_common::drive::{Driven, drive};
use flight_common::registry::erase;
use flight_common::testing::{Bench, Ran};
use flight_common::{Fault, FaultKind, InputSchemas, compute};
use futures::TryStreamExt;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use test_servers::Database;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::broadcast;

/// A database that is read from.
pub trait Read: Database {
    /// Extracts with further parameters.
    async fn extract(&self, query: &str, more: Value) -> Result<Ran, Fault> {
        Bench::new().run(ExtractSql::default(), params(self.url(), query, more), &[]).await
    }

    /// The rows as text.
    async fn cells(&self, query: &str) -> Vec<Vec<String>> {
        shown(&self.extract(query, json!({})).await.unwrap_or_else(|fault| panic!("{query}: {fault:?}"))).1
    }

    /// The fault of a query.
    async fn refused(&self, query: &str, more: Value) -> Fault {
        self.extract(query, more).await.expect_err(query)
    }

    /// A query, planned and started.
    async fn started(&self, query: &str) -> Driven {
        started(self.url(), query).await
    }
}

impl<D: Database> Read for D {}

/// A query to this address, planned and started.
pub async fn started(url: &str, query: &str) -> Driven {
    let env = Bench::new().env;
    let step = erase(ExtractSql::default());
    let planned = step.plan(&params(url, query, json!({})), &InputSchemas::default(), &env).await;
    drive(planned.expect("planned"), Vec::new(), &env, "run", &[]).expect("started")
}

/// What lies between clients and a server on a Unix socket. It may cut the clients off, of which the server learns nothing.
pub struct Between {
    address: SocketAddr,
    came: Arc<AtomicUsize>,
    cut: broadcast::Sender<()>,
}

impl Between {
    /// In front of this socket.
    pub async fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let cut = broadcast::Sender::new(1);
        let cuts = cut.clone();
        let came = Arc::new(AtomicUsize::new(0));
        let count = came.clone();
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.expect("a client");
                count.fetch_add(1, Ordering::Relaxed);
                let mut server = UnixStream::connect(&socket).await.expect("a server");
                let mut cut = cuts.subscribe();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = cut.recv() => {
                            drop(client);
                            std::future::pending::<()>().await;
                        }
                    }
                });
            }
        });
        Self { address, came, cut }
    }

    /// Where clients find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many clients have come.
    pub fn came(&self) -> usize {
        self.came.load(Ordering::Relaxed)
    }

    /// Cuts off all who are connected. Others may come.
    pub fn cut(&self) {
        self.cut.send(()).expect("somebody is connected");
    }
}

/// Waits until it holds.
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < deadline, "{what} did not come true");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A query that gives nothing for long, or whose rows are no longer wanted after the `first`, is ended at the server when its
/// rows are dropped. `running` counts such queries.
pub async fn assert_dropping_ends(database: &impl Read, query: &str, first: bool, running: &str) {
    let mut driven = database.started(query).await;
    let mut output = driven.outputs.remove(0).expect("an output");
    if first {
        assert!(output.try_next().await.expect("rows").is_some());
    }
    let reading = compute::spawn(async move {
        let next = if first { Ok(None) } else { output.try_next().await };
        (next, std::future::pending::<()>().await, output)
    });
    eventually("the query runs", async || database.figure(running).await == 1).await;
    let begun = Instant::now();
    drop(reading);
    eventually("the query is gone", async || database.figure(running).await == 0).await;
    // By itself it would go on for minutes.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// Rows without end, of a server that goes down, end with a fault; and so do those of a query that comes later.
pub async fn assert_going_away_is_a_fault(database: &impl Read, endless: &str, down: impl FnOnce() + Send + 'static) {
    let mut driven = database.started(endless).await;
    let mut output = driven.outputs.remove(0).expect("an output");
    assert!(output.try_next().await.expect("rows").is_some());
    let down = tokio::task::spawn_blocking(down);
    let fault = loop {
        match output.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended well"),
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault.kind(), FaultKind::Upstream, "{fault:?}");
    down.await.expect("stopped");
    let fault = database.refused("SELECT 1 AS x", json!({})).await;
    assert_eq!(fault.kind(), FaultKind::Upstream, "{fault:?}");
}

/// A server that takes its time keeps the step waiting, and not computing.
pub async fn assert_the_servers_time_is_waiting(database: &impl Read, sleeps_300ms: &str) {
    let ran = database.extract(sleeps_300ms, json!({})).await.expect("rows");
    let report = &ran.report;
    assert!(report.waiting_ms > 250.0 && report.computing_ms < report.waiting_ms, "{report:?}");
}

/// A change of the table `t` between plan and run is told, with this word.
pub async fn assert_a_change_is_told(database: &impl Read, change: &str, word: &str) {
    let mut driven = database.started("SELECT * FROM t").await;
    database.run(change).await;
    let output = driven.outputs.remove(0).expect("an output");
    let fault = output.try_collect::<Vec<_>>().await.expect_err("it changed");
    assert_eq!(fault.kind(), FaultKind::BadData, "{fault:?}");
    assert!(fault.message().contains("changed since it was planned") && fault.message().contains(word), "{fault}");
}

/// Reads 300,000 numbers `n`, from 1 on, in order, within bounded memory.
pub async fn assert_memory_does_not_grow(database: &impl Read, query: &str) {
    let env = Bench::new().env;
    let step = erase(ExtractSql::default());
    let asked = params(database.url(), query, json!({}));
    let planned = step.plan(&asked, &InputSchemas::default(), &env).await.expect("planned");
    let mut driven = drive(planned, Vec::new(), &env, "run", &[]).expect("started");
    let output = driven.outputs.remove(0).expect("an output");
    let rows = compute::spawn(output.try_fold(0, |rows: i64, batch| async move {
        let numbers = cast(&batch["n"], &DataType::Int64).expect("whole numbers");
        let numbers = numbers.as_primitive::<Int64Type>().values();
        assert!(numbers.iter().copied().eq(rows + 1..=rows + batch.num_rows() as i64));
        Ok(rows + batch.num_rows() as i64)
    }));
    assert_eq!(rows.await.expect("it ends").expect("read"), 300_000);
    let budget = env.space.budget();
    assert!(budget.peak() > 0 && budget.peak() < 64 << 20, "{} bytes at once", budget.peak());
    assert_eq!(budget.used(), 0);
}

pub fn params(url: &str, query: &str, more: Value) -> Value {
    let mut all = json!({"db_url": url, "query": query});
    let (Some(map), Some(more)) = (all.as_object_mut(), more.as_object()) else { panic!("parameters are a map") };
    map.extend(more.clone());
    all
}

/// Connections of these names.
pub fn connections(named: &[(&'static str, String)]) -> Connections {
    let named: Vec<(String, String)> =
        named.iter().map(|(name, url)| (format!("QUIVER_CONNECTION_{name}"), url.clone())).collect();
    Connections::with_variables(move |wanted| named.iter().find(|(name, _)| name == wanted).map(|(_, url)| url.clone()))
}

/// The types of the columns, and the rows as text, `∅` for null.
pub fn shown(ran: &Ran) -> (Vec<String>, Vec<Vec<String>>) {
    let rows = ran.rows();
    let options = FormatOptions::default().with_null("∅");
    let columns: Vec<_> =
        rows.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).expect("shown")).collect();
    let cells =
        (0..rows.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect()).collect();
    let types = ran.schema.fields().iter().map(|field| field.data_type().to_string()).collect();
    (types, cells)
}
