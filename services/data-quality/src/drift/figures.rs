//! The population stability index of a column, and what it is made of.
//!
//! With the shares eᵢ of the file's values and aᵢ of the data's in bin i, the index is Σ (aᵢ − eᵢ)·ln(aᵢ / eᵢ): the
//! symmetric divergence of H. Jeffreys (*An Invariant Form for the Prior Probability in Estimation Problems*, Proc. R. Soc.
//! A 186, 1946), under the name that it has in credit scoring (N. Siddiqi, *Credit Risk Scorecards*, Wiley 2006). An empty
//! bin would make it infinite, so that half a value is added to each: a share is (n + ½) / (N + k/2) for n of N values in
//! one of k bins. Bins that are empty on both sides are left out.
//!
//! The distance is the statistic of Kolmogorov and Smirnov, the largest difference between the two distribution functions,
//! among the borders of fine bins. Between two of them it could be larger by what the file has there, 0.1 %.

use super::bins::Bins;
use super::scale::Cut;
use crate::extent::Edge;
use arrow::datatypes::{DataType, Field, i256};
use flight_common::Fault;
use flight_common::cells::plain_type;
use serde::Serialize;

/// Characters of a text that are shown.
const SHOWN: usize = 60;

/// What is known of a column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// The column.
    pub column: String,
    /// The index; nothing without data.
    pub psi: Option<f64>,
    /// The distance; nothing for texts, or without values on either side.
    pub ks: Option<f64>,
    /// The bins.
    pub bins: Vec<Share>,
}

/// A bin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// What is in it: `(2, 5]`, `North`.
    pub bin: String,
    /// Which part of the file's values is in it.
    pub reference: f64,
    /// Which part of the data's values is.
    pub data: f64,
}

impl Figures {
    /// The figures of these counts.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::Internal`] for a border of a bin that cannot be shown.
    pub fn of(field: &Field, bins: &Bins, reference: &[u64], data: &[u64]) -> Result<Self, Fault> {
        let mut merged = match bins {
            Bins::Numbers(scale) => {
                let merged = scale.coarse().map(|(from, to, range)| {
                    let sum = |counts: &[u64]| counts[range.clone()].iter().sum::<u64>();
                    Ok((range_name(field.data_type(), from, to)?, sum(reference), sum(data)))
                });
                merged.collect::<Result<Vec<_>, Fault>>()?
            }
            Bins::Texts(categories) => {
                let names = categories.names().map(shortened).chain(["(others)".to_owned()]);
                names.zip(reference.iter().zip(data)).map(|(name, (one, other))| (name, *one, *other)).collect()
            }
        };
        let (values, others) = (reference.split_last(), data.split_last());
        merged.push(("(null)".to_owned(), values.map_or(0, |(null, _)| *null), others.map_or(0, |(null, _)| *null)));
        merged.retain(|(_, one, other)| one + other > 0);
        let ks = match (bins, values, others) {
            (Bins::Numbers(_), Some((_, values)), Some((_, others))) => distance(values, others),
            _ => None,
        };
        let counts: Vec<(u64, u64)> = merged.iter().map(|(_, one, other)| (*one, *other)).collect();
        let (all, of_data) = counts.iter().fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1));
        let share = |(bin, one, other)| Share { bin, reference: part(one, all), data: part(other, of_data) };
        let psi = (of_data > 0).then(|| psi(&counts));
        Ok(Self { column: field.name().clone(), psi, ks, bins: merged.into_iter().map(share).collect() })
    }

    /// The bin whose share has changed most.
    pub fn most_changed(&self) -> Option<&Share> {
        let change = |share: &&Share| (share.data - share.reference).abs();
        self.bins.iter().max_by(|one, other| change(one).total_cmp(&change(other)))
    }
}

fn part(some: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { some as f64 / all as f64 }
}

/// The index of counts in the file and in the data.
fn psi(counts: &[(u64, u64)]) -> f64 {
    let sum = |of: fn(&(u64, u64)) -> u64| counts.iter().map(of).sum::<u64>() as f64 + counts.len() as f64 / 2.0;
    let (reference, data) = (sum(|counts| counts.0), sum(|counts| counts.1));
    let term = |(one, other): &(u64, u64)| {
        let (expected, actual) = ((*one as f64 + 0.5) / reference, (*other as f64 + 0.5) / data);
        (actual - expected) * (actual / expected).ln()
    };
    counts.iter().map(term).sum()
}

