//! `where`: a condition in SQL over the columns of the files and their folders. DataFusion reads and computes it.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::DataFusionError;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
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
/// Levels of expressions within each other: each takes a piece of the stack of whoever computes it.
const DEEPEST: usize = 200;
const EXAMPLE: &str = "write a condition in SQL: year >= 2024 AND region = 'north'";
/// Functions that could fill all memory by one call, and that no condition needs.
const LEFT_OUT: [&str; 7] = ["repeat", "lpad", "rpad", "range", "generate_series", "array_repeat", "array_resize"];

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
        queries::check_numbers(text).map_err(|fault| {
            let message = fault.message().to_owned();
            fault.violation(POINTER, message)
        })?;
        let state = state();
        let all = DFSchema::try_from(columns.as_ref().clone()).map_err(of_plan)?;
        let expression = state.create_logical_expr(text, &all).map_err(of_plan)?;
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
        let [expression, bounds] = simplified(&state, expression, &own).map_err(of_plan)?;
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
        let holds = self.expression.evaluate(rows).and_then(|value| value.into_array(rows.num_rows()))?;
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
    // So that errors tell where.
    options.sql_parser.collect_spans = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    // Without one, TIMESTAMPTZ '…Z' would lose its zone.
    options.execution.time_zone = Some("UTC".to_owned());
    let mut builder = SessionStateBuilder::new_with_default_features().with_config(config);
    if let Some(functions) = builder.scalar_functions() {
        functions.retain(|function| !LEFT_OUT.contains(&function.name()));
    }
    let mut state = builder.build();
    state.mark_start_execution();
    state
}

/// With constants computed, `now()` among them, so that statistics can be compared with them: with arithmetic that fails
/// where it does not fit, and with DataFusion's own.
fn simplified(state: &SessionState, expression: Expr, columns: &DFSchema) -> datafusion::common::Result<[Expr; 2]> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(columns.clone()))
        .with_config_options(state.config_options().clone())
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    let coerced = simplifier.coerce(queries::exact(expression, columns)?, columns)?;
    let checked = simplifier.simplify(queries::checked(coerced.clone(), columns)?)?;
    Ok([checked, simplifier.simplify(coerced)?])
}

fn check_depth(expression: &Expr) -> Result<(), Fault> {
    let depth = depth_of(expression).map_err(queries::fault)?;
    match depth > DEEPEST {
        true => Err(refused(format!("the condition nests {depth} levels deep, and {DEEPEST} is the most"))
            .help("write x IN (…) for x = … OR x = …")),
        false => Ok(()),
    }
}

fn depth_of(expression: &Expr) -> datafusion::common::Result<usize> {
    let mut deepest = 0;
    expression.apply_children(|child| {
        deepest = deepest.max(depth_of(child)?);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(deepest + 1)
}

fn refused(message: String) -> Fault {
    Fault::bad_params(message.clone()).violation(POINTER, message)
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
