//! How large rows are, batches cut to the size of a message, and rows apart from what they were cut from.
//!
//! Sizes are those of the rows, not of the buffers behind them: a slice of a large batch is small.

use crate::fault::Fault;
use arrow::array::{Array, ArrayData, ArrayRef, AsArray, OffsetSizeTrait, RecordBatch, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take_record_batch;
use arrow::datatypes::{ByteViewType, DataType};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Strings up to this length lie in the view itself.
const INLINE_VIEW: u32 = 12;

/// The bytes that the rows of a batch take.
pub fn row_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(column_bytes).sum()
}

fn column_bytes(column: &ArrayRef) -> usize {
    let within = match column.data_type() {
        DataType::List(_) => list_bytes(column.as_list::<i32>().offsets(), column.as_list::<i32>().values()),
        DataType::LargeList(_) => list_bytes(column.as_list::<i64>().offsets(), column.as_list::<i64>().values()),
        DataType::Map(..) => list_bytes(column.as_map().offsets(), &(Arc::new(column.as_map().entries().clone()) as _)),
        DataType::FixedSizeList(..) => column_bytes(column.as_fixed_size_list().values()),
        DataType::Struct(_) => column.as_struct().columns().iter().map(column_bytes).sum(),
        DataType::Utf8View => return view_bytes(column.as_string_view()),
        DataType::BinaryView => return view_bytes(column.as_binary_view()),
        _ => return column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()),
    };
    within + column.nulls().map_or(0, |nulls| nulls.len().div_ceil(8))
}

/// Of the values of all lists, those between the first and the last offset: a slice of lists has all of them behind it.
fn list_bytes<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>, values: &ArrayRef) -> usize {
    let (first, last) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
    size_of_val(&offsets[..]) + column_bytes(&values.slice(first, last - first))
}

fn view_bytes<T: ByteViewType>(column: &arrow::array::GenericByteViewArray<T>) -> usize {
    // The length of a view is its lowest 32 bits.
    let long = column.views().iter().map(|view| *view as u32).filter(|length| *length > INLINE_VIEW);
    size_of_val(&column.views()[..]) + long.map(|length| length as usize).sum::<usize>()
}

/// The bytes of memory that stay taken for as long as the batch is there: those of all the buffers that it has a part of,
/// and of one that several columns have parts of, once. The columns of a message are parts of its body, and stay so when
/// others are left out.
pub fn held_bytes(batch: &RecordBatch) -> usize {
    let mut buffers = BTreeMap::new();
    batch.columns().iter().for_each(|column| note_buffers(&column.to_data(), &mut buffers));
    buffers.values().sum()
}

fn note_buffers(data: &ArrayData, buffers: &mut BTreeMap<usize, usize>) {
    let validity = data.nulls().map(|nulls| nulls.buffer());
    for buffer in data.buffers().iter().chain(validity) {
        buffers.insert(buffer.data_ptr().as_ptr().addr(), buffer.capacity());
    }
    data.child_data().iter().for_each(|child| note_buffers(child, buffers));
}

/// Whether so many bytes that stay taken are much more than what is needed of them.
pub(super) fn holds_much(held: usize, needed: usize) -> bool {
    const SLACK: usize = 4 << 10;
    held > 2 * needed + SLACK
}

/// The rows without what is behind them: a copy where `held` bytes, which they keep taken, are much more than they need.
///
/// # Errors
/// Arrow's, if the rows cannot be copied.
pub fn apart(batch: RecordBatch, held: usize) -> Result<RecordBatch, Fault> {
    if !holds_much(held, row_bytes(&batch)) {
        return Ok(batch);
    }
    let all = UInt32Array::from_iter_values(0..u32::try_from(batch.num_rows()).map_err(Fault::internal)?);
    Ok(compact(take_record_batch(&batch, &all)?))
}

/// Cuts a batch so that each part takes about `target` bytes. A row is never cut: one that is larger goes alone.
pub fn split(batch: RecordBatch, target: usize) -> Vec<RecordBatch> {
    let mut parts = Vec::new();
    cut(batch, target, &mut parts);
    parts
}

fn cut(batch: RecordBatch, target: usize, parts: &mut Vec<RecordBatch>) {
    // The values of a dictionary are behind each part, and become no fewer by cutting.
    let shared = row_bytes(&batch.slice(0, 0));
    let own = |part: &RecordBatch| row_bytes(part).saturating_sub(shared);
    let (rows, bytes) = (batch.num_rows(), own(&batch));
    if bytes <= target + target / 4 || rows <= 1 {
        parts.push(compact(batch));
        return;
    }
    let each = (rows / bytes.div_ceil(target)).max(1).min(rows - 1);
    let mut start = 0;
    while start < rows {
        let length = each.min(rows - start);
        let part = batch.slice(start, length);
        // Rows may be of very different sizes.
        if length > 1 && own(&part) > 2 * target {
            let half = length / 2;
            cut(part.slice(0, half), target, parts);
            cut(part.slice(half, length - half), target, parts);
        } else {
            parts.push(compact(part));
        }
        start += length;
    }
}

