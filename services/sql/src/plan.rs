//! A query planned: its tables, what it does with them, and what comes out.

use crate::tables::InputTable;
use crate::{faults, output, session, statement};
use arrow::datatypes::SchemaRef;
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use flight_common::{Fault, InputSchemas};
use futures::executor::block_on;
use std::sync::Arc;

/// What to run.
pub struct Query {
    /// Its tables, in the order of the inputs.
    pub tables: Vec<Arc<InputTable>>,
    /// What is done with them.
    pub plan: LogicalPlan,
    /// The columns that come out.
    pub schema: SchemaRef,
}

/// Plans a query over these inputs.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for what is no query over them, [`flight_common::FaultKind::BadSchema`] for
/// tables and columns that there are not, each pointing to the query.
pub async fn query(text: String, inputs: &InputSchemas) -> Result<Query, Fault> {
    let tables: Vec<Arc<InputTable>> =
        inputs.iter().map(|(name, schema)| Arc::new(InputTable::new(name, schema))).collect();
    for table in &tables {
        refuse_namesakes(table)?;
    }
    queries::plan(move || planned(&text, tables)).await
}

/// Of two columns of one name nobody could say which is meant.
fn refuse_namesakes(table: &InputTable) -> Result<(), Fault> {
    let fields = table.columns().fields();
    let twice = |place: usize| fields[..place].iter().any(|field| field.name() == fields[place].name());
    match (0..fields.len()).find(|place| twice(*place)) {
        Some(place) => {
            let name = fields[place].name();
            Err(Fault::bad_schema(format!("two columns of the input \"{}\" are called \"{name}\"", table.name))
                .column(name)
                .help("rename one of them where it comes from"))
        }
        None => Ok(()),
    }
}

fn planned(text: &str, tables: Vec<Arc<InputTable>>) -> Result<Query, Fault> {
    let state = session::for_planning(&tables)?.state();
    let statement = statement::parse(&state, text)?;
    let names: Vec<String> = tables.iter().map(|table| table.name.clone()).collect();
    statement::check_tables(&state, &statement, text, &names)?;
    let plan = block_on(state.statement_to_plan(statement)).map_err(|error| faults::of_plan(&error, text))?;
    check_reads_only(&plan, text)?;
    queries::check_depth(&plan).map_err(faults::of_query)?;
    queries::check_plan(&plan, text).map_err(faults::refused)?;
    let plan = state.optimize(&plan).map_err(|error| faults::of_plan(&error, text))?;
    queries::check_depth(&plan).map_err(faults::of_query)?;
    let schema = output::schema(plan.schema().as_arrow(), tables.iter().map(|table| table.columns()))?;
    if schema.fields().is_empty() {
        return Err(faults::schema("the result has no columns".to_owned()).help("name at least one after SELECT"));
    }
    physical(&state, &plan).map_err(|error| faults::of_plan(&error, text))?;
    Ok(Query { tables, plan, schema })
}

/// What cannot be run is told now, and not when the first row has come.
fn physical(state: &SessionState, plan: &LogicalPlan) -> datafusion::common::Result<()> {
    block_on(state.query_planner().create_physical_plan(plan, state)).map(drop)
}

fn check_reads_only(plan: &LogicalPlan, text: &str) -> Result<(), Fault> {
    let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reading.verify_plan(plan).map_err(|error| {
        let fault = faults::query(format!("this is no query: {}", queries::in_words(&error.strip_backtrace()).message));
        fault.help("a step asks, and changes nothing: begin with SELECT or WITH")
    })?;
    let placeholders = plan.get_parameter_names().map_err(|error| faults::of_plan(&error, text))?;
    match placeholders.into_iter().min() {
        Some(name) => Err(faults::query(format!("nothing gives {name} a value"))
            .help("write the value, or a parameter of the pipeline: '{{ day }}'")),
        None => Ok(()),
    }
}
