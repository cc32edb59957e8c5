//! Columns of every type pass a join unchanged, in memory and by way of the disk.

use crate::support::{run, sorted_rows};
use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::*;
use flight_common::testing::{Bench, make_batch};
use serde_json::json;
use std::sync::Arc;

const ROWS: usize = 600;

fn nested() -> ArrayRef {
    let mut lists = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
    for row in 0..ROWS {
        match row % 4 {
            0 => lists.append_null(),
            1 => lists.append(true),
            _ => {
                lists.values().values().append_value(format!("row {row}"));
                lists.values().values().append_null();
                lists.values().append(true);
                lists.values().append(false);
                lists.append(true);
            }
        }
    }
    Arc::new(lists.finish())
}

fn fixed_lists() -> ArrayRef {
    let values = Int16Array::from_iter_values((0..2 * ROWS).map(|n| n as i16));
    let field = Arc::new(Field::new_list_field(DataType::Int16, true));
    Arc::new(FixedSizeListArray::new(field, 2, Arc::new(values), None))
}

fn map() -> ArrayRef {
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in 0..ROWS {
        for entry in 0..row % 3 {
            map.keys().append_value(format!("k{entry}"));
            map.values().append_value(row as i32);
        }
        map.append(row % 7 != 0).expect("as many keys as values");
    }
    Arc::new(map.finish())
}

fn runs() -> ArrayRef {
    let ends = Int32Array::from_iter_values((1..=ROWS as i32).filter(|end| end % 3 == 0));
    let values = StringArray::from_iter_values((0..ends.len()).map(|n| format!("run {n}")));
    Arc::new(RunArray::<Int32Type>::try_new(&ends, &values).expect("rising ends"))
}

fn structs(numbers: &ArrayRef) -> ArrayRef {
    let fields = Fields::from(vec![Field::new("n", numbers.data_type().clone(), true)]);
    Arc::new(StructArray::new(fields, vec![numbers.clone()], None))
}

/// A batch with a column of each type, nulls in them, and the key `id`.
fn of_all_types() -> RecordBatch {
    let optional = |row: usize| (!row.is_multiple_of(5)).then_some(row as i64);
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter((0..ROWS).map(optional)));
    let texts = || (0..ROWS).map(|row| (row % 6 != 0).then(|| format!("a text that is long, number {row}")));
    let large: Vec<Option<i128>> = (0..ROWS).map(|row| optional(row).map(|n| i128::from(n) << 70)).collect();
    let zone = |column: ArrayRef, zone: &str| -> ArrayRef {
        Arc::new(column.as_primitive::<TimestampMicrosecondType>().clone().with_timezone(zone))
    };
    let stamps: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter((0..ROWS).map(optional)));
    let decimals = Decimal128Array::from(large).with_precision_and_scale(38, 3).expect("a precision");
    let dictionary: DictionaryArray<Int16Type> = (0..ROWS).map(|row| ["red", "green", "blue"][row % 3]).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..ROWS as i64))),
        ("number", numbers.clone()),
        ("small", Arc::new(UInt8Array::from_iter_values((0..ROWS).map(|row| row as u8)))),
        ("float", Arc::new(Float32Array::from_iter_values((0..ROWS).map(|row| if row == 7 { f32::NAN } else { 0.1 })))),
        ("flag", Arc::new(BooleanArray::from_iter((0..ROWS).map(|row| (row % 3 > 0).then_some(row % 2 == 0))))),
        ("decimal", Arc::new(decimals)),
        ("date", Arc::new(Date32Array::from_iter((0..ROWS).map(|row| optional(row).map(|n| n as i32))))),
        ("time", Arc::new(Time64NanosecondArray::from_iter((0..ROWS).map(optional)))),
        ("zoned", zone(stamps.clone(), "Europe/Paris")),
        ("stamp", stamps),
        ("duration", Arc::new(DurationSecondArray::from_iter((0..ROWS).map(optional)))),
        ("text", Arc::new(StringArray::from_iter(texts()))),
        ("large", Arc::new(LargeStringArray::from_iter(texts()))),
        ("view", Arc::new(StringViewArray::from_iter(texts()))),
        ("bytes", Arc::new(BinaryArray::from_iter(texts().map(|text| text.map(String::into_bytes))))),
        ("fixed", Arc::new(FixedSizeBinaryArray::try_from_iter((0..ROWS).map(|row| [row as u8; 3])).expect("3 bytes"))),
        ("dictionary", Arc::new(dictionary)),
        ("nothing", Arc::new(NullArray::new(ROWS))),
        ("nested", nested()),
        ("pairs", fixed_lists()),
        ("map", map()),
        ("runs", runs()),
        ("struct", structs(&numbers)),
        (
            "empty",
            Arc::new(LargeListArray::new(
                Arc::new(Field::new_list_field(DataType::Int8, true)),
                OffsetBuffer::new_zeroed(ROWS),
                Arc::new(Int8Array::from(Vec::<i8>::new())),
                None,
            )),
        ),
    ];
    let batch = make_batch(columns);
    let noted =
        |field: &FieldRef| field.as_ref().clone().with_metadata([("unit".to_owned(), field.name().clone())].into());
    let fields: Vec<Field> = batch.schema().fields().iter().map(noted).collect();
    let schema = Schema::new_with_metadata(fields, [("source".to_owned(), "test".to_owned())].into());
    RecordBatch::try_new(Arc::new(schema), batch.columns().to_vec()).expect("the same columns")
}

