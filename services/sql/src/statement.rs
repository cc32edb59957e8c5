//! What may be asked: one query, of a length and depth that can be worked with, over tables that there are.

use crate::{calls, clauses, faults};
use datafusion::common::TableReference;
use datafusion::config::Dialect;
use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Word};
use flight_common::Fault;
use flight_common::params::did_you_mean;

/// Bytes of the longest query.
const LONGEST: usize = 256 << 10;
/// Operators in a query: each may nest what it joins one deeper.
const MOST_OPERATORS: usize = 5_000;

/// Functions that stand where a table may, and make rows from nothing but their arguments.
const TABLE_FUNCTIONS: [&str; 2] = ["generate_series", "range"];

/// Reads a query.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for what is no query, or too much of one.
pub fn parse(state: &SessionState, query: &str) -> Result<Statement, Fault> {
    if query.len() > LONGEST {
        return Err(faults::query(format!("the query has {} bytes, and {LONGEST} is the most", query.len()))
            .help("join with an input instead of listing values"));
    }
    let operators = count_operators(query);
    if operators > MOST_OPERATORS {
        return Err(faults::query(format!("the query has {operators} operators, and {MOST_OPERATORS} is the most"))
            .help("write x IN (…) for x = … OR x = …, or join with an input"));
    }
    let statement = state.sql_to_statement(query, &Dialect::Generic).map_err(|error| faults::of_plan(&error))?;
    match &statement {
        Statement::Statement(inner) if matches!(**inner, ast::Statement::Query(_)) => {
            clauses::check(inner)?;
            calls::check(state, inner)?;
            Ok(statement)
        }
        other => Err(faults::query(format!("this is no query: {}", first_words(&other.to_string())))
            .help("a step asks, and changes nothing: begin with SELECT or WITH")),
    }
}

fn first_words(text: &str) -> String {
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// What cannot be read as tokens is told by the parser.
fn count_operators(query: &str) -> usize {
    let tokens = Tokenizer::new(&GenericDialect {}, query).tokenize().unwrap_or_default();
    tokens.iter().filter(|token| is_operator(token)).count()
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(Word { keyword, .. }) => matches!(
            keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::JOIN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::AT
                | Keyword::COLLATE
        ),
        Token::EOF
        | Token::Number(..)
        | Token::Char(_)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::Comma
        | Token::Whitespace(_)
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::SemiColon => false,
        _ => true,
    }
}

/// Looks the tables of a query up among those that there are, and the other way round.
///
/// # Errors
/// [`flight_common::FaultKind::BadSchema`] for a table that is no input, [`flight_common::FaultKind::BadParams`] for an
/// input that the query does not name.
pub fn check_tables(state: &SessionState, statement: &Statement, inputs: &[String]) -> Result<(), Fault> {
    let named = state.resolve_table_references(statement).map_err(|error| faults::of_plan(&error))?;
    for table in &named {
        let known = match table {
            TableReference::Bare { table } => {
                inputs.iter().any(|input| **input == **table) || TABLE_FUNCTIONS.contains(&&**table)
            }
            _ => false,
        };
        if !known {
            let name = table.to_string().replace('"', "");
            let fault = faults::schema(format!("there is no table \"{name}\" among the inputs"));
            return Err(fault.help(did_you_mean(&name, inputs.iter().map(String::as_str))));
        }
    }
    match inputs.iter().find(|input| !named.iter().any(|table| table.table() == input.as_str())) {
        Some(unused) => Err(faults::query(format!("the query does not read the input \"{unused}\""))
            .help("take it out of `inputs`; to come after a step without its rows, name it in `depends_on`")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nests_is_counted_and_what_only_lists_is_not() {
        assert_eq!(count_operators("SELECT a, b FROM t WHERE x IN ('2024-01-01', 'a+b', \"c-d\", 3.5)"), 0);
        assert_eq!(count_operators("SELECT -a + b * 2 FROM t WHERE NOT a = 1 AND b IS NULL"), 7);
        assert_eq!(count_operators("SELECT 1 UNION SELECT 2 UNION ALL SELECT x::int FROM t"), 3);
    }
}
