//! Conditions of joins over views.

use super::written::pieces;
use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{JoinSide, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::utils::JoinFilter;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A condition over views, which sees what it was made for.
pub(super) fn over(filter: &JoinFilter, left: &Arc<dyn ExecutionPlan>, right: &Arc<dyn ExecutionPlan>) -> JoinFilter {
    let (left, right) = (left.schema(), right.schema());
    let fields = filter.schema().fields().iter().zip(filter.column_indices()).map(|(field, column)| {
        let data_type = match column.side {
            JoinSide::Left => left.field(column.index).data_type(),
            JoinSide::Right => right.field(column.index).data_type(),
            JoinSide::None => field.data_type(),
        };
        Arc::new(Field::clone(field).with_data_type(data_type.clone()))
    });
    let viewing = Arc::new(Schema::new(fields.collect::<Vec<FieldRef>>()));
    let condition = Condition { inner: filter.expression().clone(), schema: filter.schema().clone() };
    JoinFilter::new(Arc::new(condition), filter.column_indices().to_vec(), viewing)
}

/// A condition that is looked at for some rows after the other, each written out.
#[derive(Debug)]
struct Condition {
    inner: Arc<dyn PhysicalExpr>,
    /// The columns that it knows.
    schema: SchemaRef,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Condition {}

impl Hash for Condition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl PhysicalExpr for Condition {
    fn data_type(&self, _schema: &Schema) -> Result<DataType> {
        self.inner.data_type(&self.schema)
    }

    fn nullable(&self, _schema: &Schema) -> Result<bool> {
        self.inner.nullable(&self.schema)
    }

    fn return_field(&self, _schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(&self.schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let holds = pieces(batch, &self.schema).map(|piece| {
            let piece = piece?;
            self.inner.evaluate(&piece)?.into_array(piece.num_rows())
        });
        let mut holds: Vec<ArrayRef> = holds.collect::<Result<_>>()?;
        if holds.len() > 1 {
            holds = vec![concat(&holds.iter().map(|part| part.as_ref()).collect::<Vec<_>>())?];
        }
        Ok(ColumnarValue::Array(holds.pop().unwrap_or_else(|| Arc::new(BooleanArray::from(Vec::<bool>::new())))))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self { inner: children.swap_remove(0), schema: self.schema.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
