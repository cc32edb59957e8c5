//! How many bytes each value of a column takes.

use arrow::array::{Array, AsArray, GenericListArray, OffsetSizeTrait};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;

/// Bytes of each value. Values whose type tells nothing better count as if they were all of one size.
pub(crate) fn sizes(values: &dyn Array) -> Vec<u64> {
    let rows = values.len();
    match values.data_type() {
        DataType::Utf8 => lengths(values.as_string::<i32>().offsets()),
        DataType::LargeUtf8 => lengths(values.as_string::<i64>().offsets()),
        DataType::Binary => lengths(values.as_binary::<i32>().offsets()),
        DataType::LargeBinary => lengths(values.as_binary::<i64>().offsets()),
        DataType::Utf8View => values.as_string_view().lengths().map(u64::from).collect(),
        DataType::BinaryView => values.as_binary_view().lengths().map(u64::from).collect(),
        DataType::List(_) => lists(values.as_list::<i32>()),
        DataType::LargeList(_) => lists(values.as_list::<i64>()),
        DataType::Struct(_) => {
            let mut all = vec![0_u64; rows];
            for column in values.as_struct().columns() {
                all.iter_mut().zip(sizes(column)).for_each(|(all, one)| *all = all.saturating_add(one));
            }
            all
        }
        other => {
            let each = other.primitive_width().map_or_else(|| average(values), |width| width as u64);
            vec![each; rows]
        }
    }
}

fn lists<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> Vec<u64> {
    let (Some(first), Some(last)) = (lists.offsets().first(), lists.offsets().last()) else { return Vec::new() };
    let (first, last) = (first.as_usize(), last.as_usize());
    let mut elements = sizes(&lists.values().slice(first, last - first)).into_iter();
    lists.offsets().lengths().map(|length| elements.by_ref().take(length).fold(0, u64::saturating_add)).collect()
}

fn lengths<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> Vec<u64> {
    offsets.lengths().map(|length| length as u64).collect()
}

fn average(values: &dyn Array) -> u64 {
    let bytes = values.to_data().get_slice_memory_size().unwrap_or_else(|_| values.get_buffer_memory_size());
    bytes as u64 / (values.len() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray, StructArray};
    use arrow::compute::cast;
    use arrow::datatypes::Int64Type;
    use std::sync::Arc;

    #[test]
    fn each_value_has_its_bytes() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("abcdefghijklmnopqrst")]));
        assert_eq!(sizes(&texts), [1, 0, 20]);
        assert_eq!(sizes(&cast(&texts, &DataType::Utf8View).expect("a view")), [1, 0, 20]);
        assert_eq!(sizes(&texts.slice(2, 1)), [20]);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        assert_eq!(sizes(&numbers), [8, 8, 8]);
        let lists = [Some(vec![Some(1), Some(2)]), None, Some(vec![Some(3)])];
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        assert_eq!(sizes(&lists), [16, 0, 8]);
        let both = StructArray::try_from(vec![("t", texts), ("n", numbers)]).expect("a struct");
        assert_eq!(sizes(&both), [9, 8, 28]);
    }
}
