//! What DataFusion says, as a user is told it.

use datafusion::error::DataFusionError;
use flight_common::Fault;

/// What DataFusion says, as a fault.
pub(super) fn fault(error: DataFusionError) -> Fault {
    if let Some(fault) = queries::carried(&error) {
        return fault;
    }
    match error.find_root() {
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_) => Fault::bad_params(error.strip_backtrace()),
        DataFusionError::ResourcesExhausted(_) => {
            Fault::busy(queries::TOO_LARGE).help("ask for less, or give the orchestrator more --memory-limit")
        }
        DataFusionError::IoError(error) => Fault::io("a spill file", error),
        DataFusionError::ArrowError(error, _) => Fault::bad_data(error.to_string()),
        DataFusionError::Execution(text) => Fault::bad_data(text),
        _ => Fault::internal(error),
    }
}
