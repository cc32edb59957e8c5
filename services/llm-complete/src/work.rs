//! Which rows want an answer, what is asked for them, and where the answers go. Pure.

use crate::template::Template;
use arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, LargeStringBuilder, RecordBatch, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use flight_common::Fault;
use std::sync::Arc;

/// What is to be completed.
#[derive(Debug)]
pub enum Work {
    /// Gaps in the texts of a column.
    Gaps {
        /// The column's place.
        place: usize,
        /// What marks a gap.
        mark: String,
    },
    /// A new last column with the answers to a prompt.
    Answers(Template),
}

/// What a row that was asked for gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filling {
    /// These words.
    Words(Arc<str>),
    /// Null.
    Null,
    /// What it had.
    Nothing,
}

impl Work {
    /// The rows that want an answer, in order.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] for a column that is no longer what was planned.
    pub fn wanted(&self, rows: &RecordBatch) -> Result<Vec<usize>, Fault> {
        match self {
            Self::Gaps { place, mark } => {
                let texts = texts(rows, *place)?;
                let has_gap = |row: &usize| texts.is_valid(*row) && texts.value(*row).contains(mark);
                Ok((0..rows.num_rows()).filter(has_gap).collect())
            }
            Self::Answers(template) => {
                let complete = template.is_complete(rows);
                Ok((0..rows.num_rows()).filter(|row| complete[*row]).collect())
            }
        }
    }

    /// The prompts of these rows.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] for values that have no text.
    pub fn prompts(&self, rows: &RecordBatch, wanted: &[usize]) -> Result<Vec<String>, Fault> {
        match self {
            Self::Gaps { place, .. } => {
                let texts = texts(rows, *place)?;
                Ok(wanted.iter().map(|row| texts.value(*row).to_owned()).collect())
            }
            Self::Answers(template) => template.render(rows, wanted),
        }
    }

    /// The rows with what they get. `fillings` are those of the rows `wanted`.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadData`] for a dictionary that has no room for its new texts.
    pub fn fill(
        &self,
        rows: &RecordBatch,
        schema: &SchemaRef,
        wanted: &[usize],
        fillings: &[Filling],
    ) -> Result<RecordBatch, Fault> {
        let mut columns = rows.columns().to_vec();
        match self {
            Self::Gaps { place, mark } if fillings.iter().any(|filling| *filling != Filling::Nothing) => {
                let filled = filled(&texts(rows, *place)?, mark, wanted, fillings);
                columns[*place] = as_it_was(filled, rows.column(*place).data_type(), schema.field(*place).name())?;
            }
            Self::Gaps { .. } => {}
            Self::Answers(_) => columns.push(answers(rows.num_rows(), wanted, fillings)),
        }
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}

/// A column's texts, whatever form they have. Rows are few here, so that a copy costs nothing beside what is asked.
fn texts(rows: &RecordBatch, place: usize) -> Result<LargeStringArray, Fault> {
    Ok(cast(rows.column(place), &DataType::LargeUtf8)?.as_string::<i64>().clone())
}

fn filled(texts: &LargeStringArray, mark: &str, wanted: &[usize], fillings: &[Filling]) -> LargeStringArray {
    let mut builder = LargeStringBuilder::with_capacity(texts.len(), texts.value_data().len());
    let mut fillings = wanted.iter().zip(fillings).peekable();
    for (row, text) in texts.iter().enumerate() {
        match (text, fillings.next_if(|(wanted, _)| **wanted == row)) {
            (Some(text), Some((_, Filling::Words(words)))) => builder.append_value(text.replace(mark, words)),
            (_, Some((_, Filling::Null))) => builder.append_null(),
            (text, _) => builder.append_option(text),
        }
    }
    builder.finish()
}

fn as_it_was(texts: LargeStringArray, wanted: &DataType, name: &str) -> Result<ArrayRef, Fault> {
    let texts: ArrayRef = Arc::new(texts);
    cast(&texts, wanted).map_err(|error| {
        Fault::bad_data(format!("the completed texts of column \"{name}\" do not fit {wanted}: {error}")).column(name)
    })
}

fn answers(rows: usize, wanted: &[usize], fillings: &[Filling]) -> ArrayRef {
    let bytes = fillings.iter().map(|filling| if let Filling::Words(words) = filling { words.len() } else { 0 }).sum();
    let mut builder = StringBuilder::with_capacity(rows, bytes);
    let mut fillings = wanted.iter().zip(fillings).peekable();
    for row in 0..rows {
        match fillings.next_if(|(wanted, _)| **wanted == row) {
            Some((_, Filling::Words(words))) => builder.append_value(words),
            _ => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

/// Whether a column holds texts, in a form in which it can hold new ones. One of nothing but nulls has no gap.
pub fn holds_texts(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => holds_texts(values),
        other => matches!(other, DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::testing::batch;

    fn words(text: &str) -> Filling {
        Filling::Words(text.into())
    }

    #[test]
    fn gaps_are_filled_and_everything_else_stays() {
        let work = Work::Gaps { place: 0, mark: "_".to_owned() };
        let rows = batch!("t" => StringArray [Some("a _ c _"), None, Some(""), Some("_"), Some("d"), Some("_!")]);
        let wanted = work.wanted(&rows).expect("texts");
        assert_eq!(wanted, [0, 3, 5]);
        assert_eq!(work.prompts(&rows, &wanted).expect("texts"), ["a _ c _", "_", "_!"]);
        let fillings = [words("b"), Filling::Null, Filling::Nothing];
        let filled = work.fill(&rows, &rows.schema(), &wanted, &fillings).expect("it fits");
        let expected = batch!("t" => StringArray [Some("a b c b"), None, Some(""), None, Some("d"), Some("_!")]);
        assert_eq!(filled, expected);
    }

    #[test]
    fn every_form_of_text_keeps_its_type() {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        let plain = batch!("t" => StringArray [Some("_"), None, Some("x")]);
        for wanted in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary] {
            assert!(holds_texts(&wanted));
            let column = cast(plain.column(0), &wanted).expect("a form of text");
            let rows = flight_common::testing::make_batch(vec![("t", column)]);
            let work = Work::Gaps { place: 0, mark: "_".to_owned() };
            let filled = work.fill(&rows, &rows.schema(), &[0], &[words("y")]).expect("it fits");
            assert_eq!(filled.column(0).data_type(), &wanted);
            let back = cast(filled.column(0), &DataType::Utf8).expect("a text");
            assert_eq!(back.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("y"), None, Some("x")]);
        }
    }
}
