//! Parquet. Only the wanted columns are decoded, and of those the ones that the condition does not look at only where it
//! holds.

use super::{BATCH_BYTES, Batches, Wanted, damaged};
use crate::pages;
use crate::view::seen;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use flight_common::{BATCH_ROWS, Fault};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowFilter,
};
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use std::fs::File;

/// What the end of a file says.
///
/// # Errors
/// [`flight_common::FaultKind::BadData`] for what is no Parquet file.
pub fn metadata(path: &str, file: &File) -> Result<ArrowReaderMetadata, Fault> {
    metadata_with_pages(path, file, false)
}

fn metadata_with_pages(path: &str, file: &File, pages: bool) -> Result<ArrowReaderMetadata, Fault> {
    let options = ArrowReaderOptions::new().with_page_index_policy(if pages { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip });
    ArrowReaderMetadata::load(file, options).map_err(|error| damaged(path, error))
}

/// The columns, and the number of row groups.
///
/// # Errors
/// As [`metadata`].
pub fn look(path: &str, file: &File) -> Result<(SchemaRef, usize), Fault> {
    let metadata = metadata(path, file)?;
    Ok((metadata.schema().clone(), metadata.metadata().num_row_groups()))
}

/// The rows of a row group for which the condition holds, or those of all.
///
/// # Errors
/// As [`metadata`].
pub fn batches(path: &str, file: File, wanted: Wanted) -> Result<Batches, Fault> {
    let metadata = metadata_with_pages(path, &file, wanted.condition.is_some())?;
    let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
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
        let (mask, folders) = (mask(&condition.schema), wanted.folders);
        let holds = move |batch| {
            let rows = seen(&batch, &folders, &condition.schema)?;
            condition.holds(&rows)
        };
        let holds = move |batch| holds(batch).map_err(|fault: Fault| ArrowError::ExternalError(Box::new(fault)));
        builder = builder.with_row_filter(RowFilter::new(vec![Box::new(ArrowPredicateFn::new(mask, holds))]));
    }
    let reader = builder.build().map_err(|error| damaged(path, error))?;
    let (path, place) = (path.to_owned(), wanted.row_group);
    let named = move |error: ArrowError| match find(&error) {
        Some(fault) => fault,
        None => damaged(&path, place.map_or(String::new(), |place| format!("row group {place}: ")) + &error.to_string()),
    };
    Ok(Box::new(reader.map(move |batch| batch.map_err(&named))))
}

/// A fault of the condition, on its way through the reader.
fn find(error: &ArrowError) -> Option<Fault> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
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
    let bytes = usize::try_from(group.total_byte_size()).unwrap_or(0);
    let rows = usize::try_from(group.num_rows()).unwrap_or(0).max(1);
    (BATCH_BYTES / (bytes / rows).max(1)).clamp(1, BATCH_ROWS)
}
