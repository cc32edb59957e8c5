//! How far is too far.

/// The border beyond which values are outliers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Border {
    /// So many units from a centre: standard deviations from the mean, or scaled deviations from the median.
    Distance {
        /// The mean or the median.
        center: f64,
        /// What is counted.
        unit: f64,
        /// How many of them are still near.
        threshold: f64,
    },
    /// Below or above these.
    Fences {
        /// The lower fence.
        low: f64,
        /// The upper fence.
        high: f64,
    },
}

impl Border {
    /// Within `threshold` units from a centre. None if no value can lie beyond: there is no spread, or the figures are
    /// not finite because a value is infinite.
    pub fn distance(center: f64, unit: f64, threshold: f64) -> Option<Self> {
        let usable = center.is_finite() && unit.is_finite() && unit > 0.0;
        usable.then_some(Self::Distance { center, unit, threshold })
    }

    /// Tukey's fences: `multiplier` interquartile ranges beyond the quartiles. None as for a distance.
    pub fn fences(first: f64, third: f64, multiplier: f64) -> Option<Self> {
        let reach = (third - first) * multiplier;
        let (low, high) = (first - reach, third + reach);
        (reach > 0.0 && low.is_finite() && high.is_finite()).then_some(Self::Fences { low, high })
    }

    /// For a value beyond it: the nearest one that is not. NaN is beyond nothing.
    pub fn nearest(&self, value: f64) -> Option<f64> {
        match *self {
            Self::Distance { center, unit, threshold } => {
                let beyond = ((value - center).abs() / unit) > threshold;
                beyond.then(|| center + (threshold * unit).copysign(value - center))
            }
            Self::Fences { low, .. } if value < low => Some(low),
            Self::Fences { high, .. } if value > high => Some(high),
            Self::Fences { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_on_the_border_is_near() {
        let distance = Border::distance(10.0, 2.0, 3.0).expect("a border");
        assert_eq!([4.0, 16.0, f64::NAN].map(|value| distance.nearest(value)), [None; 3]);
        assert_eq!((distance.nearest(3.0), distance.nearest(f64::INFINITY)), (Some(4.0), Some(16.0)));
        let fences = Border::fences(1.0, 3.0, 1.5).expect("a border");
        assert_eq!([-2.0, 6.0, f64::NAN].map(|value| fences.nearest(value)), [None; 3]);
        assert_eq!((fences.nearest(-2.1), fences.nearest(6.1)), (Some(-2.0), Some(6.0)));
    }

    #[test]
    fn without_spread_there_is_no_border() {
        assert_eq!((Border::distance(1.0, 0.0, 3.0), Border::fences(2.0, 2.0, 1.5)), (None, None));
        assert_eq!((Border::distance(1.0, f64::NAN, 3.0), Border::fences(0.0, f64::INFINITY, 1.5)), (None, None));
    }
}
