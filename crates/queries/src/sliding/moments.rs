//! What is known of some rows without the rows themselves, and what follows from it, as PostgreSQL defines it.

/// What is asked of the rows of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) enum Measure {
    Sum,
    Mean,
    Variance(Of),
    Deviation(Of),
    Covariance(Of),
    Correlation,
    Regression(Line),
}

/// What the rows are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    Population,
    Sample,
}

/// What is asked of the line that lies nearest to points, which are given as (y, x).
#[derive(Clone, Copy, Debug)]
pub(super) enum Line {
    Slope,
    Intercept,
    Fit,
    MeanX,
    MeanY,
    SquaresX,
    SquaresY,
    Products,
}

impl Line {
    /// What an aggregate of this name asks.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "regr_slope" => Self::Slope,
            "regr_intercept" => Self::Intercept,
            "regr_r2" => Self::Fit,
            "regr_avgx" => Self::MeanX,
            "regr_avgy" => Self::MeanY,
            "regr_sxx" => Self::SquaresX,
            "regr_syy" => Self::SquaresY,
            "regr_sxy" => Self::Products,
            _ => return None,
        })
    }
}

/// How many rows they are, their sums and means, and by how much they differ from these, squared.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    count: u64,
    sum_x: f64,
    sum_y: f64,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Moments {
    pub fn of(x: f64, y: f64) -> Self {
        // An infinity differs from its own mean by no number, as in PostgreSQL.
        let [xx, yy] = [x, y].map(|value| if value.is_finite() { 0.0 } else { f64::NAN });
        Self { count: 1, sum_x: x, sum_y: y, x, y, xx, yy, xy: xx + yy }
    }

    /// Of these rows and others (Chan, Golub and LeVeque, 1979).
    pub fn with(self, other: Self) -> Self {
        if self.count == 0 {
            return other;
        }
        if other.count == 0 {
            return self;
        }
        let (own, others) = (self.count as f64, other.count as f64);
        let part = others / (own + others);
        let (x, y, weight) = (other.x - self.x, other.y - self.y, own * part);
        Self {
            count: self.count + other.count,
            sum_x: self.sum_x + other.sum_x,
            sum_y: self.sum_y + other.sum_y,
            x: self.x + x * part,
            y: self.y + y * part,
            xx: self.xx + other.xx + x * x * weight,
            yy: self.yy + other.yy + y * y * weight,
            xy: self.xy + other.xy + x * y * weight,
        }
    }

    pub fn measured(self, measure: Measure) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rows = self.count as f64;
        let degrees = |of: Of| match of {
            Of::Population => Some(rows),
            Of::Sample => (self.count > 1).then_some(rows - 1.0),
        };
        match measure {
            Measure::Sum => Some(self.sum_x),
            Measure::Mean => Some(self.sum_x / rows),
            Measure::Variance(of) => degrees(of).map(|degrees| self.xx / degrees),
            Measure::Deviation(of) => degrees(of).map(|degrees| (self.xx / degrees).sqrt()),
            Measure::Covariance(of) => degrees(of).map(|degrees| self.xy / degrees),
            Measure::Correlation => {
                let differ = self.xx != 0.0 && self.yy != 0.0;
                // Rounded it may come to more.
                differ.then(|| (self.xy / self.xx.sqrt() / self.yy.sqrt()).clamp(-1.0, 1.0))
            }
            Measure::Regression(line) => self.turned().on(line),
        }
    }

    /// With x for y: of an aggregate that is given (y, x) the first is taken for x otherwise.
    fn turned(self) -> Self {
        let Self { count, sum_x, sum_y, x, y, xx, yy, xy } = self;
        Self { count, sum_x: sum_y, sum_y: sum_x, x: y, y: x, xx: yy, yy: xx, xy }
    }

    fn on(self, line: Line) -> Option<f64> {
        let slope = (self.xx != 0.0).then(|| self.xy / self.xx);
        match line {
            Line::Slope => slope,
            Line::Intercept => slope.map(|slope| self.y - slope * self.x),
            // All y are on a level line. Otherwise rounded it may come to more than 1.
            Line::Fit if self.yy == 0.0 => slope.map(|_| 1.0),
            Line::Fit => slope.map(|slope| (slope * (self.xy / self.yy)).clamp(0.0, 1.0)),
            Line::MeanX => Some(self.mean(self.sum_x, self.x)),
            Line::MeanY => Some(self.mean(self.sum_y, self.y)),
            Line::SquaresX => Some(self.xx),
            Line::SquaresY => Some(self.yy),
            Line::Products => Some(self.xy),
        }
    }

    /// The mean of this sum, or as it was carried on where only the sum is too large.
    fn mean(self, sum: f64, carried: f64) -> f64 {
        let mean = sum / self.count as f64;
        if mean.is_finite() || !carried.is_finite() { mean } else { carried }
    }
}
