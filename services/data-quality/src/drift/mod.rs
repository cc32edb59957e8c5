//! Distribution drift: whether columns are distributed as in a file.
//!
//! The file is read twice before the first row. The first time a bounded sample of each column says where its bins are; the
//! second time all its values are counted into them. Then the data's values are counted as they go by. Both counts are
//! exact, whatever the sample was: it only decides how finely the values are told apart.
//!
//! | where | what |
//! |---|---|
//! | `sample` | some values of the file, the same ones every time |
//! | `scale`, `categories` | bins of numbers and times; of texts |
//! | `bins` | a column's values counted into either |
//! | `figures` | the index, and what it is made of |

mod bins;
mod categories;
mod figures;
mod sample;
mod scale;

pub use figures::Figures;

use crate::file::{ReferenceFile, Wanted};
use crate::names::DRIFT;
use crate::params::{Drift, Rules};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use bins::{Bins, Draft};
use flight_common::cells::plain_type;
use flight_common::params::{Wrong, bad_param};
use flight_common::{DataRoot, Fault, StepContext, columns};

/// Columns that must be distributed as in a file.
pub struct DriftCheck {
    /// What the user wrote.
    pub asked: Drift,
    /// The file, looked into.
    pub file: ReferenceFile,
    /// The columns.
    pub columns: Vec<DriftColumn>,
}

/// One of the columns.
pub struct DriftColumn {
    /// Its place in the data.
    pub place: usize,
    /// What its values are.
    kind: Kind,
    /// Its name, and the type in which it is read from the file.
    wanted: Wanted,
}

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Integers, floats, decimals.
    Number,
    /// Dates and timestamps.
    Time,
    /// Texts, true and false.
    Category,
}

/// How each column is distributed in the file.
#[derive(Default)]
pub struct Drifts(Vec<Counted>);

/// The bins of a column, and how many of the file's values are in each.
struct Counted {
    bins: Bins,
    reference: Vec<u64>,
}

/// The columns that are compared, and what with.
pub fn drift(rules: &Rules, schema: &SchemaRef, root: &DataRoot, wrong: &mut Wrong) -> Option<DriftCheck> {
    let asked = rules.check_drift.as_ref()?;
    check_knobs(asked, wrong);
    let file = ReferenceFile::look(root, &asked.file_path, &pointer("file_path"));
    let file = wrong.note(file.and_then(|file| if file.is_empty { Err(empty(&file.path)) } else { Ok(file) }));
    let mut compared: Vec<DriftColumn> = Vec::new();
    for (name, pointer) in asked.columns.placed(&pointer("columns")) {
        let Some(column) = wrong.note(column(name, schema, &pointer)) else { continue };
        if let Some(file) = &file {
            wrong.note(offers(file, &column, &pointer));
        }
        if compared.iter().all(|other| other.place != column.place) {
            compared.push(column);
        }
    }
    Some(DriftCheck { asked: asked.clone(), file: file?, columns: compared })
}

fn pointer(knob: &str) -> String {
    format!("/rules/{DRIFT}/{knob}")
}

/// The parameters' schema says so too; a caller in this process may not have asked it.
fn check_knobs(asked: &Drift, wrong: &mut Wrong) {
    if asked.max_psi.is_nan() || asked.max_psi < 0.0 {
        let message = format!("{DRIFT}: max_psi is {}, and the index is never below 0", asked.max_psi);
        wrong.push(bad_param(pointer("max_psi"), message, "0.1 and 0.25 are usual"));
    }
    if !(2..=100).contains(&asked.bins) {
        let message = format!("{DRIFT}: {} bins", asked.bins);
        wrong.push(bad_param(pointer("bins"), message, "between 2 and 100; 10 are usual"));
    }
    if asked.columns.names().is_empty() {
        let message = format!("{DRIFT}: no column is named");
        wrong.push(bad_param(pointer("columns"), message, "name the columns to compare: columns: [Amount, Region]"));
    }
}

fn empty(path: &str) -> Fault {
    let message = format!("{path} holds no row to compare with");
    bad_param(pointer("file_path"), message, "choose a file with rows, or leave check_drift out")
}

