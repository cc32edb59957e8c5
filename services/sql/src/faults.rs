//! What is wrong with a query, as faults that point to it.

use datafusion::error::DataFusionError;
use flight_common::Fault;
use flight_common::params::Wrong;
use queries::Refusal;

/// Where the query stands.
const QUERY: &str = "/query";

/// A fault of the query itself.
pub fn query(message: String) -> Fault {
    of_query(Fault::bad_params(message))
}

/// A fault of what the query takes for its columns or tables.
pub fn schema(message: String) -> Fault {
    of_query(Fault::bad_schema(message))
}

/// A fault of the query itself, which does not yet point to it.
pub fn of_query(fault: Fault) -> Fault {
    let message = fault.message().to_owned();
    fault.violation(QUERY, message)
}

/// A fault that points to the query, and there to this word, if it stands there once.
pub fn at_word(fault: Fault, word: &str, query: &str) -> Fault {
    queries::place_of(word, query).into_iter().fold(fault, Fault::in_text)
}

/// Why the query is refused, at its place.
pub fn refused(refusal: Refusal) -> Fault {
    refusal.at(QUERY)
}

/// What planning this query said: all of it, each at its place.
pub fn of_plan(error: &DataFusionError, query: &str) -> Fault {
    let mut wrong = Wrong::default();
    queries::refusals(error, query).into_iter().map(refused).for_each(|fault| wrong.push(fault));
    wrong.into_result().err().unwrap_or_else(|| Fault::internal(error))
}
