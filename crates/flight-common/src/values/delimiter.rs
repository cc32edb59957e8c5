//! Rows that were most likely meant to be cut at another character.

use crate::fault::Fault;

/// Refuses a header of one field that holds one of the other characters at which rows are cut. For whoever was not told
/// where to cut, and did so at commas.
///
/// # Errors
/// [`crate::FaultKind::BadData`] with the character.
pub fn check_commas(header: &[String], place: &str) -> Result<(), Fault> {
    let [only] = header else { return Ok(()) };
    let likely = [(";", ";"), ("\t", r"\t"), ("|", "|")].into_iter().find(|(mark, _)| only.contains(mark));
    let Some((_, written)) = likely else { return Ok(()) };
    let message = format!("{place}: the header is one field when cut at \",\", and holds \"{written}\"");
    Err(Fault::bad_data(message)
        .help(format!("set `delimiter: \"{written}\"`, or `delimiter: \",\"` if there is one column indeed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_one_field_may_be_meant_as_several() {
        let check = |header: &[&str]| {
            check_commas(&header.iter().map(|&name| name.to_owned()).collect::<Vec<_>>(), "a.csv, line 1")
        };
        for (header, mark) in [("id;name", "\";\""), ("id\tname", r#""\t""#), ("id|name", "\"|\"")] {
            let fault = check(&[header]).expect_err("most likely wrong");
            assert!(fault.help_text().is_some_and(|help| help.contains(mark)), "{fault:?}");
        }
        for header in [&["id"][..], &["a;b", "c"], &[]] {
            assert!(check(header).is_ok(), "{header:?}");
        }
    }
}
