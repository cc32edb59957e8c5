//! Aggregates of floats in windows whose frames move on: `sum(f) OVER (ORDER BY n ROWS 2 PRECEDING)`.
//!
//! DataFusion (55.2) subtracts what leaves a frame. An infinity that was in it once leaves a NaN for ever, and beside a large number
//! that came and went the small ones are lost. Here nothing is subtracted: what is known of the rows of a frame is put together
//! from what is known of the older and of the newer ones. When the last of the older ones has left, the newer ones become the
//! older ones, so that each row is touched three times, however long the frame is.

mod level;
mod moments;

use self::level::Fit;
use self::moments::{Line, Measure, Moments, Of};
use crate::errand::{self, WORTH_BOOKING};
use crate::inherited::inherited;
use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl};
use std::mem::{self, size_of, size_of_val};
use std::sync::Arc;

/// Replaces the aggregates of floats among these that are nothing else to us.
pub(crate) fn slide_exactly(functions: &mut [Arc<AggregateUDF>]) {
    const NAMES: [&str; 7] = ["corr", "covar_pop", "covar_samp", "stddev", "stddev_pop", "var", "var_pop"];
    let is_ours = |name: &str| NAMES.contains(&name) || Line::of(name).is_some();
    for function in functions.iter_mut().filter(|function| is_ours(function.name())) {
        *function = Arc::new(AggregateUDF::new_from_impl(Slides { inner: function.as_ref().clone() }));
    }
}

/// What computes an aggregate of frames that move on, if it is one of floats.
pub(crate) fn sliding(name: &str, args: &AccumulatorArgs) -> Option<Box<dyn Accumulator>> {
    let measure = match name {
        "sum" => Measure::Sum,
        "avg" => Measure::Mean,
        "var" => Measure::Variance(Of::Sample),
        "var_pop" => Measure::Variance(Of::Population),
        "stddev" => Measure::Deviation(Of::Sample),
        "stddev_pop" => Measure::Deviation(Of::Population),
        "covar_samp" => Measure::Covariance(Of::Sample),
        "covar_pop" => Measure::Covariance(Of::Population),
        "corr" => Measure::Correlation,
        _ => Measure::Regression(Line::of(name)?),
    };
    let are_floats = args.expr_fields.iter().all(|field| *field.data_type() == DataType::Float64);
    let takes = are_floats && *args.return_type() == DataType::Float64 && !args.is_distinct;
    takes.then(|| Box::new(Sliding::new(measure)) as Box<dyn Accumulator>)
}

/// An aggregate with an accumulator of its own for frames that move on (and `regr_r2` for others, too).
#[derive(Debug, PartialEq, Eq, Hash)]
struct Slides {
    inner: AggregateUDF,
}

impl AggregateUDFImpl for Slides {
    inherited!(
        name,
        aliases,
        signature,
        return_type,
        state_fields,
        groups_accumulator_supported,
        create_groups_accumulator,
        documentation
    );

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let inner = self.inner.accumulator(args)?;
        if self.name() == "regr_r2" {
            return Ok(Box::new(Fit { inner }));
        }
        Ok(inner)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match sliding(self.name(), &args) {
            Some(sliding) => Ok(sliding),
            None => self.inner.create_sliding_accumulator(args),
        }
    }
}

/// The rows of a frame, which leave it in the order in which they came.
#[derive(Debug)]
struct Sliding {
    measure: Measure,
    /// Of each of the older rows, the last of which came first, and all that came after it among them.
    older: Vec<Moments>,
    newer: Vec<(f64, f64)>,
    of_newer: Moments,
    /// Long frames are in the query's books.
    booked: Option<MemoryReservation>,
}

impl Sliding {
    fn new(measure: Measure) -> Self {
        Self { measure, older: Vec::new(), newer: Vec::new(), of_newer: Moments::default(), booked: None }
    }

    fn come(&mut self, x: f64, y: f64) {
        self.newer.push((x, y));
        self.of_newer = self.of_newer.with(Moments::of(x, y));
    }

