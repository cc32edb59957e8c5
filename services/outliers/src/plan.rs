//! Which columns are looked at, by which measure, and what is done. All that is wrong is told at once.

use crate::params::{Action, Method, Params};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use flight_common::cells::plain_type;
use flight_common::params::{Wrong, bad_param};
use flight_common::{Fault, columns};
use std::sync::Arc;

/// What to run.
#[derive(Debug)]
pub struct Plan {
    /// The places of the columns that are measured.
    pub places: Vec<usize>,
    /// The places of the columns that make groups; none if all rows are one.
    pub groups: Vec<usize>,
    /// How distance is measured.
    pub method: Method,
    /// The largest distance that stays.
    pub threshold: f64,
    /// What is done about outliers.
    pub action: Action,
    /// The columns that come out.
    pub output: SchemaRef,
}

impl Method {
    /// The parameter that holds its threshold.
    pub fn parameter(self) -> &'static str {
        match self {
            Self::ZScore => "z_threshold",
            Self::Iqr => "iqr_multiplier",
            Self::Mad => "mad_threshold",
        }
    }

    fn usual(self) -> f64 {
        match self {
            Self::ZScore => 3.0,
            Self::Iqr => 1.5,
            Self::Mad => 3.5,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::ZScore => "z_score",
            Self::Iqr => "iqr",
            Self::Mad => "mad",
        }
    }
}

/// Checks the parameters against the columns.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for a threshold that cuts nothing sensible or belongs to another method, and
/// if no column is named; [`flight_common::FaultKind::BadSchema`] for a column that is missing or of the wrong type.
pub fn plan(params: &Params, input: &SchemaRef) -> Result<Plan, Fault> {
    let mut wrong = Wrong::default();
    let threshold = threshold(params, &mut wrong);
    let places = measured(params, input, &mut wrong);
    let groups = groups(params, input, &mut wrong);
    let output = match params.action {
        Action::Remove | Action::Clip => input.clone(),
        Action::Flag => flagged(input, &places, &mut wrong),
    };
    wrong.into_result()?;
    Ok(Plan { places, groups, method: params.method, threshold, action: params.action, output })
}

fn threshold(params: &Params, wrong: &mut Wrong) -> f64 {
    let given = [
        (Method::ZScore, params.z_threshold),
        (Method::Iqr, params.iqr_multiplier),
        (Method::Mad, params.mad_threshold),
    ];
    let mut found = params.method.usual();
    for (method, value) in given {
        let (name, Some(value)) = (method.parameter(), value) else { continue };
        if method != params.method {
            let message = format!("{name}: only method {} uses it", method.word());
            let help = format!("set method: {}, or {}", method.word(), params.method.parameter());
            wrong.push(bad_param(format!("/{name}"), message, &help));
        } else if !(value > 0.0 && value.is_finite()) {
            // The schema refuses 0 and less; JSON knows neither NaN nor infinity, but a caller in this process may.
            let message = format!("{name}: {value} is not a number above 0");
            wrong.push(bad_param(format!("/{name}"), message, format!("{:?} is usual", method.usual())));
        }
        if method == params.method {
            found = value;
        }
    }
    found
}

fn measured(params: &Params, input: &Schema, wrong: &mut Wrong) -> Vec<usize> {
    let (names, pointer) = match (&params.column, &params.columns) {
        (Some(name), None) => (vec![(name.as_str(), "/column".to_owned())], "/column"),
        (None, Some(list)) => (list.placed("/columns"), "/columns"),
        (Some(_), Some(_)) => {
            let message = "column and columns: one of them is enough".to_owned();
            wrong.push(bad_param("/columns".to_owned(), message, "name all the columns in `columns`"));
            return Vec::new();
        }
        (None, None) => (Vec::new(), "/column"),
    };
    if names.is_empty() {
        let message = "no column is named".to_owned();
        wrong.push(bad_param(pointer.to_owned(), message, "name one in `column`, or several in `columns`"));
    }
    look_up(&names, input, wrong, |name, found, pointer| {
        holds_numbers(found).then_some(()).ok_or_else(|| columns::wrong_type(name, found, "a number", pointer))
    })
}

fn groups(params: &Params, input: &Schema, wrong: &mut Wrong) -> Vec<usize> {
    let names = params.group_by.as_ref().map(|list| list.placed("/group_by")).unwrap_or_default();
    look_up(&names, input, wrong, |name, found, pointer| {
        let comparable = RowConverter::supports_fields(&[SortField::new(found.clone())]);
        let wanted = "of a type whose values can be compared";
        comparable.then_some(()).ok_or_else(|| columns::wrong_type(name, found, wanted, pointer))
    })
}

/// The places of these columns, each once.
fn look_up(
    names: &[(&str, String)],
    input: &Schema,
    wrong: &mut Wrong,
    suits: impl Fn(&str, &DataType, &str) -> Result<(), Fault>,
) -> Vec<usize> {
    let mut places = Vec::new();
    for (name, pointer) in names {
        let found = columns::find(input, name, pointer)
            .and_then(|place| suits(name, input.field(place).data_type(), pointer).map(|()| place));
        match found {
            Ok(place) if places.contains(&place) => {}
            Ok(place) => places.push(place),
            Err(fault) => wrong.push(fault),
        }
    }
    places
}

/// The columns with one more for each that is measured.
fn flagged(input: &SchemaRef, places: &[usize], wrong: &mut Wrong) -> SchemaRef {
    let mut fields = input.fields().to_vec();
    for place in places {
        let name = format!("{}_outlier", input.field(*place).name());
        if fields.iter().any(|field| *field.name() == name) {
            let message = format!("a column \"{name}\" is already there");
            let fault = Fault::bad_schema(message.clone()).column(&name).violation("/action", message);
            wrong.push(fault.help("delete that column before, or rename it"));
        }
        fields.push(Arc::new(Field::new(name, DataType::Boolean, false)));
    }
    Arc::new(Schema::new_with_metadata(fields, input.metadata().clone()))
}

/// Whether a distance from a middle makes sense. A column of the null type holds nothing that could be too far away.
fn holds_numbers(data_type: &DataType) -> bool {
    let plain = plain_type(data_type);
    plain.is_null() || plain.is_numeric()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::FaultKind;

    fn planned(params: Params) -> Result<Plan, Fault> {
        let input = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        plan(&Params { column: Some("n".to_owned()), ..params }, &input)
    }

    #[test]
    fn a_threshold_is_a_finite_number_above_zero() {
        let with = |z_threshold| Params { z_threshold: Some(z_threshold), ..Params::default() };
        assert_eq!(planned(with(0.1)).expect("planned").threshold, 0.1);
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let fault = planned(with(wrong)).expect_err("refused");
            assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (FaultKind::BadParams, "/z_threshold"));
        }
    }

    #[test]
    fn the_threshold_of_another_method_is_refused() {
        let params = Params { method: Method::Mad, iqr_multiplier: Some(2.0), ..Params::default() };
        let fault = planned(params).expect_err("refused");
        assert_eq!(fault.violations()[0].pointer, "/iqr_multiplier");
        assert_eq!(planned(Params { method: Method::Mad, ..Params::default() }).expect("planned").threshold, 3.5);
    }
}
