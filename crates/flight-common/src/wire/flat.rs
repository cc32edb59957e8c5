//! Batches of columns that are neither nested nor dictionaries, nor compressed: what most batches are.
//!
//! Arrow's own reader looks at each text by itself, which takes as long as all else that is done with a message. The
//! arrays' constructors check the same, of all texts at once.

use arrow::array::{
    ArrayData, ArrayRef, GenericStringArray, OffsetSizeTrait, RecordBatch, RecordBatchOptions, make_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, SchemaRef};
use std::sync::Arc;

/// The batch in a message whose buffers lie within `body`. Nothing for one of another kind, or with anything odd about it:
/// Arrow's reader knows how to read it, or what is wrong.
///
/// # Panics
/// Where buffers are not as the header says, as Arrow's reader does.
pub(super) fn read(body: &Buffer, batch: arrow_ipc::RecordBatch<'_>, schema: &SchemaRef) -> Option<RecordBatch> {
    if batch.compression().is_some() || batch.variadicBufferCounts().is_some_and(|counts| !counts.is_empty()) {
        return None;
    }
    let (mut nodes, mut buffers) = (batch.nodes()?.iter(), batch.buffers()?.iter());
    let rows = usize::try_from(batch.length()).ok()?;
    let mut next = || {
        let place = buffers.next()?;
        Some(body.slice_with_length(usize::try_from(place.offset()).ok()?, usize::try_from(place.length()).ok()?))
    };
    let mut column = |field: &Arc<Field>| {
        let node = nodes.next().filter(|node| node.length() == batch.length())?;
        let validity = next()?;
        let nulls = (node.null_count() != 0).then(|| NullBuffer::new(BooleanBuffer::new(validity, 0, rows)));
        if nulls.as_ref().map_or(0, NullBuffer::null_count) as i64 != node.null_count() {
            return None;
        }
        match field.data_type() {
            DataType::Utf8 => texts::<i32>(rows, nulls, next()?, next()?),
            DataType::LargeUtf8 => texts::<i64>(rows, nulls, next()?, next()?),
            kind if kind.is_primitive() || *kind == DataType::Boolean => {
                let column = ArrayData::builder(kind.clone()).len(rows).nulls(nulls).add_buffer(next()?);
                column.align_buffers(true).build().ok().map(make_array)
            }
            _ => None,
        }
    };
    let columns = schema.fields().iter().map(&mut column).collect::<Option<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).ok()
}

