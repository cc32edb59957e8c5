//! A prompt with columns in braces. Pure.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use flight_common::{Fault, columns};

/// A prompt, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Column(usize),
}

impl Template {
    /// Reads a prompt. `pointer` is that of its parameter.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] for a column that there is not,
    /// [`flight_common::FaultKind::BadParams`] for a brace that does not end, and for a prompt without a column.
    pub fn parse(text: &str, schema: &Schema, pointer: &str) -> Result<Self, Fault> {
        let wrong = |message: &str, help: &str| {
            Err(Fault::bad_params(message).help(help.to_owned()).violation(pointer, message))
        };
        let mut parts = Vec::new();
        let (mut plain, mut rest) = (String::new(), text);
        while let Some(at) = rest.find('{') {
            let (before, after) = (&rest[..at], &rest[at + 1..]);
            if let Some(before) = before.strip_suffix('\\') {
                plain.push_str(before);
                plain.push('{');
                rest = after;
                continue;
            }
            plain.push_str(before);
            let Some(end) = after.find('}') else {
                return wrong("a { in the prompt has no }", "write \\{ for a brace that means itself");
            };
            parts.extend((!plain.is_empty()).then(|| Part::Text(std::mem::take(&mut plain))));
            parts.push(Part::Column(column(&after[..end], schema, pointer)?));
            rest = &after[end + 1..];
        }
        plain.push_str(rest);
        parts.extend((!plain.is_empty()).then_some(Part::Text(plain)));
        if !parts.iter().any(|part| matches!(part, Part::Column(_))) {
            return wrong("the prompt names no column, and would be the same for each row", "write {name of a column}");
        }
        Ok(Self(parts))
    }

    /// Whether the row has a value for each column of the prompt.
    pub fn is_complete(&self, rows: &RecordBatch) -> Vec<bool> {
        let mut complete = vec![true; rows.num_rows()];
        for place in self.columns() {
            // Also where the nulls are those of a dictionary's values.
            if let Some(nulls) = rows.column(place).logical_nulls() {
                complete.iter_mut().zip(nulls.iter()).for_each(|(complete, valid)| *complete &= valid);
            }
        }
        complete
    }

    fn columns(&self) -> impl Iterator<Item = usize> {
        self.0.iter().filter_map(|part| match part {
            Part::Column(place) => Some(*place),
            Part::Text(_) => None,
        })
    }

    /// The prompts of these rows.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadSchema`] for a type that has no text.
    pub fn render(&self, batch: &RecordBatch, rows: &[usize]) -> Result<Vec<String>, Fault> {
        let options = FormatOptions::default().with_display_error(false);
        let schema = batch.schema();
        let formatter = |place: usize| {
            ArrayFormatter::try_new(batch.column(place), &options).map_err(|error| {
                let name = schema.field(place).name();
                Fault::bad_schema(format!("column \"{name}\" cannot be written as text: {error}")).column(name)
            })
        };
        let parts: Vec<_> = self
            .0
            .iter()
            .map(|part| match part {
                Part::Text(text) => Ok((text.as_str(), None)),
                Part::Column(place) => Ok(("", Some(formatter(*place)?))),
            })
            .collect::<Result<_, Fault>>()?;
        let prompt = |row: &usize| {
            let mut prompt = String::new();
            for (text, column) in &parts {
                match column {
                    Some(column) => prompt.push_str(&column.value(*row).try_to_string()?),
                    None => prompt.push_str(text),
                }
            }
            Ok(prompt)
        };
        rows.iter().map(prompt).collect()
    }
}

/// The column of this name; white space around it does not count unless the name has it.
fn column(name: &str, schema: &Schema, pointer: &str) -> Result<usize, Fault> {
    let name = if schema.column_with_name(name).is_some() { name } else { name.trim() };
    columns::find(schema, name, pointer).map_err(|fault| match name.contains(['{', '"', ':', '\n']) {
        true => fault.help("write \\{ for a brace that means itself, and one brace around the name of a column"),
        false => fault,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::FaultKind;
    use flight_common::testing::batch;

    fn rows() -> RecordBatch {
        batch!("id" => Int64Array [Some(1), None], "a b" => StringArray [Some("x"), Some("")])
    }

    fn rendered(text: &str) -> Vec<String> {
        let template = Template::parse(text, &rows().schema(), "/prompt").expect("it is right");
        template.render(&rows(), &[0, 1]).expect("they have texts")
    }

    #[test]
    fn columns_stand_in_braces() {
        assert_eq!(rendered("{a b}-{ id }"), ["x-1", "-"]);
        assert_eq!(rendered("as \\{\"n\": {id}}, {id}"), ["as {\"n\": 1}, 1", "as {\"n\": }, "]);
    }

    #[test]
    fn a_row_is_complete_if_no_column_of_the_prompt_is_null() {
        let of = |text: &str| Template::parse(text, &rows().schema(), "/prompt").expect("right").is_complete(&rows());
        assert_eq!(of("{id} {a b}"), [true, false]);
        assert_eq!(of("{a b}"), [true, true]);
    }

    #[test]
    fn what_is_no_template_is_refused_with_its_place() {
        for (text, kind) in [
            ("no column", FaultKind::BadParams),
            ("{id", FaultKind::BadParams),
            ("\\{id}", FaultKind::BadParams),
            ("{ids}", FaultKind::BadSchema),
            ("{{id}}", FaultKind::BadSchema),
            ("{\"n\": 1}", FaultKind::BadSchema),
        ] {
            let fault = Template::parse(text, &rows().schema(), "/prompt").expect_err(text);
            assert_eq!((fault.kind(), fault.violations()[0].pointer.as_str()), (kind, "/prompt"), "{text}");
            assert!(fault.help_text().is_some(), "{text}");
        }
    }
}
