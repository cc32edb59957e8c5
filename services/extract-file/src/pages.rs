//! Which rows of a row group lie in pages that may hold what the condition wants.
//!
//! The page index of a Parquet file tells smallest and largest values of each page of each column. Pages of two columns
//! do not end at the same rows, so each part of the condition that looks at one column rules out pages of that column
//! alone, and the rows that remain are those that no part rules out.

use crate::condition::Condition;
use crate::prune::are_sorted_alike;
use crate::view::FolderValue;
use arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_optimizer::pruning::{PruningPredicateBuilder, PruningStatistics};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, RowSelection, RowSelector};
use parquet::file::metadata::{ParquetColumnIndex, ParquetOffsetIndex};
use std::collections::HashSet;
use std::sync::Arc;

/// The rows of a row group that may match, or nothing where no page can be ruled out.
pub fn selection(
    condition: &Condition,
    folders: &[FolderValue],
    parquet: &ArrowReaderMetadata,
    group: usize,
) -> Option<RowSelection> {
    let parts = split_conjunction(&condition.bounds);
    let ruled = parts.into_iter().filter_map(|part| {
        let column = only_column(part)?;
        // What a folder says goes before what the file does.
        let of_folder = folders.iter().any(|(name, _)| *name == column);
        if of_folder { None } else { ruled_by(part, &column, condition, parquet, group) }
    });
    ruled.reduce(|one, other| one.intersection(&other))
}

/// The column that a part of the condition looks at, if there is only one.
fn only_column(part: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let columns = collect_columns(part);
    let mut columns = columns.iter();
    match (columns.next(), columns.next()) {
        (Some(only), None) => Some(only.name().to_owned()),
        _ => None,
    }
}

/// The rows that a part of the condition leaves.
fn ruled_by(
    part: &Arc<dyn PhysicalExpr>,
    column: &str,
    condition: &Condition,
    parquet: &ArrowReaderMetadata,
    group: usize,
) -> Option<RowSelection> {
    let wanted = condition.schema.field_with_name(column).ok()?.data_type().clone();
    let pages = Pages::new(column, wanted, parquet, group)?;
    let predicate = PruningPredicateBuilder::new().with_file_schema(condition.schema.clone()).build(part.clone())?;
    let may_hold = predicate.prune(&pages).ok()?;
    if may_hold.iter().all(|may_hold| *may_hold) {
        return None;
    }
    let selector = |(rows, may_hold): (&usize, &bool)| RowSelector { row_count: *rows, skip: !may_hold };
    Some(pages.rows.iter().zip(&may_hold).map(selector).collect::<Vec<_>>().into())
}

/// The pages of one column of one row group.
struct Pages<'a> {
    converter: StatisticsConverter<'a>,
    /// The type of the column in the result, which may be wider than that of this file.
    wanted: DataType,
    group: usize,
    values: &'a ParquetColumnIndex,
    places: &'a ParquetOffsetIndex,
    /// The rows of each.
    rows: Vec<usize>,
}

impl<'a> Pages<'a> {
    fn new(name: &str, wanted: DataType, parquet: &'a ArrowReaderMetadata, group: usize) -> Option<Self> {
        let converter = StatisticsConverter::try_new(name, parquet.schema(), parquet.parquet_schema()).ok()?;
        let column = converter.parquet_column_index()?;
        let metadata = parquet.metadata();
        if !are_sorted_alike(&converter, metadata.row_groups()) {
            return None;
        }
        let (values, places) = (metadata.column_index()?, metadata.offset_index()?);
        values.get(group)?.get(column)?;
        let starts = places.get(group)?.get(column)?.page_locations().iter().map(|page| page.first_row_index);
        let rows = lengths(starts.collect(), metadata.row_groups().get(group)?.num_rows())?;
        Some(Self { converter, wanted, group, values, places, rows })
    }

    fn typed(&self, values: ArrayRef) -> Option<ArrayRef> {
        if values.len() != self.rows.len() {
            return None;
        }
        cast(&values, &self.wanted).ok().filter(|cast| cast.null_count() == values.null_count())
    }
}

