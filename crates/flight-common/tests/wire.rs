//! The wire by itself: what is written is read, however the network cuts it; and what is wrong is told.

use arrow::array::RecordBatch;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_ipc::{CompressionType, root_as_message};
use bytes::Bytes;
use flight_common::testing::batch;
use flight_common::wire::{
    Decoder, Encoder, Ending, Frame, FrameBody, FrameReader, Gather, MAX_MESSAGE_BYTES, decode_stream, encode_stream,
};
use flight_common::{BatchStream, Fault, FaultKind, Parcel};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use tonic::body::Body;

fn rows(count: i64) -> RecordBatch {
    let numbers: Vec<Option<i64>> = (0..count).map(|n| (n % 7 != 0).then_some(n)).collect();
    let texts: Vec<Option<String>> = (0..count).map(|n| (n % 5 != 0).then(|| format!("text {n}"))).collect();
    batch!("n" => Int64Array numbers, "s" => StringArray texts)
}

/// The bytes of a request of these frames.
async fn sent(frames: impl Stream<Item = Result<Frame, Fault>> + Send + 'static) -> Bytes {
    FrameBody::new(frames, Ending::Reset).collect().await.expect("no fault").to_bytes()
}

/// The same bytes, arriving in pieces of `size`.
fn arriving(bytes: Bytes, size: usize) -> Body {
    let pieces: Vec<Bytes> = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
    let frames = pieces.into_iter().map(|piece| Ok::<_, tonic::Status>(http_body::Frame::data(piece)));
    Body::new(StreamBody::new(stream::iter(frames)))
}

#[tokio::test]
async fn what_is_written_is_read_however_the_network_cuts_it() {
    let whole = rows(3000);
    let source = BatchStream::from_batches(whole.schema(), vec![whole.slice(0, 1000), whole.slice(1000, 2000)]);
    let first = stream::once(async { Ok(Frame::describing(&b"{}"[..])) });
    let bytes = sent(first.chain(encode_stream(source, false))).await;
    for size in [1, 3, 64, 1000, 16_384, bytes.len()] {
        for gather in [Gather::Aligned, Gather::Pieces] {
            let mut frames = FrameReader::request(arriving(bytes.clone(), size), gather);
            let first = frames.next().await.expect("a frame").expect("good");
            assert_eq!(first.descriptor.expect("a descriptor").cmd, &b"{}"[..]);
            let schema = frames.next().await.expect("a frame").expect("good");
            let decoder = Decoder::from_schema_frame(&schema).expect("a schema");
            let read = decode_stream(decoder, frames).collect_rows().await.expect("rows");
            assert_eq!(read, whole, "{size} {gather:?}");
        }
    }
}

#[tokio::test]
async fn rows_are_counted_without_decoding() {
    let whole = rows(1234);
    let mut frames = Vec::new();
    Encoder::new(whole.schema()).expect("a schema").encode(&whole, &mut frames).expect("encoded");
    assert_eq!(frames.iter().map(Frame::rows).sum::<u64>(), 1234);
    assert_eq!(Encoder::schema_frame(&whole.schema()).expect("a schema").rows(), 0);
}

#[tokio::test]
async fn a_stream_cut_short_anywhere_is_a_fault() {
    let whole = rows(100);
    let source = BatchStream::from_batches(whole.schema(), vec![whole]);
    let bytes = sent(encode_stream(source, false)).await;
    for length in [1, 4, 5, 6, 40, bytes.len() / 2, bytes.len() - 1] {
        let frames = FrameReader::request(arriving(bytes.slice(..length), 100), Gather::Aligned);
        let fault = frames.try_collect::<Vec<_>>().await.expect_err("cut short");
        assert_eq!(fault.kind(), FaultKind::Upstream, "after {length} bytes");
    }
}

#[tokio::test]
async fn a_response_without_a_status_is_a_fault() {
    let whole = rows(10);
    let source = BatchStream::from_batches(whole.schema(), vec![whole]);
    let bytes = sent(encode_stream(source, false)).await;
    let frames = FrameReader::response(arriving(bytes, 100), Gather::Aligned);
    assert!(frames.try_collect::<Vec<_>>().await.is_err());
}

#[tokio::test]
async fn garbage_is_told_and_never_taken_for_rows() {
    for bytes in [
        &b"\x01\x00\x00\x00\x05hello"[..],       // compressed
        b"\x00\x00\x00\x00\x03\xff\xff\xff",     // a field without an end
        b"\x00\x00\x00\x00\x04\x12\x7f\x00\x00", // a field longer than its message
        b"\x00\x00\x00\x00\x02\x0f\x00",         // an unknown wire type
    ] {
        let frames = FrameReader::request(arriving(Bytes::from_static(bytes), 3), Gather::Aligned);
        let fault = frames.try_collect::<Vec<_>>().await.expect_err("garbage");
        assert_eq!(fault.kind(), FaultKind::BadData, "{bytes:?}: {fault}");
    }
    let mut decoder = Decoder::new(rows(1).schema());
    let nonsense = Frame::new(Bytes::from_static(b"not a flatbuffer"), Bytes::new(), vec![]);
    assert_eq!(decoder.decode(nonsense).expect_err("nonsense").kind(), FaultKind::BadData);
    let headless = Frame::new(Bytes::new(), Bytes::new(), vec![Bytes::from_static(b"rows")]);
    assert_eq!(decoder.decode(headless).expect_err("rows that nobody can read").kind(), FaultKind::BadData);
    assert_eq!(decoder.decode(Frame::metadata(&b"{}"[..])), Ok(None));
}

