//! Which row groups of a Parquet file, or which files, can hold no row for which the condition holds.
//!
//! Of a row group its statistics tell smallest and largest values; of a file in a folder `year=2024` the folder tells
//! both. Where they do not tell, it is read. They do not tell of floats: no statistics count NaN, which is larger than
//! every number where conditions are computed. Nor do those of old writers, which sorted texts and unsigned numbers in
//! another way.

use crate::condition::Condition;
use crate::view::FolderValue;
use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array, UInt64Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_optimizer::pruning::{PruningPredicateBuilder, PruningStatistics};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::RowGroupMetaData;
use std::collections::HashSet;
use std::sync::Arc;

/// Which of the row groups of a file may hold such rows; of a file without any, whether the file may.
pub fn may_hold(condition: &Condition, folders: &[FolderValue], parquet: Option<&ArrowReaderMetadata>) -> Vec<bool> {
    let known = Known { schema: &condition.schema, folders, parquet };
    let all = vec![true; known.num_containers()];
    let predicate = PruningPredicateBuilder::new().with_file_schema(condition.schema.clone());
    // What cannot be pruned by is read.
    match predicate.build(condition.bounds.clone()) {
        Some(predicate) => predicate.prune(&known).unwrap_or(all),
        None => all,
    }
}

/// What is known before any row is read.
struct Known<'a> {
    schema: &'a Schema,
    folders: &'a [FolderValue],
    parquet: Option<&'a ArrowReaderMetadata>,
}

impl<'a> Known<'a> {
    fn folder(&self, column: &Column) -> Option<&ArrayRef> {
        self.folders.iter().find(|(name, _)| name == column.name()).map(|(_, value)| value)
    }

    fn repeated(&self, value: &ArrayRef) -> Option<ArrayRef> {
        take(value, &UInt32Array::from_value(0, self.num_containers()), None).ok()
    }

    fn groups(&self) -> &'a [RowGroupMetaData] {
        self.parquet.map_or(&[], |parquet| parquet.metadata().row_groups())
    }

    fn converter(&self, column: &Column) -> Option<StatisticsConverter<'a>> {
        let parquet = self.parquet?;
        let converter = StatisticsConverter::try_new(column.name(), parquet.schema(), parquet.parquet_schema()).ok()?;
        // A count that is not there is not zero.
        Some(converter.with_missing_null_counts_as_zero(false))
    }

    /// Values at one end of each container, in the type of the result, which may be wider than that of this file.
    fn bounds<F>(&self, column: &Column, of_groups: F) -> Option<ArrayRef>
    where
        F: FnOnce(&StatisticsConverter<'a>, &'a [RowGroupMetaData]) -> ParquetResult<ArrayRef>,
    {
        if let Some(value) = self.folder(column) {
            return self.repeated(value);
        }
        let converter = self.converter(column)?;
        if !are_sorted_alike(&converter, self.groups()) {
            return None;
        }
        let values = of_groups(&converter, self.groups()).ok()?;
        let wanted = self.schema.field_with_name(column.name()).ok()?.data_type();
        cast(&values, wanted).ok().filter(|cast| cast.null_count() == values.null_count())
    }
}

/// Whether the statistics of a column sort its values as conditions compare them.
pub fn are_sorted_alike(converter: &StatisticsConverter<'_>, groups: &[RowGroupMetaData]) -> bool {
    let Some(place) = converter.parquet_column_index() else { return false };
    let of_old = |group: &RowGroupMetaData| {
        group
            .columns()
            .get(place)
            .and_then(|column| column.statistics())
            .is_some_and(|found| found.is_min_max_deprecated())
    };
    !is_float(converter.arrow_field().data_type()) && !groups.iter().any(of_old)
}

fn is_float(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_float(values),
        other => other.is_floating(),
    }
}

impl PruningStatistics for Known<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |converter, groups| converter.row_group_mins(groups))
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |converter, groups| converter.row_group_maxes(groups))
    }

    fn num_containers(&self) -> usize {
        self.parquet.map_or(1, |parquet| parquet.metadata().num_row_groups())
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        if let Some(value) = self.folder(column) {
            // With `row_counts` unknown, it only tells whether there are nulls at all.
            let nulls = UInt64Array::from_value(u64::from(value.is_null(0)), self.num_containers());
            return Some(Arc::new(nulls));
        }
        let counts: UInt64Array = self.converter(column)?.row_group_null_counts(self.groups()).ok()?;
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        self.parquet?;
        let rows = self.groups().iter().map(|group| u64::try_from(group.num_rows()).ok());
        Some(Arc::new(rows.collect::<UInt64Array>()))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
