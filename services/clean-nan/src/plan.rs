//! Which columns are looked at, and what is done about them. All that is wrong is told at once.

use crate::column::{Target, plain_type};
use crate::literal;
use crate::params::{FillValue, Literal, Params, Strategy};
use crate::statistic::Statistic;
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Schema};
use arrow::row::{RowConverter, SortField};
use flight_common::columns::ColumnList;
use flight_common::{Fault, Violation, columns, params};

/// What to run.
pub struct Plan {
    /// The columns that may change, or whose rows may go.
    pub targets: Vec<Target>,
    /// What to do about what they miss.
    pub action: Action,
}

/// What to do about missing values.
pub enum Action {
    /// Remove the row.
    Drop,
    /// Put these in, one for each target.
    Fill(Vec<ArrayRef>),
    /// Put the last value above in.
    Forward,
    /// Put the next value below in.
    Backward,
    /// Put a figure of the whole column in.
    Statistic(Statistic),
}

/// Checks the parameters against the columns.
///
/// # Errors
/// [`flight_common::FaultKind::BadSchema`] for a name that is no column,
/// [`flight_common::FaultKind::BadParams`] for a fill value that is missing, superfluous or does not fit.
pub fn plan(params: &Params, input: &Schema) -> Result<Plan, Fault> {
    let mut wrong = Vec::new();
    check_fill_value(params, &mut wrong);
    let targets = targets(params, input, &mut wrong);
    let plan = match params.strategy {
        Strategy::Drop => Plan { targets, action: Action::Drop },
        Strategy::Ffill => Plan { targets: those(targets, is_fillable), action: Action::Forward },
        Strategy::Bfill => Plan { targets: those(targets, is_fillable), action: Action::Backward },
        Strategy::FillMean => figure(those(targets, DataType::is_numeric), Statistic::Mean),
        Strategy::FillMedian => figure(those(targets, DataType::is_numeric), Statistic::Median),
        Strategy::FillMode => {
            figure(those(targets, |plain| is_fillable(plain) && is_comparable(plain)), Statistic::Mode)
        }
        Strategy::FillValue => {
            let targets = those(targets, is_fillable);
            let rows = fill_rows(params, &targets, &mut wrong);
            Plan { targets, action: Action::Fill(rows) }
        }
    };
    all_at_once(wrong)?;
    Ok(plan)
}

fn figure(targets: Vec<Target>, statistic: Statistic) -> Plan {
    Plan { targets, action: Action::Statistic(statistic) }
}

fn those(targets: Vec<Target>, suits: impl Fn(&DataType) -> bool) -> Vec<Target> {
    targets.into_iter().filter(|target| suits(&target.plain)).collect()
}

/// A column of the null type has no values that could be put in.
fn is_fillable(plain: &DataType) -> bool {
    !matches!(plain, DataType::Null)
}

fn is_comparable(plain: &DataType) -> bool {
    RowConverter::supports_fields(&[SortField::new(plain.clone())])
}

/// `fill_value` belongs to its strategy, and to no other.
fn check_fill_value(params: &Params, wrong: &mut Vec<Fault>) {
    match (params.strategy, &params.fill_value) {
        (Strategy::FillValue, None) => wrong.push(bad_param(
            "/strategy",
            "strategy fill_value needs the parameter \"fill_value\"",
            "add fill_value: one value, or a mapping with a value for each column",
        )),
        (Strategy::FillValue, Some(_)) | (_, None) => {}
        (_, Some(_)) => wrong.push(bad_param(
            "/fill_value",
            "fill_value: only strategy fill_value uses it",
            "set strategy: fill_value, or leave fill_value out",
        )),
    }
}

/// The columns that the parameters name, each once; or all.
fn targets(params: &Params, input: &Schema, wrong: &mut Vec<Fault>) -> Vec<Target> {
    let mut places = Vec::new();
    let mut look_up = |name: &str, pointer: &str| match columns::find(input, name, pointer) {
        Ok(place) if places.contains(&place) => {}
        Ok(place) => places.push(place),
        Err(fault) => wrong.push(fault),
    };
    let listed = params.columns.as_ref().map(ColumnList::names).unwrap_or_default();
    match &params.fill_value {
        Some(FillValue::Each(values)) if listed.is_empty() => {
            values.keys().for_each(|name| look_up(name, &pointer_to(name)));
        }
        _ if listed.is_empty() => places = (0..input.fields().len()).collect(),
        _ => listed.iter().for_each(|name| look_up(name, "/columns")),
    }
    if let (Some(FillValue::Each(values)), false) = (&params.fill_value, listed.is_empty()) {
        let astray = values.keys().filter(|name| !listed.contains(&name.as_str()));
        wrong.extend(astray.map(|name| {
            let message = format!("fill_value: \"{name}\" is not among `columns`");
            bad_param(&pointer_to(name), message, "add it to `columns`, or leave `columns` out")
        }));
    }
    let target = |place: usize| {
        let field = input.field(place);
        Target { place, name: field.name().clone(), plain: plain_type(field.data_type()).clone() }
    };
    places.into_iter().map(target).collect()
}

/// The value for each target, as one row of its type.
fn fill_rows(params: &Params, targets: &[Target], wrong: &mut Vec<Fault>) -> Vec<ArrayRef> {
    let Some(fill_value) = &params.fill_value else { return Vec::new() };
    let mut rows = Vec::new();
    for target in targets {
        let row = match fill_value {
            FillValue::All(value) => fill_row(value, target, "/fill_value"),
            FillValue::Each(values) => match values.get(&target.name) {
                Some(value) => fill_row(value, target, &pointer_to(&target.name)),
                None => Err(bad_param(
                    "/fill_value",
                    format!("fill_value: no value for column \"{}\"", target.name),
                    "give one, or leave the column out of `columns`",
                )),
            },
        };
        match row {
            Ok(row) => rows.push(row),
            Err(fault) => wrong.push(fault),
        }
    }
    rows
}

fn fill_row(value: &Literal, target: &Target, pointer: &str) -> Result<ArrayRef, Fault> {
    literal::one_row(value, &target.plain).map_err(|reason| {
        let message = format!("fill_value for column \"{}\": {reason}", target.name);
        let help = "name the columns that it fits in `columns`, or give a mapping with a value for each column";
        bad_param(pointer, message, help).column(&target.name)
    })
}

fn bad_param(pointer: &str, message: impl Into<String>, help: &str) -> Fault {
    let violation = Violation { pointer: pointer.to_owned(), message: message.into(), help: Some(help.to_owned()) };
    params::bad_params(vec![violation])
}

/// Where the value for a column stands, as a JSON pointer.
fn pointer_to(column: &str) -> String {
    format!("/fill_value/{}", column.replace('~', "~0").replace('/', "~1"))
}

/// One fault that tells all of them; its kind and help are those of the first.
fn all_at_once(wrong: Vec<Fault>) -> Result<(), Fault> {
    let violations = wrong.iter().flat_map(|fault| fault.violations().to_vec()).collect();
    let messages: Vec<&str> = wrong.iter().map(Fault::message).collect();
    let Some(first) = wrong.first() else { return Ok(()) };
    let mut fault = Fault::new(first.kind(), messages.join("; ")).with_violations(violations);
    if let Some(column) = first.column_name() {
        fault = fault.column(column);
    }
    if let Some(help) = first.help_text() {
        fault = fault.help(help);
    }
    Err(fault)
}