/// The largest difference between the parts of both that lie up to the end of a bin.
fn distance(reference: &[u64], data: &[u64]) -> Option<f64> {
    let (all, of_data) = (reference.iter().sum::<u64>(), data.iter().sum::<u64>());
    if all == 0 || of_data == 0 {
        return None;
    }
    let (mut below, mut largest) = ((0, 0), 0.0f64);
    for (one, other) in reference.iter().zip(data) {
        below = (below.0 + one, below.1 + other);
        largest = largest.max((part(below.0, all) - part(below.1, of_data)).abs());
    }
    Some(largest)
}

/// `≤ 2`, `(2, 5]`, `5`, `> 5`.
fn range_name(data_type: &DataType, from: Option<Cut>, to: Option<Cut>) -> Result<String, Fault> {
    let show = |cut: Cut| shown(data_type, cut.at);
    Ok(match (from, to) {
        (None, None) => "all values".to_owned(),
        (None, Some(to)) => format!("{} {}", if to.behind { "≤" } else { "<" }, show(to)?),
        (Some(from), None) => format!("{} {}", if from.behind { ">" } else { "≥" }, show(from)?),
        (Some(from), Some(to)) if from.at == to.at => show(from)?,
        (Some(from), Some(to)) => {
            let (open, close) = (if from.behind { '(' } else { '[' }, if to.behind { ']' } else { ')' });
            format!("{open}{}, {}{close}", show(from)?, show(to)?)
        }
    })
}

/// A border as the column's values are written.
fn shown(data_type: &DataType, at: f64) -> Result<String, Fault> {
    if plain_type(data_type).is_numeric() {
        // Zero has no sign here.
        return Ok(if at.abs() < 1e15 { format!("{}", at + 0.0) } else { format!("{at:e}") });
    }
    let text = Edge::Exact(i256::from_i128(at as i128)).to_json(data_type)?;
    Ok(text.as_str().map_or_else(|| text.to_string(), str::to_owned))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if text.is_empty() => "(empty text)".to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::TimeUnit;

    fn close(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-9, "{found}, wanted {wanted}");
    }

    #[test]
    fn the_index_is_that_of_the_formula() {
        assert_eq!(psi(&[(10, 10), (3, 3)]), 0.0);
        // Shares of (30.5, 50.5, 20.5) / 101.5 and (10.5, 50.5, 40.5) / 101.5:
        // (-20 / 101.5)·ln(10.5 / 30.5) + (20 / 101.5)·ln(40.5 / 20.5).
        close(psi(&[(30, 10), (50, 50), (20, 40)]), 0.344_281_480_673_5);
        // An empty bin: (0.5 / 11, 10.5 / 11) and (10.5 / 11, 0.5 / 11), that is 2·(10 / 11)·ln(21).
        close(psi(&[(0, 10), (10, 0)]), 5.535_495_341_315_3);
    }

    #[test]
    fn the_distance_is_that_of_the_distribution_functions() {
        assert_eq!(distance(&[5, 5], &[50, 50]), Some(0.0));
        close(distance(&[1, 1, 1, 1], &[0, 0, 2, 2]).expect("values"), 0.5);
        assert_eq!(distance(&[0, 0], &[1, 1]), None);
    }

    #[test]
    fn bins_are_named_as_the_values_are_written() {
        let (at, behind) = (|at| Some(Cut { at, behind: false }), |at| Some(Cut { at, behind: true }));
        let name = |from, to| range_name(&DataType::Int64, from, to).expect("shown");
        assert_eq!(name(None, at(0.0)), "< 0");
        assert_eq!(name(at(0.0), behind(0.0)), "0");
        assert_eq!(name(behind(0.0), behind(2.5)), "(0, 2.5]");
        assert_eq!(name(behind(1e300), None), "> 1e300");
        let instant = DataType::Timestamp(TimeUnit::Second, Some("Europe/Paris".into()));
        assert_eq!(range_name(&instant, None, behind(60.0)).expect("shown"), "≤ 1970-01-01T00:01:00Z");
        assert_eq!(range_name(&DataType::Date32, behind(1.0), behind(2.0)).expect("shown"), "(1970-01-02, 1970-01-03]");
    }
}
