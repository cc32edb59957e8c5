//! What a text says.
//!
//! The parser takes all that follows `IS DISTINCT FROM` for what is compared, also what stands behind an `AND` or `OR`
//! (sqlparser 0.62): `a IS DISTINCT FROM b AND c` is to be `(a IS DISTINCT FROM b) AND c`, as everywhere. So it gets an operator in the
//! place of these words, which binds as they should, and what it makes of that gets the words again.

use crate::{all_columns, any_of, intervals, order, shared_columns};
use datafusion::common::{Result, not_impl_err, plan_datafusion_err};
use datafusion::execution::SessionState;
use datafusion::sql::parser::{DFParser, DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, ExprWithAlias, Value, VisitMut, visit_expressions_mut};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::ops::ControlFlow;

const DIALECT: GenericDialect = GenericDialect {};
/// What the operators are called. No text can name them: operators are made of signs.
const DISTINCT: &str = "IS DISTINCT FROM";
const NOT_DISTINCT: &str = "IS NOT DISTINCT FROM";

/// The one statement of a text.
///
/// # Errors
/// The parser's, with the place.
pub fn statement(state: &SessionState, text: &str) -> Result<Statement> {
    let (mut parser, has_operators) = parser(state, text)?;
    let mut statements = parser.parse_statements()?;
    if statements.len() > 1 {
        return not_impl_err!("The context currently only supports a single SQL statement");
    }
    let Some(mut statement) = statements.pop_front() else {
        return Err(plan_datafusion_err!("No SQL statements were provided in the query string"));
    };
    if let Statement::Statement(statement) = &mut statement {
        if has_operators {
            in_words(statement.as_mut());
        }
        intervals::in_words(statement.as_mut());
        any_of::by_all(statement.as_mut());
        let in_small = state.config_options().sql_parser.enable_ident_normalization;
        shared_columns::by_table(statement.as_mut(), in_small);
        all_columns::by_table(statement.as_mut());
        shared_columns::on_one_table(statement.as_mut(), in_small);
        order::by_result(statement.as_mut());
    }
    Ok(statement)
}

/// The one expression of a text.
///
/// # Errors
/// The parser's, with the place.
pub fn expression(state: &SessionState, text: &str) -> Result<ExprWithAlias> {
    let (mut parser, has_operators) = parser(state, text)?;
    let mut said = parser.parse_into_expr()?;
    if has_operators {
        in_words(&mut said.expr);
    }
    intervals::in_words(&mut said.expr);
    any_of::by_all(&mut said.expr);
    Ok(said)
}

/// A parser of the text, and whether there are operators in the place of words.
fn parser(state: &SessionState, text: &str) -> Result<(DFParser<'static>, bool)> {
    let deepest = state.config_options().sql_parser.recursion_limit.get();
    let tokens = Tokenizer::new(&DIALECT, text).tokenize_with_location().map_err(ParserError::from)?;
    let (tokens, has_operators) = with_operators(tokens);
    let parser = DFParserBuilder::new(tokens).with_dialect(&DIALECT).with_recursion_limit(deepest).build()?;
    Ok((parser, has_operators))
}

/// The tokens with an operator for each `IS [NOT] DISTINCT FROM`, and whether there is any.
fn with_operators(tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, bool) {
    let mut made: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut found = false;
    for token in tokens {
        let words = if is(&token, Keyword::FROM) { words_before(&made) } else { None };
        match words {
            Some((first, operator)) => {
                let span = made[first].span.union(&token.span);
                made.truncate(first);
                made.push(TokenWithSpan::new(Token::CustomBinaryOperator(operator.to_owned()), span));
                found = true;
            }
            None => made.push(token),
        }
    }
    (made, found)
}

