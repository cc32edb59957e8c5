//! Queries over a table, as tests ask them.

use crate::{Running, WorkingMemory, fault, fitted, plan, run, runtime, session, statement, widest_row};
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use flight_common::{BatchStream, Fault, MemoryBudget, SpillSpace};
use futures::TryStreamExt;
use futures::executor::block_on;
use std::sync::Arc;

/// Rows of the table `t`.
pub(crate) const ROWS: i64 = 20_000;
/// Memory that is enough for what is small.
pub(crate) const MEMORY: usize = 256 << 20;

/// A query over a table `t` of numbers `n` and texts `x`, of which the first is of 30,000 letters.
pub(crate) struct Asked {
    pub sql: String,
    pub memory: usize,
    /// Whether rows of equal keys are found by their hashes.
    pub hashes: bool,
}

impl Asked {
    /// Runs it, with this held as long as it runs.
    pub async fn start(&self, held: Arc<()>) -> Result<BatchStream, Fault> {
        let space = SpillSpace::new(MemoryBudget::new(self.memory), std::env::temp_dir(), 1 << 30);
        let memory = WorkingMemory::new(space.budget());
        let runtime = runtime(&memory, &space).expect("a runtime");
        let context = SessionContext::new_with_state(session(SessionConfig::new(), runtime).build());
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS));
        let texts = (0..ROWS).map(|n| if n == 0 { "x".repeat(30_000) } else { format!("text {n}") });
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        let rows = RecordBatch::try_from_iter([("n", numbers), ("x", texts)]).expect("two columns");
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).expect("a table");
        context.register_table("t", Arc::new(table)).expect("a new name");
        let (text, most, hashes) = (self.sql.clone(), memory.most(), self.hashes);
        let planned = plan(move || {
            let state = context.state();
            let asked = statement(&state, &text).map_err(fault)?;
            let logical = block_on(state.statement_to_plan(asked)).map_err(fault)?;
            let logical = state.optimize(&logical).map_err(fault)?;
            let mut fitted = fitted(context.copied_config(), most, widest_row(&logical)?);
            fitted.options_mut().optimizer.prefer_hash_join = hashes;
            *context.state_ref().write().config_mut() = fitted;
            let state = context.state();
            let physical = block_on(state.query_planner().create_physical_plan(&logical, &state)).map_err(fault)?;
            Ok((physical, state.task_ctx()))
        });
        let (plan, task) = planned.await?;
        let running = Running { budget: space.budget().clone(), limit: None, patience: None, held };
        run(plan, task, running)
    }

    pub async fn rows(&self) -> Result<Vec<RecordBatch>, Fault> {
        self.start(Arc::default()).await?.try_collect().await
    }
}

pub(crate) fn within(memory: usize, sql: &str) -> Asked {
    Asked { sql: sql.to_owned(), memory, hashes: true }
}

/// Why a query is refused.
pub(crate) async fn refused(asked: &Asked) -> Fault {
    match asked.rows().await {
        Ok(rows) => panic!("{} gives {} batches", asked.sql, rows.len()),
        Err(fault) => fault,
    }
}

/// The one number that a query gives.
pub(crate) async fn number(asked: &Asked) -> i64 {
    let rows = asked.rows().await.unwrap_or_else(|fault| panic!("{}: {fault}", asked.sql));
    let first = rows.iter().find(|batch| batch.num_rows() > 0).expect("a row");
    cast(first.column(0), &DataType::Int64).expect("a number").as_primitive::<Int64Type>().value(0)
}