/// Lets go of string data that no view points to: IPC would send all of it.
fn compact(batch: RecordBatch) -> RecordBatch {
    let is_view = |column: &ArrayRef| matches!(column.data_type(), DataType::Utf8View | DataType::BinaryView);
    if !batch.columns().iter().any(is_view) {
        return batch;
    }
    let columns = batch.columns().iter().map(|column| -> ArrayRef {
        match column.data_type() {
            DataType::Utf8View => Arc::new(column.as_string_view().gc()),
            DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
            _ => column.clone(),
        }
    });
    // Equal columns of equal length always make a batch.
    RecordBatch::try_new(batch.schema(), columns.collect()).unwrap_or(batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::batch;
    use arrow::array::{
        DictionaryArray, Int32Array, ListBuilder, StringArray, StringBuilder, StringViewArray, StructArray,
    };
    use arrow::compute::concat_batches;

    #[test]
    fn a_slice_is_as_small_as_its_rows() {
        let rows: Vec<i64> = (0..10_000).collect();
        let whole = batch!("n" => Int64Array rows);
        assert!(row_bytes(&whole.slice(0, 10)) < 200);
    }

    #[test]
    fn rows_apart_leave_behind_what_they_were_cut_from() {
        let numbers: Vec<i64> = (0..10_000).collect();
        let texts: Vec<String> = numbers.iter().map(|n| format!("number {n}")).collect();
        let whole = batch!("n" => Int64Array numbers, "s" => StringArray texts);
        let (held, part) = (held_bytes(&whole), whole.slice(5, 10));
        assert_eq!(held_bytes(&part), held);
        let own = apart(part.clone(), held_bytes(&part)).expect("rows");
        assert_eq!(own, part);
        assert!(held_bytes(&own) < 2_000, "{}", held_bytes(&own));
        let same = apart(whole.clone(), held).expect("rows");
        assert_eq!(same.column(0).to_data().buffers()[0].as_ptr(), whole.column(0).to_data().buffers()[0].as_ptr());
    }

    #[test]
    fn a_buffer_of_several_columns_is_held_once() {
        let whole = batch!("a" => Int64Array [1, 2], "b" => Int64Array [3, 4]);
        let frames = crate::Parcel::to_frames(&whole).expect("messages");
        let read: RecordBatch = crate::Parcel::from_frames(frames, &whole.schema()).expect("a batch");
        assert_eq!(read, whole);
        let one = read.project(&[0]).expect("a column");
        assert_eq!(held_bytes(&one), held_bytes(&read));
    }

    #[test]
    fn parts_hold_all_rows_and_none_is_much_larger_than_asked() {
        let texts: Vec<String> = (0..1000).map(|n| "x".repeat(if n == 500 { 50_000 } else { 10 })).collect();
        let whole = batch!("s" => StringArray texts);
        let parts = split(whole.clone(), 4096);
        assert!(parts.len() > 5);
        let large = parts.iter().filter(|part| row_bytes(part) > 2 * 4096).count();
        assert_eq!(large, 1, "only the row that is larger by itself");
        assert_eq!(concat_batches(&whole.schema(), &parts).expect("one schema"), whole);
    }

    /// Lists of three texts of ten letters, within a structure.
    fn lists(rows: usize) -> RecordBatch {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for _ in 0..rows {
            lists.append_value(vec![Some("0123456789"); 3]);
        }
        let lists: ArrayRef = Arc::new(lists.finish());
        let nested = StructArray::try_from(vec![("inner", lists.clone())]).expect("a structure");
        RecordBatch::try_from_iter([("l", lists), ("s", Arc::new(nested) as ArrayRef)]).expect("a batch")
    }

    #[test]
    fn lists_are_as_large_as_what_is_in_them() {
        let whole = lists(1000);
        let per_row = row_bytes(&whole) / 1000;
        assert!((60..150).contains(&per_row), "{per_row}");
        assert!(row_bytes(&whole.slice(500, 10)) < 2000);
        let parts = split(whole.clone(), 10_000);
        assert!((5..20).contains(&parts.len()), "{}", parts.len());
        assert_eq!(concat_batches(&whole.schema(), &parts).expect("one schema"), whole);
    }

    #[test]
    fn a_large_dictionary_makes_no_smaller_parts() {
        let words: ArrayRef = Arc::new(StringArray::from_iter_values((0..10_000).map(|n| format!("word {n}"))));
        let keys = Int32Array::from_iter_values(0..10_000);
        let column = DictionaryArray::new(keys, words);
        let whole = RecordBatch::try_from_iter([("d", Arc::new(column) as ArrayRef)]).expect("a batch");
        assert!(split(whole, 10_000).len() < 10);
    }

    #[test]
    fn views_leave_behind_what_they_do_not_show() {
        let texts = StringViewArray::from_iter_values((0..1000).map(|n| format!("a rather long text, number {n}")));
        let whole = RecordBatch::try_from_iter([("s", Arc::new(texts) as ArrayRef)]).expect("a batch");
        let part = split(whole.slice(3, 2), 1 << 20).remove(0);
        assert!(part.get_array_memory_size() < 10_000);
    }
}
