//! The query under way.

use crate::gather::gather;
use crate::plan::Query;
use crate::tables::Live;
use crate::{output, session};
use async_stream::try_stream;
use flight_common::{BatchStream, Fault, StepContext};
use futures::StreamExt;
use futures::executor::block_on;
use queries::{Running, WorkingMemory};

/// Runs a query over its inputs. Nothing is read before the output is.
pub fn run(query: Query, inputs: Vec<BatchStream>, context: StepContext) -> BatchStream {
    let schema = query.schema.clone();
    let planned = schema.clone();
    let items = try_stream! {
        let Started { mut rows, live } = start(query, inputs, &context).await?;
        while let Some(batch) = rows.next().await {
            let batch = output::conform(&batch?, &planned)?;
            if batch.num_rows() > 0 {
                yield batch;
            }
        }
        // Rows that nobody asked for may end in a fault all the same: a quality gate that failed, a source that is gone.
        for input in live {
            input.finish().await?;
        }
    };
    BatchStream::new(schema, items)
}

/// A query that runs.
struct Started {
    rows: BatchStream,
    live: Vec<Live>,
}

async fn start(query: Query, inputs: Vec<BatchStream>, context: &StepContext) -> Result<Started, Fault> {
    let memory = WorkingMemory::new(context.budget());
    let gathered = gather(&query, inputs, &memory, context).await?;
    let runtime = queries::runtime(&memory, context.space())?;
    let settings = gathered.settings;
    let Query { plan, tables, .. } = query;
    let (plan, task) = queries::plan(move || {
        let state = session::state(settings, runtime);
        let plan = block_on(state.query_planner().create_physical_plan(&plan, &state));
        Ok((plan.map_err(queries::fault)?, state.task_ctx()))
    })
    .await?;
    // The tables hold the memory of their rows.
    let running = Running { budget: context.budget().clone(), limit: None, patience: None, held: tables };
    Ok(Started { rows: queries::run(plan, task, running)?, live: gathered.live })
}
