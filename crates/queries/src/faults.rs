//! Faults on their way through DataFusion, and its errors in one line.

use datafusion::error::DataFusionError;
use flight_common::Fault;
use std::error::Error;

/// The fault somewhere inside an error: one that passed through DataFusion is the fault that it was.
pub fn carried(error: &DataFusionError) -> Option<Fault> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(here) = next {
        if let Some(fault) = here.downcast_ref::<Fault>() {
            return Some(fault.clone());
        }
        // What an I/O error holds is not its source.
        let held = here.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match held {
            Some(held) => Some(held),
            None => here.source(),
        };
    }
    None
}

/// A fault that is to pass through DataFusion.
pub fn into_error(fault: Fault) -> DataFusionError {
    DataFusionError::External(Box::new(fault))
}

/// What a query is told that got no more memory. DataFusion would name settings that nobody here can set.
pub const TOO_LARGE: &str = "the query needs more memory than there is";

/// A message of DataFusion in one line, without what it puts before it.
pub fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let prefixes = [
        "Error during planning: ",
        "This feature is not implemented: ",
        "Optimizer rule ",
        "sql parser error: ",
        "Arrow error: ",
        "Execution error: ",
        "Arithmetic overflow: ",
    ];
    prefixes.iter().fold(line.as_str(), |line, prefix| line.strip_prefix(prefix).unwrap_or(line)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::error::ArrowError;
    use std::io;
    use std::sync::Arc;

    #[test]
    fn a_fault_comes_out_of_whatever_it_was_wrapped_in() {
        let fault = || Box::new(Fault::upstream("the source is gone"));
        let wrapped = [
            DataFusionError::External(fault()),
            DataFusionError::ArrowError(Box::new(ArrowError::ExternalError(fault())), None),
            DataFusionError::IoError(io::Error::other(*fault())),
            DataFusionError::Shared(Arc::new(DataFusionError::External(fault()))).context("while reading"),
            DataFusionError::ArrowError(
                Box::new(ArrowError::IoError("write".to_owned(), io::Error::other(*fault()))),
                None,
            ),
        ];
        for error in wrapped {
            assert_eq!(carried(&error), Some(*fault()), "{error:?}");
        }
    }
}