#[test]
fn a_damaged_schema_is_a_fault_wherever_it_is_damaged() {
    let header = Encoder::schema_frame(&rows(1).schema()).expect("a schema").header;
    let mut refused = 0;
    for place in 0..header.len() {
        for value in [0, 1, 7, 127, 255] {
            let mut damaged = header.to_vec();
            damaged[place] = value;
            match Decoder::from_schema_frame(&Frame::new(damaged.into(), Bytes::new(), vec![])) {
                Ok(_) => {}
                Err(fault) => {
                    assert_eq!(fault.kind(), FaultKind::BadData, "{value} at {place}: {fault}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > header.len(), "{refused} of {}", header.len() * 5);
}

#[tokio::test]
async fn a_message_too_large_to_take_is_refused_before_it_is_read() {
    let mut bytes = vec![0];
    bytes.extend((700_u32 << 20).to_be_bytes());
    bytes.extend([0xc2, 0x3e]); // the body's tag
    prost::encoding::encode_varint(699 << 20, &mut bytes);
    let frames = FrameReader::request(arriving(bytes.into(), 1000), Gather::Aligned);
    let fault = frames.try_collect::<Vec<_>>().await.expect_err("too large");
    assert!(fault.message().contains("699 MiB") && fault.help_text().is_some(), "{fault}");
}

#[test]
fn compressed_rows_that_claim_to_be_enormous_are_refused_before_memory_is_asked_for() {
    let (whole, mut stream) = (rows(2000), Vec::new());
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).expect("known");
    let mut writer = StreamWriter::try_new_with_options(&mut stream, &whole.schema(), options).expect("begun");
    writer.write(&whole).and_then(|()| writer.finish()).expect("written");
    // Each message: a marker, the length of its header, the header, the body.
    let mut rest = Bytes::from(stream);
    let mut message = || {
        let length = u32::from_le_bytes(rest[4..8].try_into().expect("four bytes")) as usize;
        let (header, after) = (rest.slice(8..8 + length), rest.slice(8 + length..));
        let body = root_as_message(&header).expect("a message").bodyLength() as usize;
        rest = after.slice(body..);
        (header, after.slice(..body))
    };
    let ((schema, _), (header, body)) = (message(), message());
    let decoder = || Decoder::from_schema_frame(&Frame::new(schema.clone(), Bytes::new(), vec![])).expect("a schema");
    let decode = |body: Bytes| decoder().decode(Frame::new(header.clone(), Bytes::new(), vec![body]));
    assert_eq!(decode(body.clone()), Ok(Some(whole)));
    let buffers = root_as_message(&header).expect("a message").header_as_record_batch().and_then(|rows| rows.buffers());
    let values = buffers.expect("buffers").get(1).offset() as usize;
    for claimed in [i64::MAX, 1 << 40, MAX_MESSAGE_BYTES as i64 + 1] {
        let mut wrong = body.to_vec();
        wrong[values..values + 8].copy_from_slice(&claimed.to_le_bytes());
        let fault = decode(wrong.into()).expect_err("refused");
        assert_eq!(fault.kind(), FaultKind::BadData);
        assert!(fault.message().contains("once it is decompressed"), "{fault}");
    }
}

#[tokio::test]
async fn a_schema_that_changes_in_the_middle_is_refused() {
    let other = batch!("x" => Float64Array [1.0]);
    let mut decoder = Decoder::new(rows(1).schema());
    let changed = Encoder::schema_frame(&other.schema()).expect("a schema");
    assert_eq!(decoder.decode(changed).expect_err("another schema").kind(), FaultKind::BadSchema);
}

#[tokio::test]
async fn a_fault_resets_a_request_and_closes_a_response_with_its_status() {
    let failing = || stream::iter([Ok(Frame::metadata(&b"x"[..])), Err(Fault::bad_data("broken").row(7))]);
    assert!(FrameBody::new(failing(), Ending::Reset).collect().await.is_err());
    let body = Body::new(FrameBody::new(failing(), Ending::Status));
    let mut frames = FrameReader::response(body, Gather::Aligned);
    assert!(frames.next().await.expect("the first").is_ok());
    let fault = frames.next().await.expect("the fault").expect_err("the fault");
    assert_eq!((fault.kind(), fault.row_number()), (FaultKind::BadData, Some(7)));
}

#[tokio::test]
async fn a_message_apart_lies_alone_and_holds_the_same_rows() {
    let whole = rows(800_000);
    let frames: Vec<Frame> = encode_stream(BatchStream::from_batches(whole.schema(), vec![whole.clone()]), false)
        .and_then(|frame| async { frame.apart() })
        .try_collect()
        .await
        .expect("encoded");
    assert!(frames.len() > 3, "the batch is cut");
    assert!(frames.iter().all(|frame| frame.body.len() <= 1), "each body is one piece");
    let decoder = Decoder::from_schema_frame(&frames[0]).expect("a schema");
    let read =
        decode_stream(decoder, stream::iter(frames.into_iter().skip(1).map(Ok))).collect_rows().await.expect("rows");
    assert_eq!(read, whole);
}
