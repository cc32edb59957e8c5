//! A query under way.
//!
//! It has threads of its own, since DataFusion may hold a thread for long, and ends with its reader or at its limit.

use crate::endable::endable;
use crate::errand::{self, Errand};
use crate::faults::fault;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use flight_common::compute::{self, Threads};
use flight_common::queue::byte_queue;
use flight_common::{BatchStream, Fault, MemoryBudget};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Bytes of results that wait for a slow reader.
const AHEAD: usize = 8 << 20;

/// How a query is run.
pub struct Running<H> {
    /// Results that wait for their reader are booked here.
    pub budget: MemoryBudget,
    /// How long it may take, if there is a limit.
    pub limit: Option<Duration>,
    /// How long its reader may take nothing of what is ready, if there is a limit.
    pub patience: Option<Duration>,
    /// Let go of with the query.
    pub held: H,
}

/// Runs a query. Its rows flow as they are read, and it ends with their reader.
///
/// # Errors
/// [`flight_common::FaultKind::Busy`] if no threads can be started; in the stream what the query says, and
/// [`flight_common::FaultKind::TimedOut`] after the limit.
pub fn run<H: Send + 'static>(
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    running: Running<H>,
) -> Result<BatchStream, Fault> {
    let Running { budget, limit, patience, held } = running;
    let reader = Arc::new(());
    let (sender, results) = byte_queue(AHEAD.min(budget.limit() / 16), &budget, plan.schema());
    let plan = endable(plan).map_err(fault)?;
    let errand = Errand::running(&reader, task.memory_pool().clone());
    let threads = Threads::start("query", move || errand.clone().begin())?;
    let (rows, mut computed) = mpsc::channel(1);
    let work = threads.spawn(async move {
        let _held = held;
        let mut stream = execute_stream(plan, task)?;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            errand::let_go(&batch);
            if rows.send(batch).await.is_err() {
                break;
            }
        }
        Ok(())
    });
    let attended = compute::spawn(async move {
        let forwarded = async {
            while let Some(batch) = computed.recv().await {
                let pushed = match patience {
                    None => Ok(sender.push(batch).await),
                    Some(patience) => tokio::time::timeout(patience, sender.push(batch)).await,
                };
                match pushed {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(_) => return Err(stands_still(patience)),
                }
            }
            work.await.map_err(Fault::internal)?.map_err(fault)
        };
        let end = match limit {
            None => forwarded.await,
            Some(limit) => tokio::time::timeout(limit, forwarded).await.unwrap_or_else(|_| {
                Err(Fault::timed_out(format!("the query took longer than {} s", limit.as_secs_f32())))
            }),
        };
        // Nothing computes on while its reader is slow to hear of the end.
        drop((threads, reader));
        sender.finish(end).await;
    });
    Ok(results.wrap(move |rows| {
        rows.map(move |batch| {
            // The query ends with its reader.
            let _owned = &attended;
            batch
        })
    }))
}

fn stands_still(patience: Option<Duration>) -> Fault {
    Fault::timed_out(format!("nothing of the result was read for {} s", patience.unwrap_or_default().as_secs_f32()))
        .help("ask again, and read on")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{WorkingMemory, runtime, session};
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use datafusion::datasource::MemTable;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use flight_common::{FaultKind, SpillSpace};
    use tokio::time::{Instant, sleep, timeout};

    /// Rows of each table: all pairs take minutes to look at.
    const ROWS: i64 = 1_000_000;
    const SOON: Duration = Duration::from_secs(30);

    /// Makes most of its rows without an await.
    const ALL_PAIRS: &str = "SELECT sum(a.n % 7 + b.n % 7) FROM a CROSS JOIN b";
    /// Looks at all pairs of two batches before it gives a row, and finds none.
    const NO_PAIR: &str = "SELECT a.n FROM a JOIN b ON a.n + b.n < 0";
    /// Looks at all pairs of rows with one key, of which there are few.
    const NO_PAIR_OF_EQUALS: &str = "SELECT a.n FROM a JOIN b ON a.n % 7 = b.n % 7 AND a.n + b.n < 0";

    /// Each, and whether rows with equal keys are found by their hashes.
    const QUERIES: [(&str, bool); 4] =
        [(ALL_PAIRS, false), (NO_PAIR, false), (NO_PAIR_OF_EQUALS, false), (NO_PAIR_OF_EQUALS, true)];

    struct Query {
        rows: BatchStream,
        budget: MemoryBudget,
    }

    async fn start(sql: &str, hashes: bool, limit: Option<Duration>) -> Query {
        let space = SpillSpace::default();
        let budget = space.budget().clone();
        let runtime = runtime(&WorkingMemory::new(&budget), &space).expect("a runtime");
        let config = SessionConfig::new().with_target_partitions(compute::workers());
        let context = SessionContext::new_with_state(session(config, runtime).build());
        context.state_ref().write().config_mut().options_mut().optimizer.prefer_hash_join = hashes;
        for name in ["a", "b"] {
            let batches = (0..ROWS).step_by(8192).map(|first| {
                let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + 8192));
                RecordBatch::try_from_iter([("n", numbers)]).expect("a batch")
            });
            let batches: Vec<RecordBatch> = batches.collect();
            let table = MemTable::try_new(batches[0].schema(), vec![batches]).expect("a table");
            context.register_table(name, Arc::new(table)).expect("a new name");
        }
        let plan = context.sql(sql).await.expect("a query").create_physical_plan().await.expect("a plan");
        let running = Running { budget: budget.clone(), limit, patience: None, held: () };
        Query { rows: run(plan, context.task_ctx(), running).expect("threads"), budget }
    }

    /// Waits until the query holds one table, or nothing any more.
    async fn until(query: &MemoryBudget, holds: bool) {
        let begun = Instant::now();
        while (query.used() > 0) != holds {
            assert!(begun.elapsed() < SOON, "{} bytes are held", query.used());
            sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_query_ends_with_its_reader() {
        for (sql, hashes) in QUERIES {
            let Query { rows, budget } = start(sql, hashes, None).await;
            until(&budget, true).await;
            drop(rows);
            until(&budget, false).await;
        }
    }

    #[tokio::test]
    async fn a_query_ends_at_its_limit() {
        for (sql, hashes) in QUERIES {
            let Query { mut rows, budget } = start(sql, hashes, Some(Duration::from_millis(200))).await;
            let end = timeout(SOON, rows.next()).await.expect("an end").expect("a fault");
            let fault = end.expect_err("it is too slow");
            assert_eq!(fault.kind(), FaultKind::TimedOut, "{sql}: {fault}");
            until(&budget, false).await;
        }
    }

    #[tokio::test]
    async fn queries_leave_the_pool_to_others() {
        let mut queries = Vec::new();
        for _ in 0..=compute::workers() {
            let query = start(NO_PAIR, false, None).await;
            until(&query.budget, true).await;
            queries.push(query);
        }
        timeout(SOON, compute::run(|| Ok(()))).await.expect("in time").expect("done");
    }
}