fn texts<O: OffsetSizeTrait>(
    rows: usize,
    nulls: Option<NullBuffer>,
    offsets: Buffer,
    values: Buffer,
) -> Option<ArrayRef> {
    // No offsets at all may stand for no rows; and they may lie askew in a body that was not made by Arrow.
    let is_enough = offsets.len().is_multiple_of(size_of::<O>()) && offsets.len() / size_of::<O>() > rows;
    if !is_enough || offsets.as_ptr().align_offset(align_of::<O>()) != 0 {
        return None;
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::<O>::new(offsets, 0, rows + 1));
    Some(Arc::new(GenericStringArray::try_new(offsets, values, nulls).ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::decode::sound;
    use super::super::{Decoder, Encoder, Frame};
    use super::*;
    use crate::testing::batch;
    use arrow::datatypes::Schema;
    use arrow_ipc::reader::RecordBatchDecoder;
    use arrow_ipc::root_as_message;
    use bytes::Bytes;
    use std::collections::HashMap;

    fn flat_rows() -> RecordBatch {
        let words = [Some("naïve"), None, Some(""), Some("plain"), Some("日本")];
        batch!(
            "i" => Int64Array [Some(1), None, Some(3), Some(4), None],
            "f" => Float64Array [1.5, f64::NAN, -0.0, 0.0, 2.0],
            "b" => BooleanArray [Some(true), None, Some(false), Some(true), Some(true)],
            "s" => StringArray words.to_vec(),
            "l" => LargeStringArray words.to_vec(),
            "t" => TimestampMicrosecondArray [1, 2, 3, 4, 5],
            "d" => Decimal128Array [Some(7), None, Some(8), Some(9), Some(10)]
        )
    }

    fn message(rows: &RecordBatch) -> Frame {
        let mut frames = Vec::new();
        Encoder::new(rows.schema()).expect("a schema").encode(rows, &mut frames).expect("encoded");
        frames.pop().expect("a message")
    }

    fn body(frame: &Frame) -> Vec<u8> {
        frame.body.concat()
    }

    /// What Arrow's own reader makes of it.
    fn by_arrow(header: &[u8], body: &Buffer, schema: &SchemaRef) -> Option<RecordBatch> {
        let message = root_as_message(header).ok()?;
        let (batch, version, none) = (message.header_as_record_batch()?, message.version(), HashMap::new());
        let read = || RecordBatchDecoder::try_new(body, batch, schema.clone(), &none, &version)?.read_record_batch();
        sound(body, batch, read).ok()
    }

    fn here(header: &[u8], body: &Buffer, schema: &SchemaRef) -> Option<RecordBatch> {
        let message = root_as_message(header).ok()?;
        read(body, message.header_as_record_batch()?, schema)
    }

    #[test]
    fn flat_batches_are_read_here_and_others_are_not() {
        let rows = flat_rows();
        for rows in [rows.clone(), rows.slice(1, 3), rows.slice(4, 1)] {
            let frame = message(&rows);
            assert_eq!(here(&frame.header, &Buffer::from(body(&frame)), &rows.schema()), Some(rows));
        }
        let bytes = batch!("x" => BinaryArray [&b"a"[..]]);
        let frame = message(&bytes);
        assert_eq!(here(&frame.header, &Buffer::from(body(&frame)), &bytes.schema()), None);
    }

    #[test]
    fn whatever_is_damaged_arrow_finds_the_same() {
        let rows = flat_rows();
        let (schema, frame) = (rows.schema(), message(&rows));
        let (header, body) = (frame.header.to_vec(), body(&frame));
        let compare = |header: Vec<u8>, body: Vec<u8>, what: &str| {
            let expected = by_arrow(&header, &Buffer::from(body.clone()), &schema);
            let frame = Frame::new(Bytes::from(header), Bytes::new(), vec![Bytes::from(body)]);
            let found = Decoder::new(schema.clone()).decode(frame).ok().flatten();
            // NaN is not equal to itself.
            let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
            assert_eq!(found, expected, "{what}");
        };
        for (place, flip) in (0..body.len()).flat_map(|place| [(place, 0x01), (place, 0x80), (place, 0xff)]) {
            let mut damaged = body.clone();
            damaged[place] ^= flip;
            compare(header.clone(), damaged, &format!("byte {place} of the body by {flip:#x}"));
        }
        for (place, flip) in (0..header.len()).flat_map(|place| [(place, 0x01), (place, 0x80), (place, 0xff)]) {
            let mut damaged = header.clone();
            damaged[place] ^= flip;
            compare(damaged, body.clone(), &format!("byte {place} of the header by {flip:#x}"));
        }
    }

    #[test]
    fn a_count_of_nulls_below_none_is_refused_and_loses_none() {
        let rows = batch!("i" => Int64Array [Some(1), None, Some(3), None, Some(5)]);
        let frame = message(&rows);
        let node = [5_i64, 2].map(i64::to_le_bytes).concat();
        let place = frame.header.windows(node.len()).position(|bytes| bytes == node).expect("the column's node");
        let mut header = frame.header.to_vec();
        header[place + 8..place + 16].copy_from_slice(&(-1_i64).to_le_bytes());
        let damaged = Frame::new(header.into(), Bytes::new(), frame.body);
        let fault = Decoder::new(rows.schema()).decode(damaged).expect_err("refused");
        assert!(fault.message().contains("less than no rows or nulls"), "{fault:?}");
    }

    #[test]
    fn a_batch_without_rows_or_columns_is_read() {
        for rows in [flat_rows().slice(0, 0), RecordBatch::new_empty(Arc::new(Schema::empty()))] {
            let frame = message(&rows);
            let found = Decoder::new(rows.schema()).decode(frame).expect("good").expect("a batch");
            assert_eq!((found.num_rows(), found.schema()), (0, rows.schema()));
        }
    }
}
