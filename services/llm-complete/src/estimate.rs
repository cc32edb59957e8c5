//! How many tokens a text has, about. Pure.
//!
//! Each model cuts texts in its own way, and the server alone knows. English has about four characters to a token; scripts
//! without an alphabet about one, which is taken for everything beyond ASCII: an estimate of costs had better be too high.

/// Tokens that a message has around its text.
const AROUND: u64 = 4;

/// An estimate of the tokens of a message.
pub fn tokens(text: &str) -> u64 {
    let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
    let others = text.chars().count() as u64 - ascii;
    AROUND + ascii.div_ceil(4) + others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_letters_are_a_token_and_so_is_each_sign_of_other_scripts() {
        assert_eq!(tokens(""), AROUND);
        assert_eq!(tokens("abcde"), AROUND + 2);
        assert_eq!(tokens("今日は"), AROUND + 3);
    }
}
