//! What else is missing: texts and numbers that a source writes where it has no value.

use crate::column::{Target, replace};
use crate::literal;
use crate::params::Literal;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, Scalar};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp::eq;
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use flight_common::Fault;
use flight_common::cells::plain;
use flight_common::params::{Wrong, bad_param};
use std::collections::HashSet;
use std::sync::Arc;

/// Makes nulls of what is spelled like one.
#[derive(Clone)]
pub struct Nulls {
    columns: Arc<[(usize, Spelled)]>,
    output: SchemaRef,
}

/// How nulls of a column are spelled.
enum Spelled {
    /// As one of these texts, white space around them apart.
    Texts(HashSet<String>),
    /// As one of these values, each one row of the column's plain type.
    Values(Vec<ArrayRef>),
}

impl Nulls {
    /// What these spellings mean in the columns that are looked at, and the columns that come out: such as may now hold
    /// nulls.
    pub fn plan<'a>(
        spellings: &[Literal],
        targets: impl Iterator<Item = &'a Target>,
        input: &SchemaRef,
        wrong: &mut Wrong,
    ) -> (Option<Self>, SchemaRef) {
        let mut used = vec![false; spellings.len()];
        let columns: Vec<(usize, Spelled)> =
            targets.filter_map(|target| Some((target.place, spelled(spellings, target, &mut used)?))).collect();
        for (place, spelling) in spellings.iter().enumerate().filter(|(place, _)| !used[*place]) {
            wrong.push(bad_param(
                format!("/nulls/{place}"),
                format!("nulls: {spelling} fits none of the columns"),
                "texts are looked for in columns of text, and numbers in columns of numbers that can hold them",
            ));
        }
        if columns.is_empty() {
            return (None, input.clone());
        }
        let field =
            |(place, field): (usize, &Arc<arrow::datatypes::Field>)| match columns.iter().any(|(at, _)| *at == place) {
                true => Arc::new(field.as_ref().clone().with_nullable(true)),
                false => field.clone(),
            };
        let fields: Vec<_> = input.fields().iter().enumerate().map(field).collect();
        let output = Arc::new(Schema::new_with_metadata(fields, input.metadata().clone()));
        (Some(Self { columns: columns.into(), output: output.clone() }), output)
    }

    /// The batch with nulls for what is spelled like one, and how many were found.
    pub fn apply(&self, batch: RecordBatch) -> Result<(RecordBatch, u64), Fault> {
        let mut found = 0;
        let mut new = Vec::new();
        for (place, spelled) in self.columns.iter() {
            let column = plain(batch.column(*place))?;
            let matched = spelled.matches(&column)?;
            let count = matched.count_set_bits() as u64;
            if count > 0 {
                found += count;
                new.push((*place, nullif(&column, &BooleanArray::new(matched, None))?));
            }
        }
        let batch = batch.with_schema(self.output.clone())?;
        if new.is_empty() { Ok((batch, 0)) } else { Ok((replace(&batch, new)?, found)) }
    }
}

fn is_text(plain: &DataType) -> bool {
    matches!(plain, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The spellings that fit a column, which are noted as used; nothing if none does.
fn spelled(spellings: &[Literal], target: &Target, used: &mut [bool]) -> Option<Spelled> {
    let mut fits = |place: usize| used[place] = true;
    if is_text(&target.plain) {
        let texts = spellings.iter().enumerate().filter_map(|(place, spelling)| match spelling {
            Literal::Text(text) => {
                fits(place);
                Some(text.trim().to_owned())
            }
            _ => None,
        });
        let texts: HashSet<String> = texts.collect();
        return (!texts.is_empty()).then_some(Spelled::Texts(texts));
    }
    let values = spellings.iter().enumerate().filter_map(|(place, spelling)| match spelling {
        Literal::Number(_) if target.plain.is_numeric() => {
            let value = literal::one_row(spelling, &target.plain).ok()?;
            fits(place);
            Some(value)
        }
        _ => None,
    });
    let values: Vec<ArrayRef> = values.collect();
    (!values.is_empty()).then_some(Spelled::Values(values))
}

impl Spelled {
    /// Which values of a column are spelled so. One that is null already is not.
    fn matches(&self, column: &ArrayRef) -> Result<BooleanBuffer, Fault> {
        let none = BooleanBuffer::new_unset(column.len());
        match self {
            Self::Values(values) => values.iter().try_fold(none, |found, value| {
                let equal = eq(column, &Scalar::new(value.clone()))?;
                Ok(&found | &trues(&equal))
            }),
            Self::Texts(texts) => {
                let is_one = |text: Option<&str>| text.is_some_and(|text| texts.contains(text.trim()));
                Ok(match column.data_type() {
                    DataType::Utf8 => column.as_string::<i32>().iter().map(is_one).collect(),
                    DataType::LargeUtf8 => column.as_string::<i64>().iter().map(is_one).collect(),
                    DataType::Utf8View => column.as_string_view().iter().map(is_one).collect(),
                    _ => none,
                })
            }
        }
    }
}

fn trues(mask: &BooleanArray) -> BooleanBuffer {
    match mask.nulls() {
        Some(nulls) => mask.values() & nulls.inner(),
        None => mask.values().clone(),
    }
}
