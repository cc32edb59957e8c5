//! Booleans.

/// The boolean that a text is, in a column whose type the user gave, or that was guessed.
pub fn parse_boolean(value: &[u8], given: bool) -> Option<bool> {
    truth(value).or_else(|| given_truth(value).filter(|_| given))
}

/// `true` and `false`, in any case.
pub fn truth(value: &[u8]) -> Option<bool> {
    match value.len() {
        4 if value.eq_ignore_ascii_case(b"true") => Some(true),
        5 if value.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

/// What a user may mean who said that the column is boolean.
fn given_truth(value: &[u8]) -> Option<bool> {
    const YES: [&[u8]; 5] = [b"yes", b"y", b"t", b"1", b"on"];
    const NO: [&[u8]; 5] = [b"no", b"n", b"f", b"0", b"off"];
    let among = |words: [&[u8]; 5]| words.iter().any(|word| word.eq_ignore_ascii_case(value));
    if among(YES) { Some(true) } else { among(NO).then_some(false) }
}
