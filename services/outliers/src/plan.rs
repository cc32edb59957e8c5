//! Which column is looked at, and how far from the mean is too far.

use crate::params::Params;
use arrow::datatypes::{DataType, SchemaRef};
use flight_common::{Fault, columns};

/// What to run.
pub struct Cut {
    /// The column's place in the input.
    pub place: usize,
    /// The largest distance from the mean that stays, in standard deviations.
    pub threshold: f64,
}

/// Looks the column up and checks the threshold.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for a threshold that cuts nothing sensible,
/// [`flight_common::FaultKind::BadSchema`] for a column that is missing or holds no numbers.
pub fn cut(params: &Params, input: &SchemaRef) -> Result<Cut, Fault> {
    let threshold = params.z_threshold;
    // The schema refuses 0 and less; JSON knows neither NaN nor infinity, but a caller in this process may.
    if !(threshold > 0.0 && threshold.is_finite()) {
        let message = format!("z_threshold: {threshold} is not a number above 0");
        return Err(Fault::bad_params(message.clone())
            .help("3.0 is usual; 2.0 removes more rows")
            .violation("/z_threshold", message));
    }
    let place = columns::find(input, &params.column, "/column")?;
    let found = input.field(place).data_type();
    if !holds_numbers(found) {
        return Err(columns::wrong_type(&params.column, found, "a number", "/column"));
    }
    Ok(Cut { place, threshold })
}

/// Whether a distance from a mean makes sense. A column of the null type holds nothing that could be too far away.
fn holds_numbers(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null => true,
        DataType::Dictionary(_, values) => holds_numbers(values),
        DataType::RunEndEncoded(_, values) => holds_numbers(values.data_type()),
        other => other.is_numeric(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{Field, Schema};
    use flight_common::FaultKind;
    use std::sync::Arc;

    fn planned(z_threshold: f64) -> Result<Cut, Fault> {
        let input = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        cut(&Params { column: "n".to_owned(), z_threshold }, &input)
    }

    #[test]
    fn a_threshold_is_a_finite_number_above_zero() {
        assert!(planned(0.1).is_ok());
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let fault = planned(wrong).err().expect("refused");
            assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::BadParams, "/z_threshold"));
        }
    }
}