/// The lengths of parts that begin at these rows, the first of them at 0, the last of which ends at `end`.
fn lengths(starts: Vec<i64>, end: i64) -> Option<Vec<usize>> {
    if starts.first() != Some(&0) {
        return None;
    }
    let ends = starts.iter().skip(1).chain([&end]);
    starts.iter().zip(ends).map(|(start, end)| usize::try_from(end.checked_sub(*start)?).ok()).collect()
}

impl PruningStatistics for Pages<'_> {
    fn min_values(&self, _column: &Column) -> Option<ArrayRef> {
        self.typed(self.converter.data_page_mins(self.values, self.places, [&self.group]).ok()?)
    }

    fn max_values(&self, _column: &Column) -> Option<ArrayRef> {
        self.typed(self.converter.data_page_maxes(self.values, self.places, [&self.group]).ok()?)
    }

    fn num_containers(&self) -> usize {
        self.rows.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        let counts = self.converter.data_page_null_counts(self.values, self.places, [&self.group]).ok()?;
        (counts.len() == self.rows.len()).then(|| Arc::new(counts) as ArrayRef)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.rows.iter().map(|rows| *rows as u64).collect::<UInt64Array>()))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, RecordBatch};
    use flight_common::testing::batch;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ArrowReaderOptions;
    use parquet::file::metadata::PageIndexPolicy;
    use parquet::file::properties::WriterProperties;

    /// One row group in pages of 100 rows.
    fn written(rows: &RecordBatch) -> ArrowReaderMetadata {
        let properties = WriterProperties::builder()
            .set_data_page_row_count_limit(100)
            .set_write_batch_size(100)
            .set_dictionary_enabled(false);
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties.build())).expect("a writer");
        writer.write(rows).expect("written");
        writer.close().expect("closed");
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        ArrowReaderMetadata::load(&bytes::Bytes::from(bytes), options).expect("a file")
    }

    #[test]
    fn pages_of_each_column_are_ruled_out_by_the_parts_that_look_at_it() {
        let numbers: Vec<i64> = (0..1000).collect();
        let back: Vec<i64> = numbers.iter().rev().copied().collect();
        let floats: Vec<f64> = numbers.iter().map(|number| *number as f64).collect();
        let rows = batch!("n" => Int64Array numbers, "m" => Int64Array back, "x" => Float64Array floats);
        let parquet = written(&rows);
        for (condition, left) in [
            ("n >= 250", Some(800)),
            ("n >= 250 AND m >= 650", Some(200)),
            ("n = 5 OR n = 995", Some(200)),
            ("n IN (5, 6)", Some(100)),
            ("n > 2000", Some(0)),
            ("n + m > 2000", None),
            ("n >= 0", None),
            // There might be NaN among them.
            ("x > 990", None),
        ] {
            let compiled = Condition::compile(condition, &rows.schema()).expect(condition);
            let found = selection(&compiled, &[], &parquet, 0).map(|rows| rows.row_count());
            assert_eq!(found, left, "{condition}");
        }
        let compiled = Condition::compile("n >= 250", &rows.schema()).expect("a condition");
        let folder = [("n".to_owned(), Arc::new(Int64Array::from(vec![300])) as ArrayRef)];
        assert_eq!(selection(&compiled, &folder, &parquet, 0), None);
    }

    #[test]
    fn an_index_that_cannot_be_is_not_used() {
        assert_eq!(lengths(vec![0, 10, 30], 35), Some(vec![10, 20, 5]));
        for (starts, end) in [(vec![], 5), (vec![1, 3], 5), (vec![0, 7], 5), (vec![0, i64::MIN], 5)] {
            assert_eq!(lengths(starts, end), None);
        }
    }

    #[test]
    fn pages_of_nulls_are_ruled_out() {
        let values: Int64Array = (0..400).map(|row| (row >= 200).then_some(row)).collect();
        let rows = flight_common::testing::make_batch(vec![("n", Arc::new(values) as ArrayRef)]);
        let parquet = written(&rows);
        for (condition, left) in [("n IS NULL", 200), ("n IS NOT NULL", 200), ("n < 250", 100)] {
            let compiled = Condition::compile(condition, &rows.schema()).expect(condition);
            assert_eq!(selection(&compiled, &[], &parquet, 0).map(|rows| rows.row_count()), Some(left), "{condition}");
        }
    }
}
