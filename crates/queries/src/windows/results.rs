//! What a window computes, and how large it can get.

use crate::sizes::sizes;
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::window::{
    PlainAggregateWindowExpr, SlidingAggregateWindowExpr, StandardWindowExpr, StandardWindowFunctionExpr, WindowExpr,
};
use datafusion::physical_plan::windows::WindowUDFExpr;
use std::sync::Arc;

/// How large a value that a window gives for a row can be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Width {
    /// It is of so many bytes, whatever there is in the rows.
    Fixed(usize),
    /// It is one value of some row.
    Largest,
    /// It has the values of all rows.
    All,
    /// All together are the values of all rows.
    Own,
}

fn width(expr: &Arc<dyn WindowExpr>) -> Result<Width> {
    if let Some(bytes) = expr.field()?.data_type().primitive_width() {
        return Ok(Width::Fixed(bytes));
    }
    Ok(match function(expr) {
        "array_agg" | "string_agg" => Width::All,
        "lag" | "lead" => Width::Own,
        _ => Width::Largest,
    })
}

/// The name of its function.
fn function(expr: &Arc<dyn WindowExpr>) -> &str {
    match aggregate(expr) {
        Some(aggregate) => aggregate.fun().name(),
        None => standard(expr).map_or("", |standard| standard.fun().name()),
    }
}

fn aggregate(expr: &Arc<dyn WindowExpr>) -> Option<&AggregateFunctionExpr> {
    let any = expr.as_any();
    let plain = any.downcast_ref::<PlainAggregateWindowExpr>().map(|expr| expr.get_aggregate_expr());
    let sliding = any.downcast_ref::<SlidingAggregateWindowExpr>().map(|expr| expr.get_aggregate_expr());
    plain.or(sliding)
}

/// The function itself, if it is no aggregate.
fn standard(expr: &Arc<dyn WindowExpr>) -> Option<&WindowUDFExpr> {
    let standard = expr.as_any().downcast_ref::<StandardWindowExpr>()?;
    standard.get_standard_func_expr().as_any().downcast_ref::<WindowUDFExpr>()
}

/// Whether all rows of a partition are needed to know what it keeps, or what it makes.
pub(super) fn needs_partition(expr: &Arc<dyn WindowExpr>) -> bool {
    let gathers = matches!(width(expr), Ok(Width::All));
    gathers || Behind::of(expr) == Behind::Partition || aggregate(expr).is_some_and(grows)
}

/// Whether what an aggregate keeps grows with its rows: of those that are not known, it may.
fn grows(aggregate: &AggregateFunctionExpr) -> bool {
    const CONSTANT: [&str; 27] = [
        "avg",
        "bit_and",
        "bit_or",
        "bit_xor",
        "bool_and",
        "bool_or",
        "corr",
        "count",
        "covar_pop",
        "covar_samp",
        "first_value",
        "last_value",
        "max",
        "mean",
        "min",
        "regr_avgx",
        "regr_avgy",
        "regr_count",
        "regr_intercept",
        "regr_r2",
        "regr_slope",
        "stddev",
        "stddev_pop",
        "stddev_samp",
        "sum",
        "var",
        "var_pop",
    ];
    aggregate.is_distinct() || !CONSTANT.contains(&aggregate.fun().name())
}

/// The most bytes that are computed for so many rows, of which these are some: what was seen of their values so far goes along.
#[derive(Debug)]
pub(super) struct Results {
    expressions: Vec<(Arc<dyn WindowExpr>, Width)>,
}

impl Results {
    pub fn of(expressions: &[Arc<dyn WindowExpr>]) -> Result<Self> {
        let with_width = |expr: &Arc<dyn WindowExpr>| Ok((expr.clone(), width(expr)?));
        Ok(Self { expressions: expressions.iter().map(with_width).collect::<Result<_>>()? })
    }

    /// The bytes of the results of a row, if they are the same for all rows.
    pub fn fixed(&self) -> Option<usize> {
        self.expressions.iter().try_fold(0, |sum, (_, width)| match width {
            Width::Fixed(bytes) => Some(sum + bytes),
            _ => None,
        })
    }

