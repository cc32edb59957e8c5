//! Which columns are looked at, and what is done about them. All that is wrong is told at once.

use crate::column::Target;
use crate::literal;
use crate::nulls::Nulls;
use crate::params::{FillValue, Literal, Params, Strategy};
use crate::statistic::Statistic;
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use flight_common::cells::plain_type;
use flight_common::params::{Wrong, bad_param, pointer};
use flight_common::{Fault, columns};
use std::collections::BTreeMap;

/// What to run.
pub struct Plan {
    /// What else counts as missing.
    pub nulls: Option<Nulls>,
    /// What is done, one after another: rows are dropped first.
    pub stages: Vec<Stage>,
    /// The columns that come out.
    pub output: SchemaRef,
}

/// Something done in some columns.
pub struct Stage {
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
    /// Put a number in between those above and below.
    Interpolate,
    /// Put a figure of the whole column in.
    Statistic(Statistic),
}

/// The columns that are looked at, each once, with what is to be done.
#[derive(Default)]
struct Assigned(Vec<(Target, Strategy)>);

/// Checks the parameters against the columns.
///
/// # Errors
/// [`flight_common::FaultKind::BadSchema`] for a name that is no column, or a column that its own strategy cannot fill;
/// [`flight_common::FaultKind::BadParams`] for a fill value that is missing, superfluous or does not fit.
pub fn plan(params: &Params, input: &SchemaRef) -> Result<Plan, Fault> {
    let mut wrong = Wrong::default();
    check_fill_value(params, &mut wrong);
    let assigned = assign(params, input, &mut wrong);
    let (nulls, output) = Nulls::plan(&params.nulls, assigned.0.iter().map(|(target, _)| target), input, &mut wrong);
    let mut stages = Vec::new();
    for (strategy, targets) in assigned.by_strategy() {
        let action = match strategy {
            Strategy::Keep => continue,
            Strategy::Drop => Action::Drop,
            Strategy::Ffill => Action::Forward,
            Strategy::Bfill => Action::Backward,
            Strategy::Interpolate => Action::Interpolate,
            Strategy::FillMean => Action::Statistic(Statistic::Mean),
            Strategy::FillMedian => Action::Statistic(Statistic::Median),
            Strategy::FillMode => Action::Statistic(Statistic::Mode),
            Strategy::FillValue => Action::Fill(fill_rows(params, &targets, &mut wrong)),
        };
        stages.push(Stage { targets, action });
    }
    wrong.into_result()?;
    Ok(Plan { nulls, stages, output })
}

impl Strategy {
    /// What columns must hold if it is to fill them; nothing if it takes all.
    fn wants(self) -> Option<&'static str> {
        match self {
            Self::Drop | Self::Keep => None,
            Self::FillMean | Self::FillMedian | Self::Interpolate => Some("a number"),
            Self::FillMode => Some("of a type whose values can be compared"),
            Self::FillValue | Self::Ffill | Self::Bfill => Some("of a type that has values"),
        }
    }

    fn suits(self, plain: &DataType) -> bool {
        match self {
            Self::Drop | Self::Keep => true,
            Self::FillMean | Self::FillMedian | Self::Interpolate => plain.is_numeric(),
            Self::FillMode => is_fillable(plain) && is_comparable(plain),
            Self::FillValue | Self::Ffill | Self::Bfill => is_fillable(plain),
        }
    }
}

/// A column of the null type has no values that could be put in.
fn is_fillable(plain: &DataType) -> bool {
    !matches!(plain, DataType::Null)
}

fn is_comparable(plain: &DataType) -> bool {
    RowConverter::supports_fields(&[SortField::new(plain.clone())])
}

/// `fill_value` belongs to its strategy, and to no other.
fn check_fill_value(params: &Params, wrong: &mut Wrong) {
    let single = params.strategies.iter().find(|(_, strategy)| **strategy == Strategy::FillValue);
    let needed_by = match params.strategy {
        Some(Strategy::FillValue) => Some("/strategy".to_owned()),
        _ => single.map(|(name, _)| pointer(["strategies", name])),
    };
    match (needed_by, &params.fill_value) {
        (Some(pointer), None) => wrong.push(bad_param(
            &pointer,
            "strategy fill_value needs the parameter \"fill_value\"",
            "add fill_value: one value, or a mapping with a value for each column",
        )),
        (Some(_), Some(_)) | (None, None) => {}
        (None, Some(_)) => wrong.push(bad_param(
            "/fill_value",
            "fill_value: only strategy fill_value uses it",
            "set strategy: fill_value, or leave fill_value out",
        )),
    }
}

