//! Numbers as they are written, and what a 64-bit float keeps of them.

/// Digits that a float always keeps.
const KEPT: usize = 15;

/// Whether a float keeps every digit of a number as it is written: `0.1` and `1e20`, but not `0.12345678901234567891`. What
/// is no number loses nothing.
pub fn float_keeps(number: &str) -> bool {
    let digits = significant(number);
    digits.len() <= KEPT || number.parse::<f64>().map_or(true, |kept| digits == significant(&format!("{kept:e}")))
}

/// The digits of a number that say more than how large it is.
fn significant(number: &str) -> String {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_kept_as_far_as_a_float_has_its_digits() {
        for kept in ["0.1", "-0.30000000000000004", "1e300", "100000000000000000000", "9007199254740992", "word"] {
            assert!(float_keeps(kept), "{kept}");
        }
        for lost in ["9007199254740993", "-3.14159265358979323846", "1234567890123456789e5"] {
            assert!(!float_keeps(lost), "{lost}");
        }
    }
}