    /// The bytes of one result, at most, for rows among these, and the bytes of all together besides.
    pub fn measure(&self, rows: &RecordBatch) -> Result<Measure> {
        let mut measure = Measure::default();
        for (expr, width) in &self.expressions {
            if let Width::Fixed(bytes) = width {
                measure.fixed += bytes;
                continue;
            }
            let mut values = vec![0_u64; rows.num_rows()];
            for argument in expr.evaluate_args(rows)? {
                values.iter_mut().zip(sizes(&argument)).for_each(|(all, one)| *all = all.saturating_add(one));
            }
            let all = values.iter().copied().fold(0, u64::saturating_add);
            match width {
                Width::Largest => {
                    measure.largest += usize::try_from(values.into_iter().max().unwrap_or(0)).unwrap_or(usize::MAX)
                }
                Width::All => {
                    let each = usize::try_from(all).unwrap_or(usize::MAX);
                    measure.gathered = each.saturating_mul(rows.num_rows()).saturating_add(measure.gathered);
                }
                _ => measure.together += usize::try_from(all).unwrap_or(usize::MAX),
            }
        }
        Ok(measure)
    }
}

/// How large results can be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measure {
    fixed: usize,
    pub largest: usize,
    /// What each has of all rows, for all of them.
    gathered: usize,
    together: usize,
}

impl Measure {
    /// Bytes of the results of so many rows, if each is as large as it can be.
    pub fn bytes(&self, rows: usize) -> usize {
        self.all(rows, 1)
    }

    /// The same, if few are: the largest is seldom that of all rows.
    pub fn likely(&self, rows: usize) -> usize {
        self.all(rows, 8)
    }

    fn all(&self, rows: usize, part: usize) -> usize {
        let largest = rows.saturating_mul(self.largest) / part;
        rows.saturating_mul(self.fixed)
            .saturating_add(largest)
            .saturating_add(self.gathered)
            .saturating_add(self.together)
    }
}

/// Which rows before the current one a window still looks at.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Behind {
    /// So many.
    Rows(u64),
    /// Those whose value is at most so much less, in the order of the rows.
    Range(ScalarValue),
    /// Maybe all of its partition.
    Partition,
}

impl Behind {
    pub fn of(expr: &Arc<dyn WindowExpr>) -> Self {
        match function(expr) {
            "lag" | "lead" => return shift(expr),
            // They keep all rows until they have found theirs.
            "nth_value" => return Self::Partition,
            _ if ignores_nulls(expr) => return Self::Partition,
            _ => {}
        }
        let frame = expr.get_window_frame();
        let distance = |bound: &WindowFrameBound| match bound {
            WindowFrameBound::Preceding(distance) if !distance.is_null() => Some(distance.clone()),
            _ => None,
        };
        // A frame may end before the current row.
        let Some(distance) = distance(&frame.start_bound).or(distance(&frame.end_bound)) else {
            return Self::Rows(0);
        };
        match frame.units {
            WindowFrameUnits::Rows => match distance.cast_to(&DataType::UInt64) {
                Ok(ScalarValue::UInt64(Some(rows))) => Self::Rows(rows),
                _ => Self::Partition,
            },
            WindowFrameUnits::Range => Self::Range(distance),
            WindowFrameUnits::Groups => Self::Partition,
        }
    }
}

/// Of a function that is no aggregate: it alone tells by its name.
fn ignores_nulls(expr: &Arc<dyn WindowExpr>) -> bool {
    standard(expr).is_some_and(|function| function.name().contains("IGNORE NULLS"))
}

/// How `lag` looks back.
fn shift(expr: &Arc<dyn WindowExpr>) -> Behind {
    let sign = match function(expr) {
        "lag" => 1,
        "lead" => -1,
        _ => return Behind::Rows(0),
    };
    let Some(function) = standard(expr) else { return Behind::Partition };
    if ignores_nulls(expr) {
        return Behind::Partition;
    }
    let Some(shift) = function.args().get(1) else { return Behind::Rows(1) };
    match shift.downcast_ref::<Literal>().map(|literal| literal.value().cast_to(&DataType::Int64)) {
        Some(Ok(ScalarValue::Int64(Some(rows)))) => Behind::Rows(u64::try_from(rows.saturating_mul(sign)).unwrap_or(0)),
        _ => Behind::Partition,
    }
}