    fn leave(&mut self) {
        if self.older.is_empty() {
            let mut later = Moments::default();
            let newer = mem::take(&mut self.newer);
            self.older = Vec::with_capacity(newer.len());
            for (x, y) in newer.into_iter().rev() {
                later = Moments::of(x, y).with(later);
                self.older.push(later);
            }
            self.of_newer = Moments::default();
        }
        self.older.pop();
    }

    /// Books what the rows take, if they are many.
    fn book(&mut self) -> Result<()> {
        let bytes = self.kept();
        let booked = self.booked.as_ref().map_or(0, MemoryReservation::size);
        if bytes == booked || (booked == 0 && bytes < WORTH_BOOKING) {
            return Ok(());
        }
        if self.booked.is_none() {
            self.booked = errand::book("floats in the frames of a window");
        }
        self.booked.as_ref().map_or(Ok(()), |booked| booked.try_resize(bytes))
    }

    fn kept(&self) -> usize {
        self.older.capacity() * size_of::<Moments>() + self.newer.capacity() * size_of::<(f64, f64)>()
    }

    fn all(&self) -> Moments {
        self.older.last().copied().unwrap_or_default().with(self.of_newer)
    }
}

/// The rows that count: those without a null.
fn rows(values: &[ArrayRef]) -> impl Iterator<Item = (f64, f64)> {
    let x = values[0].as_primitive::<Float64Type>();
    let y = values.get(1).map_or(x, |y| y.as_primitive::<Float64Type>());
    x.iter().zip(y.iter()).filter_map(|(x, y)| x.zip(y))
}

