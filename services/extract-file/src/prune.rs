//! Which row groups of a Parquet file, or which files, can hold no row for which the condition holds.
//!
//! Of a row group its statistics tell smallest and largest values; of a file in a folder `year=2024` the folder tells
//! both. Where they do not tell, it is read.

use crate::condition::Condition;
use crate::view::FolderValue;
use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array, UInt64Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningStatistics};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use std::collections::HashSet;
use std::sync::Arc;

/// Which of the row groups of a file may hold such rows; of a file without any, whether the file may.
pub fn may_hold(condition: &Condition, folders: &[FolderValue], parquet: Option<&ArrowReaderMetadata>) -> Vec<bool> {
    let known = Known { schema: &condition.schema, folders, parquet };
    let all = vec![true; known.num_containers()];
    // What cannot be pruned by is read.
    let Ok(predicate) = PruningPredicate::try_new(condition.expression.clone(), condition.schema.clone()) else {
        return all;
    };
    predicate.prune(&known).unwrap_or(all)
}

/// What is known before any row is read.
struct Known<'a> {
    schema: &'a Schema,
    folders: &'a [FolderValue],
    parquet: Option<&'a ArrowReaderMetadata>,
}

impl Known<'_> {
    fn folder(&self, column: &Column) -> Option<&ArrayRef> {
        self.folders.iter().find(|(name, _)| name == column.name()).map(|(_, value)| value)
    }

    fn repeated(&self, value: &ArrayRef) -> Option<ArrayRef> {
        take(value, &UInt32Array::from_value(0, self.num_containers()), None).ok()
    }

    fn converter(&self, column: &Column) -> Option<(StatisticsConverter<'_>, &ArrowReaderMetadata)> {
        let parquet = self.parquet?;
        let converter = StatisticsConverter::try_new(column.name(), parquet.schema(), parquet.parquet_schema()).ok()?;
        Some((converter, parquet))
    }

    /// In the type of the result, which may be wider than that of this file.
    fn typed(&self, column: &Column, values: &ArrayRef) -> Option<ArrayRef> {
        let wanted: &DataType = self.schema.field_with_name(column.name()).ok()?.data_type();
        cast(values, wanted).ok().filter(|cast| cast.null_count() == values.null_count())
    }
}

impl PruningStatistics for Known<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        if let Some(value) = self.folder(column) {
            return self.repeated(value);
        }
        let (converter, parquet) = self.converter(column)?;
        self.typed(column, &converter.row_group_mins(parquet.metadata().row_groups()).ok()?)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        if let Some(value) = self.folder(column) {
            return self.repeated(value);
        }
        let (converter, parquet) = self.converter(column)?;
        self.typed(column, &converter.row_group_maxes(parquet.metadata().row_groups()).ok()?)
    }

    fn num_containers(&self) -> usize {
        self.parquet.map_or(1, |parquet| parquet.metadata().num_row_groups())
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        if self.folder(column).is_some() {
            return None;
        }
        let (converter, parquet) = self.converter(column)?;
        let counts: UInt64Array = converter.row_group_null_counts(parquet.metadata().row_groups()).ok()?;
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let groups = self.parquet?.metadata().row_groups();
        let rows = groups.iter().map(|group| u64::try_from(group.num_rows()).ok());
        Some(Arc::new(rows.collect::<UInt64Array>()))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