fn column(name: &str, schema: &Schema, pointer: &str) -> Result<DriftColumn, Fault> {
    let place = columns::find(schema, name, pointer)?;
    let found = schema.field(place).data_type();
    let Some(kind) = Kind::of(found) else {
        let wanted = "numbers, dates, timestamps, text or boolean";
        return Err(columns::wrong_type(name, found, wanted, pointer));
    };
    let data_type = match (kind, plain_type(found)) {
        (Kind::Number, _) => DataType::Float64,
        (Kind::Time, plain) => plain.clone(),
        (Kind::Category, DataType::Boolean) => DataType::Boolean,
        (Kind::Category, _) => DataType::Utf8,
    };
    Ok(DriftColumn { place, kind, wanted: Wanted { name: name.to_owned(), data_type, exact: false } })
}

/// A column of the file must hold what the data's does. Of CSV that shows when it is read.
fn offers(file: &ReferenceFile, column: &DriftColumn, pointer: &str) -> Result<(), Fault> {
    let Wanted { name, data_type, .. } = &column.wanted;
    file.offers(name, data_type, pointer)?;
    let found = file.type_of(name, pointer)?;
    let is_boolean = |data_type: &DataType| *plain_type(data_type) == DataType::Boolean;
    if found.is_null() || (Kind::of(found) == Some(column.kind) && is_boolean(found) == is_boolean(data_type)) {
        return Ok(());
    }
    let message = format!("column \"{name}\" of {} is {found}: it cannot be compared with the data's", file.path);
    Err(Fault::bad_schema(message.clone()).column(name).violation(pointer, message))
}

impl Kind {
    fn of(data_type: &DataType) -> Option<Self> {
        let plain = plain_type(data_type);
        match plain {
            _ if plain.is_numeric() => Some(Self::Number),
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Some(Self::Time),
            DataType::Boolean => Some(Self::Category),
            _ if plain.is_string() => Some(Self::Category),
            _ => None,
        }
    }
}

impl Drifts {
    /// Reads the file, twice.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] for a file that changed, or holds a value of another type.
    pub async fn load(check: Option<&DriftCheck>, context: &StepContext) -> Result<Self, Fault> {
        let Some(check) = check else { return Ok(Self::default()) };
        let root = &context.env.data_root;
        let wanted: Vec<Wanted> = check.columns.iter().map(|column| column.wanted.clone()).collect();
        let bytes = sample::share(context.budget().limit(), check.columns.len());
        let mut drafts: Vec<Draft> = check.columns.iter().map(|column| Draft::new(column.kind, bytes)).collect();
        // Samples are bounded by their own size: they are booked, and need not ask.
        let mut booked = context.budget().reservation();
        booked.grow(drafts.len() * bytes);
        let sample =
            |columns: Vec<_>| drafts.iter_mut().zip(&columns).try_for_each(|(draft, column)| draft.add(column));
        check.file.read(root, &wanted, sample).await?;
        let bins = drafts.into_iter().map(|draft| draft.finish(check.asked.bins));
        let mut counted: Vec<Counted> = bins.map(|bins| Counted { reference: bins.nothing(), bins }).collect();
        let count = |columns: Vec<_>| {
            counted.iter_mut().zip(&columns).try_for_each(|(one, column)| one.bins.count(column, &mut one.reference))
        };
        check.file.read(root, &wanted, count).await?;
        Ok(Self(counted))
    }

    /// Counts of nothing, for each column.
    pub fn nothing(&self) -> Vec<Vec<u64>> {
        self.0.iter().map(|one| one.bins.nothing()).collect()
    }

    /// How many of a batch's values are in each bin of each column.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] if a column cannot be decoded.
    pub fn count(&self, check: Option<&DriftCheck>, batch: &RecordBatch) -> Result<Vec<Vec<u64>>, Fault> {
        let columns = check.iter().flat_map(|check| &check.columns);
        let count = |(column, one): (&DriftColumn, &Counted)| {
            let mut counts = one.bins.nothing();
            one.bins.count(batch.column(column.place), &mut counts)?;
            Ok(counts)
        };
        columns.zip(&self.0).map(count).collect()
    }

    /// What the counts of the data say, column by column.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] for a border of a bin that cannot be shown.
    pub fn figures(
        &self,
        check: Option<&DriftCheck>,
        schema: &SchemaRef,
        data: &[Vec<u64>],
    ) -> Result<Vec<Figures>, Fault> {
        let columns = check.iter().flat_map(|check| &check.columns);
        let counts = self.0.iter().zip(data);
        let figures = columns
            .zip(counts)
            .map(|(column, (one, data))| Figures::of(schema.field(column.place), &one.bins, &one.reference, data));
        figures.collect()
    }
}