impl Accumulator for Sliding {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        rows(values).for_each(|(x, y)| self.come(x, y));
        self.book()
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        rows(values).for_each(|_| self.leave());
        self.book()
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.all().measured(self.measure)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("the frame of a window is nothing to be put together")
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        internal_err!("the frame of a window is nothing to be put together")
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.kept()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, refused, within};
    use flight_common::FaultKind;

    #[tokio::test]
    async fn long_frames_are_in_the_books() {
        let sql = |x: &str| {
            let window = format!("sum({x}) OVER (ORDER BY n ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)");
            let rows = "SELECT t.n * 20 + v.n AS n FROM t, (SELECT n FROM t WHERE n < 20) AS v";
            format!("SELECT max(w) FROM (SELECT {window} AS w FROM ({rows}))")
        };
        assert_eq!(number(&within(32 << 20, &sql("n"))).await, 79_999_800_000);
        let fault = refused(&within(32 << 20, &sql("n + 0.5"))).await;
        assert_eq!(fault.kind(), FaultKind::Busy, "{fault}");
    }

    #[tokio::test]
    async fn what_has_left_a_frame_is_gone() {
        // In a frame of three rows, three of ten have the infinity (or the NaN) among them.
        let rare = |value: &str| {
            format!("(SELECT n, CASE WHEN n % 10 = 5 THEN CAST('{value}' AS DOUBLE) ELSE n + 0.0 END AS f FROM t)")
        };
        for (aggregate, holds, expected) in [
            ("sum(f)", "w > 1e200", 6_000),
            ("sum(f)", "w = 3 * n - 3", 13_998),
            ("avg(f)", "w = n - 1", 13_998),
            ("var_pop(f)", "isnan(w)", 6_000),
            ("var_samp(f)", "abs(w - 1) < 1e-9", 13_998),
            ("stddev(f)", "abs(w - 1) < 1e-9", 13_998),
            ("covar_samp(f, n + 0.0)", "abs(w - 1) < 1e-9", 13_998),
            ("corr(f, n + 0.0)", "abs(w - 1) < 1e-9", 13_999),
        ] {
            for rare in [rare("Infinity"), rare("NaN")] {
                let window = format!("{aggregate} OVER (ORDER BY n ROWS 2 PRECEDING)");
                let sql = format!("SELECT count(*) FROM (SELECT n, {window} AS w FROM {rare}) WHERE {holds}");
                assert_eq!(number(&within(MEMORY, &sql)).await, expected, "{sql}");
            }
        }
    }

    #[tokio::test]
    async fn a_line_is_drawn_through_the_rows_of_a_frame_alone() {
        // y is 2 x + 1. In a frame of three rows, three of ten have something else among them.
        let rare = |value: &str| {
            let y = format!("CASE WHEN n % 10 = 5 THEN CAST({value} AS DOUBLE) ELSE 2.0 * n + 1 END");
            format!("(SELECT n, n + 0.0 AS x, {y} AS y FROM t)")
        };
        for (value, aggregate, holds, expected) in [
            ("'Infinity'", "regr_slope(y, x)", "abs(w - 2) < 1e-9", 13_999),
            ("'NaN'", "regr_slope(y, x)", "abs(w - 2) < 1e-9", 13_999),
            ("'NaN'", "regr_slope(x, y)", "abs(w - 0.5) < 1e-9", 13_999),
            ("'1e300'", "regr_slope(y, x)", "abs(w - 2) < 1e-9", 13_999),
            ("NULL", "regr_slope(y, x)", "abs(w - 2) < 1e-9", 19_999),
            ("NULL", "regr_slope(y, x)", "w IS NULL", 1),
            ("'NaN'", "regr_intercept(y, x)", "abs(w - 1) < 1e-5", 13_999),
            ("'NaN'", "regr_r2(y, x)", "abs(w - 1) < 1e-9", 13_999),
            ("'NaN'", "regr_r2(7.5, x)", "w = 1", 19_999),
            ("'Infinity'", "regr_avgx(x, y)", "w = 2 * n - 1", 13_998),
            ("'Infinity'", "regr_avgy(y, x)", "w = 2 * n - 1", 13_998),
            ("'Infinity'", "regr_avgy(y, x)", "w > 1e300", 6_000),
            ("'Infinity'", "regr_avgx(y, x)", "w = n - 1", 19_998),
            ("'NaN'", "regr_sxx(x, y)", "abs(w - 8) < 1e-9", 13_998),
            ("'NaN'", "regr_syy(y, x)", "abs(w - 8) < 1e-9", 13_998),
            ("'NaN'", "regr_sxy(y, x)", "abs(w - 4) < 1e-9", 13_998),
            // A row without y does not count: two of three that are neighbours have a sum of 0.5.
            ("NULL", "regr_sxx(y, x)", "abs(w - 2) < 1e-9", 15_998),
        ] {
            let window = format!("{aggregate} OVER (ORDER BY n ROWS 2 PRECEDING)");
            let sql = format!("SELECT count(*) FROM (SELECT n, {window} AS w FROM {}) WHERE {holds}", rare(value));
            assert_eq!(number(&within(MEMORY, &sql)).await, expected, "{value}: {sql}");
        }
    }

    #[tokio::test]
    async fn small_numbers_are_not_lost_beside_large_ones() {
        let large = "(SELECT n, CASE WHEN n = 0 THEN 1e300 ELSE 1.0 END AS f FROM t)";
        for (window, holds, expected) in [
            ("sum(f) OVER (ORDER BY n ROWS 2 PRECEDING)", "w = 3", 19_997),
            ("avg(f) OVER (ORDER BY n ROWS 2 PRECEDING)", "w = 1", 19_997),
            ("stddev_pop(f) OVER (ORDER BY n ROWS 2 PRECEDING)", "w = 0", 19_998),
            ("sum(f) OVER (ORDER BY n RANGE BETWEEN 2 PRECEDING AND 2 FOLLOWING)", "w = 5", 19_995),
            ("sum(f) OVER (ORDER BY n ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING)", "w IS NULL", 1),
            ("sum(f) OVER (ORDER BY n ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)", "w = 20000 - n", 19_999),
        ] {
            let sql = format!("SELECT count(*) FROM (SELECT n, {window} AS w FROM {large}) WHERE {holds}");
            assert_eq!(number(&within(MEMORY, &sql)).await, expected, "{sql}");
        }
    }
}
