//! `regr_r2` of points on a level line, which it fits: 1, as in PostgreSQL, and as in the frames that move on. DataFusion (55.2)
//! gives a null.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Accumulator;
use std::mem::size_of;

/// The fit of a line, computed by DataFusion where the points are not level.
#[derive(Debug)]
pub(super) struct Fit {
    pub inner: Box<dyn Accumulator>,
}

impl Accumulator for Fit {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let fit = self.inner.evaluate()?;
        // The squares of x and y are the fourth and the fifth of what it knows.
        let is_level = matches!(
            self.inner.state()?.as_slice(),
            [_, _, _, ScalarValue::Float64(Some(xx)), ScalarValue::Float64(Some(yy)), _] if *xx != 0.0 && *yy == 0.0
        );
        Ok(if is_level { ScalarValue::Float64(Some(1.0)) } else { fit })
    }

    fn size(&self) -> usize {
        self.inner.size() + size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, within};

    #[tokio::test]
    async fn a_line_fits_points_that_are_level() {
        for (sql, expected) in [
            ("SELECT count(*) FROM (SELECT regr_r2(7.5, n + 0.0) AS fit FROM t) WHERE fit = 1", 1),
            ("SELECT count(*) FROM (SELECT regr_r2(n + 0.0, 7.5) AS fit FROM t) WHERE fit IS NULL", 1),
            ("SELECT count(*) FROM (SELECT regr_r2(2.0 * n, n + 0.0) AS fit FROM t) WHERE abs(fit - 1) < 1e-9", 1),
            ("SELECT count(*) FROM (SELECT regr_r2(7.5, n + 0.0) AS fit FROM t GROUP BY n % 9) WHERE fit = 1", 9),
            (
                "SELECT count(*) FROM (SELECT regr_r2(7.5, n + 0.0) OVER (ORDER BY n) AS fit FROM t) WHERE fit = 1",
                19_999,
            ),
        ] {
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
    }
}