/// The columns that the parameters name; or all.
fn assign(params: &Params, input: &Schema, wrong: &mut Wrong) -> Assigned {
    let mut assigned = Assigned::default();
    for (name, strategy) in &params.strategies {
        let pointer = pointer(["strategies", name]);
        let found = assigned.look_up(name, *strategy, &pointer, input, wrong).map(|target| target.plain.clone());
        if let (Some(plain), Some(wanted)) = (found.filter(|plain| !strategy.suits(plain)), strategy.wants()) {
            wrong.push(columns::wrong_type(name, &plain, wanted, &pointer));
        }
    }
    let strategy = params.strategy.unwrap_or_default();
    let placed = params.columns.as_ref().map(|list| list.placed("/columns")).unwrap_or_default();
    let listed: Vec<&str> = placed.iter().map(|(name, _)| *name).collect();
    let values = match &params.fill_value {
        Some(FillValue::Each(values)) => Some(values),
        _ => None,
    };
    match values {
        _ if !placed.is_empty() => {
            for (name, pointer) in &placed {
                assigned.look_up(name, strategy, pointer, input, wrong);
            }
        }
        _ if params.strategy.is_none() && !params.strategies.is_empty() => {}
        Some(values) if strategy == Strategy::FillValue || params.strategies.is_empty() => {
            for name in values.keys() {
                assigned.look_up(name, strategy, &pointer(["fill_value", name]), input, wrong);
            }
        }
        _ => (0..input.fields().len()).for_each(|place| assigned.add(place, strategy, input)),
    }
    if let Some(values) = values.filter(|_| !listed.is_empty() || !params.strategies.is_empty()) {
        astray(values, &assigned, &listed).into_iter().for_each(|fault| wrong.push(fault));
    }
    assigned
}

/// A fault for each fill value of a column that is not filled with one.
fn astray(values: &BTreeMap<String, Literal>, assigned: &Assigned, listed: &[&str]) -> Vec<Fault> {
    let filled =
        |name: &&String| assigned.0.iter().any(|(target, by)| target.name == **name && *by == Strategy::FillValue);
    let fault = |name: &String| match listed.is_empty() || listed.contains(&name.as_str()) {
        false => bad_param(
            pointer(["fill_value", name]),
            format!("fill_value: \"{name}\" is not among `columns`"),
            "add it to `columns`, or leave `columns` out",
        ),
        true => bad_param(
            pointer(["fill_value", name]),
            format!("fill_value: \"{name}\" is not filled with a value"),
            "give it the strategy fill_value, or leave its value out",
        ),
    };
    values.keys().filter(|name| !filled(name)).map(fault).collect()
}

impl Assigned {
    fn look_up(
        &mut self,
        name: &str,
        strategy: Strategy,
        pointer: &str,
        input: &Schema,
        wrong: &mut Wrong,
    ) -> Option<&Target> {
        match columns::find(input, name, pointer) {
            Ok(place) => {
                self.add(place, strategy, input);
                self.0.iter().map(|(target, _)| target).find(|target| target.place == place)
            }
            Err(fault) => {
                wrong.push(fault);
                None
            }
        }
    }

    /// Adds a column, unless it has a strategy already.
    fn add(&mut self, place: usize, strategy: Strategy, input: &Schema) {
        if self.0.iter().any(|(target, _)| target.place == place) {
            return;
        }
        let field = input.field(place);
        let target = Target { place, name: field.name().clone(), plain: plain_type(field.data_type()).clone() };
        self.0.push((target, strategy));
    }

    /// Dropping comes first. A list may name what its strategy cannot fill; such columns stay as they are.
    fn by_strategy(self) -> BTreeMap<Strategy, Vec<Target>> {
        let mut grouped: BTreeMap<Strategy, Vec<Target>> = BTreeMap::new();
        for (target, strategy) in self.0 {
            let suits = strategy.suits(&target.plain);
            grouped.entry(strategy).or_default().extend(suits.then_some(target));
        }
        grouped
    }
}

/// The value for each target, as one row of its type.
fn fill_rows(params: &Params, targets: &[Target], wrong: &mut Wrong) -> Vec<ArrayRef> {
    let mut rows = Vec::new();
    let mut unfit = Vec::new();
    for target in targets {
        let row = match &params.fill_value {
            None => continue,
            Some(FillValue::All(value)) => fill_row(value, target, "/fill_value"),
            Some(FillValue::Each(values)) => match values.get(&target.name) {
                Some(value) => fill_row(value, target, &pointer(["fill_value", &target.name])),
                None => Err(bad_param(
                    "/fill_value",
                    format!("fill_value: no value for column \"{}\"", target.name),
                    "give one, or leave the column out of `columns`",
                )),
            },
        };
        match row {
            Ok(row) => rows.push(row),
            Err(fault) => unfit.push(fault),
        }
    }
    // One value is one mistake, however many columns it does not fit.
    let told = if matches!(params.fill_value, Some(FillValue::All(_))) { 1 } else { unfit.len() };
    unfit.into_iter().take(told).for_each(|fault| wrong.push(fault));
    rows
}

fn fill_row(value: &Literal, target: &Target, pointer: &str) -> Result<ArrayRef, Fault> {
    literal::one_row(value, &target.plain).map_err(|reason| {
        let message = format!("fill_value for column \"{}\": {reason}", target.name);
        let help = "name the columns that it fits in `columns`, or give a mapping with a value for each column";
        bad_param(pointer, message, help).column(&target.name)
    })
}
