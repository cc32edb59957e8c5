//! Names in SQL, quoted so that they are names and nothing else.

/// A name in double quotes, as PostgreSQL and SQLite take it, and MariaDB and MySQL in the mode `ANSI_QUOTES`.
pub fn double(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in single quotes. PostgreSQL reads it so while `standard_conforming_strings` is on, which its connections here
/// see to.
pub fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_within_a_name_is_doubled() {
        assert_eq!(double("a\"b"), "\"a\"\"b\"");
        assert_eq!(text("it's"), "'it''s'");
    }
}
