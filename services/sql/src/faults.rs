//! DataFusion's errors as faults.
//!
//! While a query is planned, what is wrong is wrong with the query, and points to it. While it runs, what is wrong is
//! wrong with a value, or with the memory; and a fault of an input that passed through is the fault that it was.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use flight_common::Fault;
use flight_common::params::{Wrong, did_you_mean};
use queries::{carried, one_line};
use std::collections::BTreeSet;

/// Where the query stands.
const QUERY: &str = "/query";

/// A fault of the query itself.
pub fn query(message: String) -> Fault {
    of_query(Fault::bad_params(message))
}

/// A fault of the query itself, which does not yet point to it.
pub fn of_query(fault: Fault) -> Fault {
    let message = fault.message().to_owned();
    fault.violation(QUERY, message)
}

/// A fault of what the query takes for its columns or tables.
pub fn schema(message: String) -> Fault {
    Fault::bad_schema(message.clone()).violation(QUERY, message)
}

/// What planning a query said.
pub fn of_plan(error: &DataFusionError) -> Fault {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => of_plan(inner),
        DataFusionError::Shared(inner) => of_plan(inner),
        DataFusionError::Collection(all) => {
            let mut wrong = Wrong::default();
            all.iter().for_each(|error| wrong.push(of_plan(error)));
            wrong.into_result().err().unwrap_or_else(|| Fault::internal("an empty collection of errors"))
        }
        DataFusionError::External(_) => carried(error).unwrap_or_else(|| Fault::internal(error)),
        DataFusionError::SchemaError(error, _) => of_schema(error),
        DataFusionError::SQL(error, _) => query(format!("this is no SQL: {}", one_line(&error.to_string()))),
        DataFusionError::Internal(text) => Fault::internal(text),
        // A type that a function does not take, a function that there is not, a constant that cannot be cast.
        _ => of_text(&one_line(&error.strip_backtrace())),
    }
}

/// What planning said in words, without what is inside of DataFusion.
fn of_text(text: &str) -> Fault {
    if let Some((name, nearest)) = unknown_function(text) {
        return query(format!("there is no function \"{name}\"")).help(format!("did you mean \"{nearest}\"?"));
    }
    match text.strip_prefix("Physical plan does not support logical expression ") {
        Some(expr) if expr.starts_with("ScalarSubquery") => query(
            "a subquery that looks at the row around it stands where it cannot be computed for each row".to_owned(),
        )
        .help("let it give an aggregate without LIMIT, or join with it instead"),
        Some(expr) if ["InSubquery", "Exists", "SetComparison"].iter().any(|kind| expr.starts_with(kind)) => {
            query("IN (SELECT …) or EXISTS stands where it cannot be computed".to_owned())
                .help("it may stand in WHERE, but not within a column or CASE: join with the table instead")
        }
        Some(_) => query("an expression stands where it cannot be computed".to_owned()).help("use a subquery"),
        None => query(text.to_owned()),
    }
}

/// The name and the nearest one, of `Invalid function 'a'.; Did you mean 'b'?`.
fn unknown_function(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.strip_prefix("Invalid function '")?.split_once("'.; Did you mean '")?;
    Some((name, rest.strip_suffix("'?")?))
}

fn of_schema(error: &SchemaError) -> Fault {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let message = format!("no column \"{}\"", field.flat_name());
            let known: BTreeSet<&str> = valid_fields.iter().map(|column| column.name.as_str()).collect();
            let help = did_you_mean(&field.name, known);
            schema(message).column(&field.name).help(help)
        }
        SchemaError::AmbiguousReference { field } => {
            let message = format!("\"{}\" is a column of more than one table", field.flat_name());
            schema(message).column(&field.name).help("name the table too: orders.id")
        }
        other => schema(one_line(&other.to_string())),
    }
}

/// What running a query said.
pub fn of_run(error: &DataFusionError) -> Fault {
    if let Some(fault) = carried(error) {
        return fault;
    }
    let text = one_line(&error.strip_backtrace());
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => Fault::busy(queries::TOO_LARGE)
            .help("raise --memory-limit, or ask for less at once: fewer columns, smaller groups or partitions"),
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => {
            let fault = Fault::bad_data(text.clone());
            match text.contains("cast") || text.contains("Cast") || text.contains("parse") {
                true => fault.help("TRY_CAST gives a null for what cannot be cast"),
                false => fault,
            }
        }
        DataFusionError::IoError(error) => Fault::io("a spill file", error),
        DataFusionError::NotImplemented(_) | DataFusionError::Plan(_) => of_text(&text),
        other => Fault::internal(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::error::ArrowError;
    use flight_common::FaultKind;

    #[test]
    fn want_of_memory_is_busy_and_a_bad_value_is_bad_data() {
        let exhausted = DataFusionError::ResourcesExhausted("no more".to_owned()).context("HashJoin");
        let fault = of_run(&exhausted);
        assert_eq!((fault.kind(), fault.message()), (FaultKind::Busy, "the query needs more memory than there is"));
        let cast = ArrowError::CastError("Cannot cast string 'x' to value of Int64 type".to_owned());
        let fault = of_run(&DataFusionError::ArrowError(Box::new(cast), None));
        assert_eq!(fault.kind(), FaultKind::BadData);
        assert!(fault.help_text().is_some_and(|help| help.contains("TRY_CAST")));
    }
}