fn keys(from: i64, to: i64) -> RecordBatch {
    make_batch(vec![("id", Arc::new(Int64Array::from_iter_values(from..to)))])
}

#[tokio::test]
async fn every_type_passes_from_either_side() {
    let all = of_all_types();
    // A right side of keys alone: the rows come out as they were.
    for (params, left, right) in [
        (json!({"join_key": "id"}), all.clone(), keys(0, ROWS as i64)),
        (json!({"join_key": "id", "join_type": "left"}), all.clone(), keys(300, 310)),
        (json!({"join_key": "id", "join_type": "semi"}), all.clone(), keys(0, ROWS as i64)),
        (json!({"join_key": "id", "join_type": "anti"}), all.clone(), keys(9000, 9010)),
        (json!({"join_key": "id", "join_type": "right"}), keys(300, 310), all.clone()),
    ] {
        for bench in [Bench::new(), Bench::new().memory(64 << 10).batches_of(50)] {
            let ran = run(&bench, params.clone(), &left, &right).await.expect("it runs");
            assert_eq!(ran.schema.metadata(), all.schema().metadata());
            assert_eq!(ran.schema.fields(), all.schema().fields());
            assert_eq!(sorted_rows(&ran.rows()), sorted_rows(&all), "{params}");
        }
    }
}

#[tokio::test]
async fn every_type_passes_an_outer_join_with_missing_rows() {
    let all = of_all_types();
    for bench in [Bench::new(), Bench::new().memory(64 << 10).batches_of(50)] {
        let params = json!({"join_key": "id", "join_type": "outer"});
        let ran = run(&bench, params, &all, &keys(590, 610)).await.expect("it runs");
        assert_eq!(ran.rows().num_rows(), ROWS + 10);
        let types: Vec<&DataType> = ran.schema.fields().iter().map(|field| field.data_type()).collect();
        let before = all.schema();
        assert_eq!(types, before.fields().iter().map(|field| field.data_type()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn every_type_of_single_values_can_be_a_key() {
    let all = of_all_types();
    for name in all.schema().fields().iter().map(|field| field.name().clone()) {
        let params = json!({"join_key": ["id", name], "join_type": "inner", "null_equals_null": true});
        let ran = run(&Bench::new(), params, &all, &all).await;
        match all.column_by_name(&name).expect("there").data_type() {
            nested if nested.is_nested() => {
                assert!(ran.expect_err("refused").message().contains("cannot be a key"), "{name}");
            }
            _ => assert_eq!(ran.expect("it runs").rows().num_rows(), ROWS, "{name}"),
        }
    }
}
