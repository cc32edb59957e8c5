//! The types of columns, guessed from their first fields.

use crate::column::BadField;
use crate::field::Rules;
use crate::rows::Block;
use flight_common::values::{Forms, Seen, is_plain, up_to_eight_digits};

/// Looks at a column in some rows.
///
/// # Errors
/// A field that goes on after its closing quote.
pub fn look(seen: &mut Seen, block: &Block<'_>, place: usize, rules: &Rules, forms: &Forms) -> Result<(), BadField> {
    let mut scratch = Vec::new();
    let text = block.text();
    let glances = forms.date.is_none() && forms.timestamp.is_none();
    for (row, (start, end)) in block.column(place).enumerate() {
        let raw = &text[start..end];
        if seen.is_text() && !rules.is_quoted(raw) {
            continue;
        }
        // Most fields are short integers.
        if glances && up_to_eight_digits(text, start, end - start).1 && is_plain(raw) && !rules.nulls.contain(raw) {
            seen.add_short_integer();
            continue;
        }
        if let Some(value) = rules.value(raw, &mut scratch).map_err(BadField::quote(row, raw))? {
            seen.add(value, forms);
        }
    }
    Ok(())
}