/// Where the words begin that a `FROM` ends here, and the operator for them; nothing if it ends none.
fn words_before(tokens: &[TokenWithSpan]) -> Option<(usize, &'static str)> {
    let mut before = tokens.iter().enumerate().rev().filter(|(_, it)| !matches!(it.token, Token::Whitespace(_)));
    before.next().filter(|(_, token)| is(token, Keyword::DISTINCT))?;
    let (place, token) = before.next()?;
    if is(token, Keyword::IS) {
        return Some((place, DISTINCT));
    }
    let (place, _) = before.next().filter(|(_, first)| is(token, Keyword::NOT) && is(first, Keyword::IS))?;
    Some((place, NOT_DISTINCT))
}

fn is(token: &TokenWithSpan, keyword: Keyword) -> bool {
    matches!(&token.token, Token::Word(word) if word.keyword == keyword)
}

/// Puts the words back.
fn in_words(said: &mut impl VisitMut) {
    let walked: ControlFlow<()> = visit_expressions_mut(said, |expr| {
        if let Expr::BinaryOp { left, op: BinaryOperator::Custom(operator), right } = expr {
            let side = |side: &mut Box<Expr>| std::mem::replace(side, Box::new(Expr::value(Value::Null)));
            match operator.as_str() {
                DISTINCT => *expr = Expr::IsDistinctFrom(side(left), side(right)),
                NOT_DISTINCT => *expr = Expr::IsNotDistinctFrom(side(left), side(right)),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    });
    debug_assert!(walked.is_continue());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session;
    use datafusion::execution::runtime_env::RuntimeEnv;
    use datafusion::prelude::SessionConfig;
    use std::sync::Arc;

    /// The same with brackets around all that has two sides.
    fn bracketed(mut said: Expr) -> String {
        let walked: ControlFlow<()> = visit_expressions_mut(&mut said, |expr| {
            if matches!(expr, Expr::BinaryOp { .. } | Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..)) {
                let inner = std::mem::replace(expr, Expr::value(Value::Null));
                *expr = Expr::Nested(Box::new(inner));
            }
            ControlFlow::Continue(())
        });
        assert!(walked.is_continue());
        said.to_string()
    }

    #[test]
    fn what_is_distinct_ends_where_its_operand_ends() {
        let state = session(SessionConfig::new(), Arc::new(RuntimeEnv::default())).build();
        for (text, read) in [
            ("a IS DISTINCT FROM b AND c", "((a IS DISTINCT FROM b) AND c)"),
            ("x AND a IS NOT DISTINCT FROM b OR c", "((x AND (a IS NOT DISTINCT FROM b)) OR c)"),
            (
                "a is distinct /* so */ from b + 1 or c is\nnot distinct from d and e",
                "((a IS DISTINCT FROM (b + 1)) OR ((c IS NOT DISTINCT FROM d) AND e))",
            ),
            ("a IS DISTINCT FROM b = c OR d", "((a IS DISTINCT FROM (b = c)) OR d)"),
            ("a IS DISTINCT FROM (b AND c)", "(a IS DISTINCT FROM ((b AND c)))"),
            ("NOT a IS DISTINCT FROM b AND c", "(NOT (a IS DISTINCT FROM b) AND c)"),
            (
                "a IS DISTINCT FROM (SELECT b FROM t WHERE b IS DISTINCT FROM c AND d) AND e",
                "((a IS DISTINCT FROM (SELECT b FROM t WHERE ((b IS DISTINCT FROM c) AND d))) AND e)",
            ),
        ] {
            let parsed = expression(&state, text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(bracketed(parsed.expr), read);
        }
    }

    #[test]
    fn what_is_no_query_is_told_as_ever() {
        let state = session(SessionConfig::new(), Arc::new(RuntimeEnv::default())).build();
        let query = "SELECT DISTINCT a FROM t WHERE a IS NOT DISTINCT FROM b AND c;";
        assert_eq!(format!("{};", statement(&state, query).expect("a query")), query);
        for wrong in
            ["SELECT 1 FROM t WHERE a IS DISTINCT FROM", "SELECT a IS DISTINCT FROM b AND", "SELECT 1; SELECT 2"]
        {
            assert!(statement(&state, wrong).is_err(), "{wrong}");
        }
    }
}
