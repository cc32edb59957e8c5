//! One query: planned, and run under a memory limit and a time-out.

use super::super::PATIENCE;
use super::Engine;
use super::reading;
use super::statement::{Statement, numbered, parameters};
use crate::access::Caller;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use flight_common::wire::outward_schema;
use flight_common::{BatchStream, Fault};
use queries::{Running, WorkingMemory};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// The catalog that every schema is in.
pub(super) const CATALOG: &str = "quiver";

/// How long a query may take.
const LIMIT: Duration = Duration::from_secs(600);

impl Engine {
    /// Plans a query, with its values. It may read, and nothing else.
    async fn plan(&self, statement: &Statement) -> Result<Planned, Fault> {
        let mut planned = self.open_plan(&statement.text).await?;
        planned.plan = statement.fill(planned.plan)?;
        Ok(planned)
    }

    /// Plans a query that may have parameters, where there is the stack for it.
    async fn open_plan(&self, sql: &str) -> Result<Planned, Fault> {
        queries::check_text(sql)?;
        let (engine, sql, here) = (self.clone(), sql.to_owned(), Handle::current());
        self.planning(move || here.block_on(engine.plan_here(&sql))).await
    }

    /// Works on a plan. That needs a deep stack, and looks through many runs: some do at a time. Who goes away leaves it to
    /// end by itself, and its seat with it.
    async fn planning<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let seat = self.planning.clone().acquire_owned().await.map_err(Fault::internal)?;
        queries::plan(move || {
            let _seat = seat;
            work()
        })
        .await
    }

    async fn plan_here(&self, sql: &str) -> Result<Planned, Fault> {
        let mut config =
            SessionConfig::new().with_default_catalog_and_schema(CATALOG, "public").with_information_schema(true);
        // Columns are called as they are, as in the step `sql`: `MonthlyIncome` and not `monthlyincome`.
        config.options_mut().sql_parser.enable_ident_normalization = false;
        let memory = WorkingMemory::new(self.space.budget());
        let session = queries::session(config, queries::runtime(&memory, &self.space)?);
        let context = SessionContext::new_with_state(session.build());
        let state = context.state();
        let text = numbered(sql)?;
        let mut statement = queries::statement(&state, &text).map_err(|error| unread(&error, &text))?;
        reading::check_statement(&state, &mut statement)?;
        let (mut row_bytes, mut bytes) = (0, 0);
        let mut all = false;
        for table in state.resolve_table_references(&statement).map_err(queries::fault)? {
            if reading::is_about_tables(&table) {
                all = true;
                continue;
            }
            if table.schema().is_none() && state.table_functions().contains_key(table.table()) {
                continue;
            }
            let registered = self.register(&context, &table).await?;
            row_bytes += queries::row_bytes(&registered.columns).max(registered.row_bytes);
            bytes = usize::saturating_add(bytes, registered.bytes);
        }
        if all {
            self.register_all(&context).await?;
        }
        let plan = context.state().statement_to_plan(statement).await.map_err(queries::fault)?;
        queries::check_depth(&plan)?;
        queries::check_plan(&plan, sql).map_err(|refusal| refusal.fault)?;
        reading::check_plan(&plan)?;
        Ok(Planned { context, plan, memory, row_bytes, bytes })
    }

    /// A query as it is going to be computed. Only now the types of its columns are certain.
    async fn optimized(&self, statement: &Statement) -> Result<Planned, Fault> {
        let planned = self.plan(statement).await?;
        self.planning(move || {
            let plan = planned.context.state().optimize(&planned.plan).map_err(queries::fault)?;
            queries::check_depth(&plan)?;
            Ok(Planned { plan, ..planned })
        })
        .await
    }

    /// The columns of a query's result, as clients see them.
    pub(super) async fn columns(&self, statement: &Statement) -> Result<SchemaRef, Fault> {
        let planned = self.optimized(statement).await?;
        let columns = columns(&planned.plan);
        // What cannot be run is told now, and not when its rows are asked for.
        let here = Handle::current();
        self.planning(move || planned.physical(&here)).await?;
        Ok(outward_schema(&columns))
    }

    /// The columns of the result of a query without values, as far as they are known, and its parameters.
    pub(super) async fn prepared(&self, sql: &str) -> Result<(SchemaRef, SchemaRef), Fault> {
        let Planned { plan, .. } = self.open_plan(sql).await?;
        let parameters = parameters(&plan)?;
        let columns = match parameters.fields().is_empty() {
            true => self.columns(&Statement::new(sql)).await?,
            false => outward_schema(&columns(&plan)),
        };
        Ok((columns, outward_schema(&parameters)))
    }

    /// Runs a query. Its rows flow as they are read.
    pub(super) async fn run(&self, statement: &Statement, caller: &Caller) -> Result<BatchStream, Fault> {
        let seat = self.seats.take(&caller.id)?;
        let planned = self.optimized(statement).await?;
        let schema = columns(&planned.plan);
        let here = Handle::current();
        let (plan, task) = self.planning(move || planned.physical(&here)).await?;
        let budget = self.space.budget().clone();
        let rows =
            queries::run(plan, task, Running { budget, limit: Some(LIMIT), patience: Some(PATIENCE), held: seat })?;
        Ok(BatchStream::new(schema, rows))
    }
}

/// Why a text cannot be read.
fn unread(error: &DataFusionError, text: &str) -> Fault {
    let first = queries::refusals(error, text).into_iter().next();
    first.map_or_else(|| Fault::internal(error), |refusal| refusal.fault)
}

/// The columns that come out. DataFusion is not always right about where there are no nulls.
fn columns(plan: &LogicalPlan) -> SchemaRef {
    let columns = plan.schema().fields().iter().map(|field| Field::clone(field).with_nullable(true));
    Arc::new(Schema::new(columns.collect::<Vec<_>>()))
}

/// The part of the memory up to which all tables together are small.
const SMALL_SHARE: usize = 8;

/// A query as far as it is planned.
struct Planned {
    context: SessionContext,
    plan: LogicalPlan,
    memory: WorkingMemory,
    /// The bytes of a row of each table, together.
    row_bytes: usize,
    /// The bytes of the tables.
    bytes: usize,
}

impl Planned {
    /// What is run, and with what.
    fn physical(self, here: &Handle) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>), Fault> {
        self.fit()?;
        let state = self.context.state();
        let planned = here.block_on(state.query_planner().create_physical_plan(&self.plan, &state));
        Ok((planned.map_err(queries::fault)?, state.task_ctx()))
    }

    /// Fits the session to its memory, to the widest row of the query, and to its tables.
    fn fit(&self) -> Result<(), Fault> {
        let row_bytes = self.row_bytes.max(queries::widest_row(&self.plan)?);
        let state = self.context.state_ref();
        let mut state = state.write();
        let mut fitted = queries::fitted(state.config().clone(), self.memory.most(), row_bytes);
        // A hash table has to fit; what is sorted and merged goes to disk.
        fitted.options_mut().optimizer.prefer_hash_join = self.bytes <= self.memory.most() / SMALL_SHARE;
        *state.config_mut() = fitted;
        Ok(())
    }
}
