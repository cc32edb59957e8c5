//! Words that somebody may have meant.

/// The nearest of `known` to a misspelt `word`, if one is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (likeness(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// How like two words are that are taken for one.
const NEAR: f64 = 0.75;

/// From 0 to 1. Short words with one slip, such as `cvs` for `csv`, have little in common but that.
fn likeness(word: &str, candidate: &str) -> f64 {
    const SHORTEST: usize = 3;
    let likeness = strsim::jaro_winkler(word, candidate);
    let shorter = word.chars().count().min(candidate.chars().count());
    match shorter >= SHORTEST && strsim::osa_distance(word, candidate) <= 1 {
        true => likeness.max(NEAR),
        false => likeness,
    }
}

/// "did you mean …?", or the list of what there is, cut short.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(word, known.clone()) {
        return format!("did you mean \"{near}\"?");
    }
    let all: Vec<&str> = known.into_iter().collect();
    const SHOWN: usize = 12;
    match all.len() {
        0 => "there is none".to_owned(),
        count if count > SHOWN => format!("there are: {} and {} more", all[..SHOWN].join(", "), count - SHOWN),
        _ => format!("there are: {}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_word_with_one_slip_is_near() {
        let formats = ["csv", "json", "xlsx", "excel"];
        for (word, wanted) in
            [("cvs", Some("csv")), ("csb", Some("csv")), ("xslx", Some("xlsx")), ("Cvs", Some("csv")), ("pdf", None)]
        {
            assert_eq!(nearest(word, formats), wanted, "{word}");
        }
        assert_eq!(nearest("a", ["b"]), None);
    }
}
