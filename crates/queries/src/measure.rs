//! A query of a length and depth that can be worked with: what DataFusion does with it, it does by recursion, and a stack
//! that overflows ends the process. Within these bounds [`flight_common::compute::run_deep`] has the stack to plan it.

use crate::literals::check_number_tokens;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Word};
use flight_common::Fault;

/// Bytes of the longest query.
const LONGEST: usize = 256 << 10;
/// Operators in a query: each may nest what it joins one deeper.
const MOST_OPERATORS: usize = 5_000;
/// Levels of expressions within each other, and of what a query is made of: each takes a piece of the stack of whoever
/// computes it.
const DEEPEST: usize = 200;

/// Whether a query's text can be planned.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for one that is too long, or nests too much, or has numbers that would be rounded.
pub fn check_text(query: &str) -> Result<(), Fault> {
    if query.len() > LONGEST {
        return Err(Fault::bad_params(format!("the query has {} bytes, and {LONGEST} is the most", query.len()))
            .help("join with an input instead of listing values"));
    }
    // What cannot be read as tokens is told by the parser.
    let tokens = Tokenizer::new(&GenericDialect {}, query).tokenize().unwrap_or_default();
    let operators = tokens.iter().filter(|token| is_operator(token)).count();
    if operators > MOST_OPERATORS {
        return Err(Fault::bad_params(format!(
            "the query has {operators} operators, and {MOST_OPERATORS} is the most"
        ))
        .help("write x IN (…) for x = … OR x = …, or join with an input"));
    }
    check_number_tokens(&tokens)
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

/// Whether whoever computes a plan has the stack for it.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for a plan that nests too deep.
pub fn check_depth(plan: &LogicalPlan) -> Result<(), Fault> {
    held("query", plan_depth(plan).max(expression_depth(plan).map_err(Fault::internal)?))
}

/// The same for an expression that stands alone. `what` is what it is called.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for one that nests too deep.
pub fn check_expression(expression: &Expr, what: &str) -> Result<(), Fault> {
    held(what, depth_of(expression).map_err(Fault::internal)?)
}

fn held(what: &str, depth: usize) -> Result<(), Fault> {
    match depth > DEEPEST {
        true => Err(Fault::bad_params(format!("the {what} nests {depth} levels deep, and {DEEPEST} is the most"))
            .help("write x IN (…) for x = … OR x = …, or do it in two steps")),
        false => Ok(()),
    }
}

fn plan_depth(plan: &LogicalPlan) -> usize {
    1 + plan.inputs().into_iter().map(plan_depth).max().unwrap_or(0)
}

/// The depth of the deepest expression anywhere in the plan.
fn expression_depth(plan: &LogicalPlan) -> datafusion::common::Result<usize> {
    let mut deepest = 0;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            deepest = deepest.max(depth_of(expression)?);
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(deepest)
}

fn depth_of(expression: &Expr) -> datafusion::common::Result<usize> {
    let mut deepest = 0;
    expression.apply_children(|child| {
        deepest = deepest.max(depth_of(child)?);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(deepest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_operators(query: &str) -> usize {
        let tokens = Tokenizer::new(&GenericDialect {}, query).tokenize().expect("tokens");
        tokens.iter().filter(|token| is_operator(token)).count()
    }

    #[test]
    fn what_nests_is_counted_and_what_only_lists_is_not() {
        assert_eq!(count_operators("SELECT a, b FROM t WHERE x IN ('2024-01-01', 'a+b', \"c-d\", 3.5)"), 0);
        assert_eq!(count_operators("SELECT -a + b * 2 FROM t WHERE NOT a = 1 AND b IS NULL"), 7);
        assert_eq!(count_operators("SELECT 1 UNION SELECT 2 UNION ALL SELECT x::int FROM t"), 3);
    }
}
