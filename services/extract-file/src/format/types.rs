//! Guessed types of JSON that change no value: a column of numbers that no one type of numbers holds is text.

use super::Look;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use serde_json::Value;
use std::sync::Arc;

/// The types that hold the values of these records, where a guess knows only whole numbers and floats.
pub fn kept(guessed: &Schema, records: &[Value]) -> Look {
    let fields: Vec<FieldRef> =
        guessed.fields().iter().map(|field| of_field(field, &within(field, records.iter()))).collect();
    let numbers = fields.iter().filter(|field| match field.data_type() {
        DataType::Float64 => true,
        DataType::Int64 => !within(field, records.iter()).into_iter().any(is_inexact),
        _ => false,
    });
    let numbers = numbers.map(|field| field.name().clone()).collect();
    Look { schema: Arc::new(Schema::new(fields)), row_groups: None, is_guess: true, numbers }
}

/// The values of a field in these records.
fn within<'a>(field: &Field, records: impl Iterator<Item = &'a Value>) -> Vec<&'a Value> {
    records.filter_map(|record| record.get(field.name())).collect()
}

fn of_field(field: &FieldRef, values: &[&Value]) -> FieldRef {
    Arc::new(Field::clone(field).with_data_type(of_type(field.data_type(), values)))
}

fn of_type(guessed: &DataType, values: &[&Value]) -> DataType {
    match guessed {
        DataType::Float64 if values.iter().any(|value| is_inexact(value)) => DataType::Utf8,
        DataType::Struct(fields) => {
            let field = |field: &FieldRef| of_field(field, &within(field, values.iter().copied()));
            DataType::Struct(fields.iter().map(field).collect::<Fields>())
        }
        DataType::List(item) => {
            let items: Vec<&Value> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
            DataType::List(of_field(item, &items))
        }
        other => other.clone(),
    }
}

/// Whether it is a whole number that no float holds.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "that is what is looked for")]
fn is_inexact(value: &Value) -> bool {
    let whole = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    whole.is_some_and(|whole| (whole as f64) as i128 != whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::json::reader::infer_json_schema_from_iterator;
    use serde_json::json;

    fn types(records: &[Value]) -> (Vec<String>, Vec<String>) {
        let guessed = infer_json_schema_from_iterator(records.iter().map(Ok)).expect("records");
        let look = kept(&guessed, records);
        let types = look.schema.fields().iter().map(|field| field.data_type().to_string());
        (types.collect(), look.numbers.into_iter().collect())
    }

    #[test]
    fn numbers_that_no_float_holds_are_no_floats() {
        let wide = 9_007_199_254_740_993_i64;
        let records =
            [json!({"a": wide, "b": wide, "c": 1, "d": u64::MAX}), json!({"a": 1, "b": 0.5, "c": 0.5, "d": 1})];
        let (types, numbers) = types(&records);
        assert_eq!(types, ["Int64", "Utf8", "Float64", "Utf8"]);
        assert_eq!(numbers, ["c"], "a holds more than a float does");
    }

    #[test]
    fn nor_are_those_within_lists_and_records() {
        let wide = 9_007_199_254_740_993_i64;
        let (types, _) = types(&[json!({"a": {"x": [wide, 0.5]}, "b": [{"y": 1.5}]})]);
        assert!(types[0].contains("Utf8") && !types[1].contains("Utf8"), "{types:?}");
    }
}
