//! What may be asked: one query, of a length and depth that can be worked with, over tables that there are.

use crate::faults;
use datafusion::common::TableReference;
use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use flight_common::Fault;
use flight_common::params::did_you_mean;

/// Functions that stand where a table may, and make rows from nothing but their arguments.
const TABLE_FUNCTIONS: [&str; 2] = ["generate_series", "range"];

/// Reads a query.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for what is no query, or too much of one.
pub fn parse(state: &SessionState, query: &str) -> Result<Statement, Fault> {
    queries::check_text(query).map_err(faults::of_query)?;
    let statement = queries::statement(state, query).map_err(|error| faults::of_plan(&error, query))?;
    match &statement {
        Statement::Statement(inner) if matches!(**inner, ast::Statement::Query(_)) => {
            queries::check_statement(state, inner).map_err(faults::refused)?;
            Ok(statement)
        }
        other => Err(faults::query(format!("this is no query: {}", first_words(&other.to_string())))
            .help("a step asks, and changes nothing: begin with SELECT or WITH")),
    }
}

fn first_words(text: &str) -> String {
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// Looks the tables of a query up among those that there are, and the other way round.
///
/// # Errors
/// [`flight_common::FaultKind::BadSchema`] for a table that is no input, [`flight_common::FaultKind::BadParams`] for an
/// input that the query does not name.
pub fn check_tables(state: &SessionState, statement: &Statement, query: &str, inputs: &[String]) -> Result<(), Fault> {
    let named = state.resolve_table_references(statement).map_err(|error| faults::of_plan(&error, query))?;
    for table in &named {
        let known = match table {
            TableReference::Bare { table } => {
                inputs.iter().any(|input| **input == **table) || TABLE_FUNCTIONS.contains(&&**table)
            }
            _ => false,
        };
        if !known {
            let name = table.to_string().replace('"', "");
            let fault = faults::schema(format!("there is no table \"{name}\" among the inputs"));
            let fault = fault.help(did_you_mean(&name, inputs.iter().map(String::as_str)));
            return Err(faults::at_word(fault, table.table(), query));
        }
    }
    match inputs.iter().find(|input| !named.iter().any(|table| table.table() == input.as_str())) {
        Some(unused) => Err(faults::query(format!("the query does not read the input \"{unused}\""))
            .help("take it out of `inputs`; to come after a step without its rows, name it in `depends_on`")),
        None => Ok(()),
    }
}
