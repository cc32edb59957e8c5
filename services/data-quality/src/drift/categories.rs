//! Bins of texts: one for each of the most frequent ones of the file, and one for all others.

use std::collections::HashMap;

/// Texts that have bins of their own, at most.
const MOST: usize = 50;

/// The texts of a column.
#[derive(Clone, Debug)]
pub struct Categories {
    names: Vec<Box<str>>,
    places: HashMap<Box<str>, usize>,
}

impl Categories {
    /// The bins for these texts. Of equally frequent ones the first by the alphabet are taken.
    pub fn of(texts: impl Iterator<Item = Box<str>>) -> Self {
        let mut counts: HashMap<Box<str>, u64> = HashMap::new();
        texts.for_each(|text| *counts.entry(text).or_default() += 1);
        let mut counts: Vec<(Box<str>, u64)> = counts.into_iter().collect();
        counts.sort_unstable_by(|(text, count), (other, than)| than.cmp(count).then_with(|| text.cmp(other)));
        let names: Vec<Box<str>> = counts.into_iter().take(MOST).map(|(text, _)| text).collect();
        let places = names.iter().cloned().enumerate().map(|(place, name)| (name, place)).collect();
        Self { names, places }
    }

    /// How many bins there are, with that of all others.
    pub fn len(&self) -> usize {
        self.names.len() + 1
    }

    /// The bin of a text.
    pub fn place(&self, text: &str) -> usize {
        self.places.get(text).copied().unwrap_or(self.names.len())
    }

    /// The texts that have bins of their own, in the order of their bins.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_have_bins_and_the_others_share_one() {
        let rare = (0..100).map(|n| format!("{n:02}").into());
        let often = ["b", "a", "b", "a", "c", "c", "c"].map(Box::from);
        let categories = Categories::of(rare.chain(often));
        let names: Vec<&str> = categories.names().collect();
        assert_eq!((&names[..5], names.len()), (&["c", "a", "b", "00", "01"][..], MOST));
        assert_eq!((categories.place("a"), categories.place("99"), categories.place("new")), (1, MOST, MOST));
        assert_eq!(categories.len(), MOST + 1);
    }
}
