//! A query of a length and depth that can be worked with: what DataFusion does with it, it does by recursion, and a stack
//! that overflows ends the process. Within these bounds [`flight_common::compute::run_deep`] has the stack to plan it.

use crate::literals::check_number_tokens;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::Exists;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Word};
use flight_common::Fault;

/// Bytes of the longest query.
const LONGEST: usize = 256 << 10;
/// Operators in a query: each may nest what it joins one deeper.
const MOST_OPERATORS: usize = 5_000;
/// Parts of the largest expression, once all are written into each other; values are none.
const LARGEST: usize = 50_000;
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

/// Whether the expressions of a plan stay of a size that can be worked with when they are written into each other: what names a
/// computed column twice, again and again, comes to thousands of millions in a few lines.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for a plan with a larger one.
pub(crate) fn check_size(plan: &LogicalPlan) -> Result<(), Fault> {
    let mut largest = 0;
    columns_of(plan, &mut largest).map_err(Fault::internal)?;
    match largest > LARGEST {
        true => Err(Fault::bad_params(format!(
            "the expressions of the query come to more than {LARGEST} parts when each computed column is written out"
        ))
        .help("name a computed column fewer times, or let a step of its own compute it")),
        false => Ok(()),
    }
}

/// The parts of the expression behind each column that comes out of a plan, as far as such are written into what reads them.
fn columns_of(plan: &LogicalPlan, largest: &mut usize) -> datafusion::common::Result<Vec<usize>> {
    let inputs = plan.inputs().into_iter();
    let mut inputs: Vec<_> = inputs
        .map(|input| Ok((input.schema(), columns_of(input, largest)?)))
        .collect::<Result<_, DataFusionError>>()?;
    // What reads several inputs reads their columns as they are.
    let below = inputs.pop().filter(|_| inputs.is_empty());
    let mut sizes = Vec::new();
    plan.apply_expressions(|expression| {
        let mut size = 0_usize;
        expression.apply(|part| {
            let behind = match (part, &below) {
                (Expr::Literal(..), _) => Some(0),
                (Expr::Column(column), Some((schema, sizes))) => {
                    schema.maybe_index_of_column(column).and_then(|place| sizes.get(place)).copied()
                }
                (Expr::ScalarSubquery(inner) | Expr::Exists(Exists { subquery: inner, .. }), _) => {
                    columns_of(&inner.subquery, largest)?;
                    None
                }
                (Expr::InSubquery(inner), _) => {
                    columns_of(&inner.subquery.subquery, largest)?;
                    None
                }
                _ => None,
            };
            size = size.saturating_add(behind.unwrap_or(1));
            Ok(TreeNodeRecursion::Continue)
        })?;
        *largest = size.max(*largest);
        sizes.push(size);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(match (plan, below) {
        (LogicalPlan::Projection(_), _) => sizes,
        (
            LogicalPlan::SubqueryAlias(_) | LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_),
            Some((_, below)),
        )
        | (LogicalPlan::Distinct(Distinct::All(_)), Some((_, below))) => below,
        _ => vec![1; plan.schema().fields().len()],
    })
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
