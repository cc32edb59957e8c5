//! Guessed types of JSON that change no value: a column of numbers that no one type of numbers holds is text.

use crate::format::Look;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The types that hold what was seen, where a guess knows only whole numbers and floats. `inexact` are the places of fields
/// with numbers that no float holds.
pub fn kept(guessed: &Schema, inexact: &BTreeSet<Vec<usize>>) -> Look {
    let mut place = Vec::new();
    let fields = of_fields(guessed.fields(), &mut place, inexact);
    let numbers = fields.iter().enumerate().filter(|(place, field)| match field.data_type() {
        DataType::Float64 => true,
        DataType::Int64 => !inexact.contains([*place].as_slice()),
        _ => false,
    });
    let numbers = numbers.map(|(_, field)| field.name().clone()).collect();
    Look { schema: Arc::new(Schema::new(fields)), row_groups: None, is_guess: true, numbers }
}

fn of_fields(fields: &Fields, place: &mut Vec<usize>, inexact: &BTreeSet<Vec<usize>>) -> Fields {
    let of_field = |(at, field): (usize, &FieldRef)| {
        place.push(at);
        let data_type = of_type(field.data_type(), place, inexact);
        place.pop();
        Arc::new(Field::clone(field).with_data_type(data_type))
    };
    fields.iter().enumerate().map(of_field).collect()
}

fn of_type(guessed: &DataType, place: &mut Vec<usize>, inexact: &BTreeSet<Vec<usize>>) -> DataType {
    match guessed {
        DataType::Float64 if inexact.contains(place) => DataType::Utf8,
        DataType::Struct(fields) => DataType::Struct(of_fields(fields, place, inexact)),
        DataType::List(item) => {
            let data_type = of_type(item.data_type(), place, inexact);
            DataType::List(Arc::new(Field::clone(item).with_data_type(data_type)))
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::Block;
    use super::*;
    use arrow::json::reader::infer_json_schema_from_iterator;
    use serde_json::Value;

    fn types_of(records: &str) -> (Vec<String>, Vec<String>) {
        let values = serde_json::Deserializer::from_str(records).into_iter::<Value>();
        let values: Vec<Value> = values.collect::<Result<_, _>>().expect("JSON");
        let guessed = infer_json_schema_from_iterator(values.iter().map(Ok)).expect("records");
        let mut block = Block::default();
        block.text = records.as_bytes().to_vec();
        let look = kept(&guessed, &super::super::inexact("f.json", &guessed, &[(0, block)]).expect("no field twice"));
        let types = look.schema.fields().iter().map(|field| field.data_type().to_string());
        (types.collect(), look.numbers.into_iter().collect())
    }

    #[test]
    fn numbers_that_no_float_holds_are_no_floats() {
        let (types, numbers) = types_of(
            r#"{"a": 9007199254740993, "b": 9007199254740993, "c": 1, "d": 18446744073709551615, "e": 1}
               {"a": 1, "b": 0.5, "c": 0.5, "d": 1, "e": 123456789012345678901}"#,
        );
        assert_eq!(types, ["Int64", "Utf8", "Float64", "Utf8", "Utf8"]);
        assert_eq!(numbers, ["c"], "a holds more than a float does");
        let (types, _) = types_of(r#"{"a": 1234567890123456789.25, "b": 1e-400, "c": 0.30000000000000004}"#);
        assert_eq!(types, ["Utf8", "Utf8", "Float64"]);
    }

    #[test]
    fn nor_are_those_within_lists_and_records() {
        let (types, _) = types_of(r#"{"a": {"x": [9007199254740993, 0.5]}, "b": [{"y": 1.5}]}"#);
        assert!(types[0].contains("Utf8") && !types[1].contains("Utf8"), "{types:?}");
    }
}
