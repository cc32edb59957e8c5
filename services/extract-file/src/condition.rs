//! `where`: a condition in SQL over the columns of the files and their folders. DataFusion reads and computes it.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionConfig;
use flight_common::Fault;
use queries::Words;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where the condition stands.
const POINTER: &str = "/where";
/// Bytes of the longest condition.
const LONGEST: usize = 64 << 10;
const EXAMPLE: &str = "write a condition in SQL: year >= 2024 AND region = 'north'";

/// A condition, compiled.
#[derive(Clone, Debug)]
pub struct Condition {
    /// What is computed.
    pub expression: Arc<dyn PhysicalExpr>,
    /// The same with arithmetic that is not checked, which is what statistics are looked at by: of that DataFusion knows what
    /// it does to smallest and largest values.
    pub bounds: Arc<dyn PhysicalExpr>,
    /// The columns that it looks at.
    pub schema: SchemaRef,
}

impl Condition {
    /// Compiles a condition over these columns. Run it where the stack is deep.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for what is no condition, [`flight_common::FaultKind::BadSchema`] for a
    /// column that there is not.
    pub fn compile(text: &str, columns: &SchemaRef) -> Result<Self, Fault> {
        if text.len() > LONGEST {
            return Err(refused(format!("the condition has {} bytes, and {LONGEST} is the most", text.len()))
                .help("read all rows, and join them with what you list"));
        }
        let of_plan = |error: DataFusionError| of_plan(&error, text);
        queries::check_numbers(text).map_err(of_where)?;
        let state = state();
        let all = DFSchema::try_from(columns.as_ref().clone()).map_err(of_plan)?;
        let said = queries::expression(&state, text).map_err(of_plan)?;
        let expression = state.create_logical_expr_from_sql_expr(said, &all).map_err(of_plan)?;
        check_depth(&expression)?;
        check_kinds(&expression)?;
        check_placeholders(&expression)?;
        let named: BTreeSet<&Column> = expression.column_refs().into_iter().collect();
        let looked_at = |field: &&Arc<Field>| named.iter().any(|column| column.name() == field.name());
        let schema = Arc::new(Schema::new(columns.fields().iter().filter(looked_at).cloned().collect::<Vec<_>>()));
        let own = DFSchema::try_from(schema.as_ref().clone()).map_err(of_plan)?;
        let found = expression.get_type(&own).map_err(of_plan)?;
        if found != DataType::Boolean {
            return Err(
                refused(format!("a condition is true or false, and this is {found}")).help("compare it: amount > 100")
            );
        }
        let [expression, bounds] = queries::alone(&state, expression, &own).map_err(of_plan)?;
        check_depth(&expression)?;
        let compiled = |expression| state.create_physical_expr(expression, &own).map_err(of_plan);
        let condition = Self { expression: compiled(expression)?, bounds: compiled(bounds)?, schema };
        // What is wrong with a constant is wrong without rows too.
        let without_rows = condition.computed(&RecordBatch::new_empty(condition.schema.clone()));
        match without_rows {
            Ok(_) => Ok(condition),
            Err(error) => Err(of_plan(error)),
        }
    }

    /// The rows of a batch of the condition's columns for which it holds. `path` is the file that they are of.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] for values that it cannot be computed of.
    pub fn holds(&self, rows: &RecordBatch, path: &str) -> Result<BooleanArray, Fault> {
        self.computed(rows).map_err(|error| {
            let Words { message, help, .. } = queries::in_words(&error.strip_backtrace());
            let message = format!("{path}: the condition `where` cannot be computed of a value: {message}");
            help.into_iter().fold(Fault::bad_data(message), Fault::help)
        })
    }

    fn computed(&self, rows: &RecordBatch) -> datafusion::common::Result<BooleanArray> {
        let rows = queries::of_one_nan(rows.clone())?;
        let holds = self.expression.evaluate(&rows).and_then(|value| value.into_array(rows.num_rows()))?;
        let holds = holds.as_boolean();
        // A row for which it is not known whether the condition holds is left out.
        Ok(match holds.nulls() {
            Some(nulls) => BooleanArray::new(holds.values() & nulls.inner(), None),
            None => holds.clone(),
        })
    }
}

fn state() -> SessionState {
    let mut config = SessionConfig::new().with_information_schema(false);
    let options = config.options_mut();
    // `MonthlyIncome` is called so, and not `monthlyincome`.
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    let mut state = queries::session(config, Arc::default()).build();
    state.mark_start_execution();
    state
}

fn check_depth(expression: &Expr) -> Result<(), Fault> {
    queries::check_expression(expression, "condition").map_err(of_where)
}

/// A fault of the condition.
fn of_where(fault: Fault) -> Fault {
    let message = fault.message().to_owned();
    fault.violation(POINTER, message)
}

fn refused(message: String) -> Fault {
    of_where(Fault::bad_params(message))
}

/// What reading this condition said: the first that it is wrong with.
fn of_plan(error: &DataFusionError, text: &str) -> Fault {
    let first = queries::refusals(error, text).into_iter().next();
    let fault = first.map_or_else(|| Fault::internal(error), |refusal| refusal.at(POINTER));
    if fault.help_text().is_none() { fault.help(EXAMPLE) } else { fault }
}

/// Whether it can be computed of one row.
fn check_kinds(expression: &Expr) -> Result<(), Fault> {
    let mut found = None;
    let walked = expression.apply(|part| {
        found = match part {
            Expr::AggregateFunction(call) => Some(format!("{} takes many", call.func.name())),
            Expr::WindowFunction(call) => Some(format!("{} takes many", call.fun.name())),
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_) => {
                Some("a subquery asks for others".to_owned())
            }
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        Ok(TreeNodeRecursion::Stop)
    });
    walked.map_err(queries::fault)?;
    match found {
        Some(why) => Err(refused(format!("a condition is computed of one row at a time, and {why}"))
            .help("read the rows, and do it in the step `sql`")),
        None => Ok(()),
    }
}

fn check_placeholders(expression: &Expr) -> Result<(), Fault> {
    let mut named = None;
    let walked = expression.apply(|part| match part {
        Expr::Placeholder(placeholder) => {
            named = Some(placeholder.id.clone());
            Ok(TreeNodeRecursion::Stop)
        }
        _ => Ok(TreeNodeRecursion::Continue),
    });
    walked.map_err(queries::fault)?;
    match named {
        Some(name) => Err(refused(format!("nothing gives {name} a value"))
            .help("write the value, or a parameter of the pipeline: '{{ day }}'")),
        None => Ok(()),
    }
}
