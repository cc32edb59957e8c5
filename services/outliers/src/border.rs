//! How far is too far.
//!
//! Two finite values may be further apart than the largest float. Where that is so, all is measured in quarters, which
//! are within floats, and digits are lost by none of them.

/// The border beyond which values are outliers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Border {
    /// So many units from a centre: standard deviations from the mean, or scaled deviations from the median.
    Distance(Distance),
    /// Below or above these.
    Fences {
        /// The lower fence.
        low: f64,
        /// The upper fence.
        high: f64,
    },
}

const QUARTER: f64 = 0.25;

/// What distances are counted in: of large values it may itself be beyond all floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// Infinite if it is beyond all floats.
    whole: f64,
    /// A quarter of it.
    quarter: f64,
}

impl Unit {
    /// The unit of which `times` gives a part.
    pub fn new(times: impl Fn(f64) -> f64) -> Self {
        Self { whole: times(1.0), quarter: times(QUARTER) }
    }

    /// As it is reported: one beyond all floats is the largest of them.
    pub fn reported(self) -> f64 {
        if self.quarter.is_finite() { self.whole.min(f64::MAX) } else { self.whole }
    }
}

impl Border {
    /// Within `threshold` units from a centre. None if no value can lie beyond: there is no spread, or the figures are
    /// not finite because a value is infinite.
    pub fn distance(center: f64, unit: Unit, threshold: f64) -> Option<Self> {
        let usable = center.is_finite() && unit.quarter.is_finite() && unit.whole > 0.0;
        usable.then_some(Self::Distance(Distance { center, unit, threshold, reach: threshold * unit.whole }))
    }

    /// Tukey's fences: `multiplier` interquartile ranges beyond the quartiles. None as for a distance.
    pub fn fences(first: f64, third: f64, multiplier: f64) -> Option<Self> {
        let part = if (third - first).is_finite() { 1.0 } else { QUARTER };
        let reach = (third * part - first * part) * multiplier;
        // No value lies behind a fence beyond all floats.
        let fence = |from: f64| within(from / part);
        let usable = first.is_finite() && third.is_finite() && reach > 0.0;
        usable.then(|| Self::Fences { low: fence(first * part - reach), high: fence(third * part + reach) })
    }

    /// For a value beyond it: the nearest one that is not. NaN is beyond nothing.
    pub fn nearest(&self, value: f64) -> Option<f64> {
        match *self {
            Self::Distance(distance) => distance.nearest(value),
            Self::Fences { low, .. } if value < low => Some(low),
            Self::Fences { high, .. } if value > high => Some(high),
            Self::Fences { .. } => None,
        }
    }
}

/// So many units from a centre.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// The mean or the median.
    center: f64,
    /// What is counted.
    unit: Unit,
    /// How many of them are still near.
    threshold: f64,
    /// How far that is: infinite if it is beyond all floats.
    reach: f64,
}

impl Distance {
    fn nearest(&self, value: f64) -> Option<f64> {
        let distance = value - self.center;
        if !(distance.is_finite() && self.reach.is_finite()) {
            return self.nearest_by_quarters(value);
        }
        let beyond = distance.abs() / self.unit.whole > self.threshold;
        beyond.then(|| within(self.center + self.reach.copysign(distance)))
    }

    /// The same where a distance is beyond all floats, or the value is infinite or NaN.
    #[cold]
    fn nearest_by_quarters(&self, value: f64) -> Option<f64> {
        let Self { center, unit, threshold, reach } = *self;
        if value.is_infinite() && reach.is_finite() {
            return Some(within(center + reach.copysign(value)));
        }
        let distance = value * QUARTER - center * QUARTER;
        let beyond = distance.abs() / unit.quarter > threshold;
        beyond.then(|| within((center * QUARTER + (threshold * unit.quarter).copysign(distance)) / QUARTER))
    }
}

/// The nearest finite float.
fn within(value: f64) -> f64 {
    value.clamp(f64::MIN, f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(unit: f64) -> Unit {
        Unit::new(|part| unit * part)
    }

    #[test]
    fn what_lies_on_the_border_is_near() {
        let distance = Border::distance(10.0, unit(2.0), 3.0).expect("a border");
        assert_eq!([4.0, 16.0, f64::NAN].map(|value| distance.nearest(value)), [None; 3]);
        assert_eq!((distance.nearest(3.0), distance.nearest(f64::INFINITY)), (Some(4.0), Some(16.0)));
        let fences = Border::fences(1.0, 3.0, 1.5).expect("a border");
        assert_eq!([-2.0, 6.0, f64::NAN].map(|value| fences.nearest(value)), [None; 3]);
        assert_eq!((fences.nearest(-2.1), fences.nearest(6.1)), (Some(-2.0), Some(6.0)));
    }

    #[test]
    fn values_further_apart_than_the_largest_float_are_measured() {
        let distance = Border::distance(-1e308, unit(1e308), 2.5).expect("a border");
        assert_eq!((distance.nearest(1.4e308), distance.nearest(f64::MIN)), (None, None));
        assert_eq!(distance.nearest(1.6e308), Some(1.5e308));
        let distance = Border::distance(1e308, unit(1e308), 1e10).expect("a border");
        let infinite = [f64::INFINITY, f64::NEG_INFINITY];
        assert_eq!(infinite.map(|value| distance.nearest(value)), [Some(f64::MAX), Some(f64::MIN)]);
        assert_eq!([f64::MAX, f64::MIN, f64::NAN].map(|value| distance.nearest(value)), [None; 3]);
        let distance = Border::distance(1e308, unit(1e308), 1.5).expect("a border");
        assert_eq!(infinite.map(|value| distance.nearest(value)), [Some(f64::MAX), Some(-5e307)]);
        let fences = Border::fences(-1e308, 1e308, 0.2).expect("a border");
        assert_eq!([1.3e308, -1.3e308].map(|value| fences.nearest(value)), [None; 2]);
        assert!(fences.nearest(1.5e308).is_some_and(|nearest| (nearest / 1.4e308 - 1.0).abs() < 1e-15));
        let fences = Border::fences(-1.1e308, -1e308, 10.0).expect("a border");
        assert_eq!((fences.nearest(f64::MIN), fences.nearest(1e308).is_some()), (None, true));
    }

    #[test]
    fn without_spread_there_is_no_border() {
        assert_eq!((Border::distance(1.0, unit(0.0), 3.0), Border::fences(2.0, 2.0, 1.5)), (None, None));
        assert_eq!([f64::NAN, f64::INFINITY].map(|none| Border::distance(1.0, unit(none), 3.0)), [None; 2]);
        assert_eq!(Border::fences(0.0, f64::INFINITY, 1.5), None);
    }
}
