//! Parquet. Only the wanted columns are decoded, and of those the ones that the condition does not look at only where it
//! holds.

use super::{BATCH_BYTES, Batches, Look, Wanted, damaged};
use crate::pages;
use crate::view::seen;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use flight_common::{BATCH_ROWS, Fault};
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowFilter,
};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ProjectionMask};
use parquet::basic::{Compression, ConvertedType};
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, RowGroupMetaData};
use std::error::Error;
use std::fs::File;

/// What the end of a file says.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for what is no Parquet file.
pub fn metadata(path: &str, file: &File) -> Result<ArrowReaderMetadata, Fault> {
    metadata_with_pages(path, file, false)
}

fn metadata_with_pages(path: &str, file: &File, pages: bool) -> Result<ArrowReaderMetadata, Fault> {
    let options = ArrowReaderOptions::new().with_page_index_policy(if pages {
        PageIndexPolicy::Optional
    } else {
        PageIndexPolicy::Skip
    });
    let metadata = ArrowReaderMetadata::load(file, options).map_err(|error| damaged(path, error))?;
    check_codecs(path, &metadata)?;
    Ok(metadata)
}

/// Of the codecs that Parquet has, one is not built in.
fn check_codecs(path: &str, metadata: &ArrowReaderMetadata) -> Result<(), Fault> {
    let mut chunks = metadata.metadata().row_groups().iter().flat_map(RowGroupMetaData::columns);
    if chunks.any(|chunk| chunk.compression() == Compression::LZO) {
        return Err(Fault::bad_data(format!("{path} is compressed with lzo, which is not read here"))
            .help("write it with zstd, snappy, gzip, brotli or lz4"));
    }
    Ok(())
}

/// The columns, and the number of row groups.
///
/// # Errors
/// As [`metadata`].
pub fn look(path: &str, file: &File) -> Result<Look, Fault> {
    let metadata = metadata(path, file)?;
    let row_groups = Some(metadata.metadata().num_row_groups());
    Ok(Look { row_groups, ..Look::at(metadata.schema().clone()) })
}

/// The rows of a row group for which the condition holds, or those of all.
///
/// # Errors
/// As [`metadata`].
pub fn batches(path: &str, file: File, wanted: Wanted) -> Result<Batches, Fault> {
    let metadata = metadata_with_pages(path, &file, wanted.condition.is_some())?;
    let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
    refuse_intervals(path, &metadata, &wanted)?;
    let groups = metadata.metadata().row_groups();
    let group = wanted.row_group.and_then(|place| groups.get(place));
    let rows = group.or(groups.first()).map_or(BATCH_ROWS, batch_rows);
    let mask = |schema: &Schema| {
        let names = |place: &usize| schema.field_with_name(metadata.schema().field(*place).name()).is_ok();
        let places = (0..metadata.schema().fields().len()).filter(names);
        ProjectionMask::roots(metadata.parquet_schema(), places)
    };
    builder = builder.with_projection(mask(&wanted.selected)).with_batch_size(rows);
    if let Some(group) = wanted.row_group {
        builder = builder.with_row_groups(vec![group]);
    }
    if let (Some(condition), Some(group)) = (&wanted.condition, wanted.row_group)
        && let Some(rows) = pages::selection(condition, &wanted.folders, &metadata, group)
    {
        builder = builder.with_row_selection(rows);
    }
    if let Some(condition) = wanted.condition {
        let (mask, folders, path) = (mask(&condition.schema), wanted.folders, path.to_owned());
        let holds = move |batch| {
            let rows = seen(&batch, &folders, &condition.schema)?;
            condition.holds(&rows, &path)
        };
        let holds = move |batch| holds(batch).map_err(|fault: Fault| ArrowError::ExternalError(Box::new(fault)));
        builder = builder.with_row_filter(RowFilter::new(vec![Box::new(ArrowPredicateFn::new(mask, holds))]));
    }
    // The condition is computed here, for the whole row group.
    let group = wanted.row_group;
    let reader = builder.build().map_err(|error| explained(path, group, &error))?;
    let path = path.to_owned();
    Ok(Box::new(reader.map(move |batch| batch.map_err(|error| explained(&path, group, &error)))))
}

/// The intervals of Parquet have months, days and milliseconds, and the reader drops the months: only what Arrow has written
/// as days and milliseconds is whole.
fn refuse_intervals(path: &str, metadata: &ArrowReaderMetadata, wanted: &Wanted) -> Result<(), Fault> {
    let told = metadata.metadata().file_metadata().key_value_metadata();
    if told.is_some_and(|told| told.iter().any(|one| one.key == ARROW_SCHEMA_META_KEY)) {
        return Ok(());
    }
    let leaves = metadata.parquet_schema();
    for leaf in 0..leaves.num_columns() {
        let name = metadata.schema().field(leaves.get_column_root_idx(leaf)).name();
        let is_read = wanted.selected.field_with_name(name).is_ok()
            || wanted.condition.as_ref().is_some_and(|condition| condition.schema.field_with_name(name).is_ok());
        if is_read && leaves.column(leaf).converted_type() == ConvertedType::INTERVAL {
            return Err(Fault::bad_data(format!("{path}: the column \"{name}\" holds intervals with months"))
                .column(name)
                .help("leave it out by `select`, or write it as a number or a text"));
        }
    }
    Ok(())
}

fn explained(path: &str, group: Option<usize>, error: &(dyn Error + 'static)) -> Fault {
    let place = group.map_or(String::new(), |group| format!("row group {group}: "));
    find(error).unwrap_or_else(|| damaged(path, format!("{place}{error}")))
}

/// A fault of the condition, on its way through the reader.
fn find(error: &(dyn Error + 'static)) -> Option<Fault> {
    let mut next = Some(error);
    while let Some(here) = next {
        if let Some(fault) = here.downcast_ref::<Fault>() {
            return Some(fault.clone());
        }
        next = here.source();
    }
    None
}

/// As many rows as make a batch.
fn batch_rows(group: &RowGroupMetaData) -> usize {
    let bytes: i64 = group.columns().iter().map(decoded_bytes).fold(0, i64::saturating_add);
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let rows = usize::try_from(group.num_rows()).unwrap_or(0).max(1);
    (BATCH_BYTES / (bytes / rows).max(1)).clamp(1, BATCH_ROWS)
}

/// What a column takes when it is decoded: a text that comes often is written only once.
fn decoded_bytes(column: &ColumnChunkMetaData) -> i64 {
    column.unencoded_byte_array_data_bytes().unwrap_or_default().max(column.uncompressed_size()).max(0)
}
