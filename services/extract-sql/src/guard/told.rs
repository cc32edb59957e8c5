//! What the text of a query tells of the types that its columns have, where the database tells none.
//!
//! SQLite knows the declared type of a column and nothing of an expression, not even of a cast (its manual,
//! `sqlite3_column_decltype`). A cast tells here, and a function that always gives the same.

use sqlparser::ast::{Expr, Query, SelectItem, SetExpr, Statement};

/// Functions of SQLite that give a value of one type, or null (its manual, *Built-In Aggregate Functions* and *Window
/// Functions*). A `sum` may give whole numbers or floats.
const GIVEN: [(&str, &str); 6] = [
    ("avg", "REAL"),
    ("count", "INTEGER"),
    ("dense_rank", "INTEGER"),
    ("rank", "INTEGER"),
    ("row_number", "INTEGER"),
    ("total", "REAL"),
];

/// For each column of the rows the type that it is cast to, where that can be told. Nothing at all for a query that does not
/// list its columns.
pub fn types(statements: &[Statement]) -> Vec<Option<String>> {
    match statements {
        [Statement::Query(query)] => of_query(query).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn of_query(query: &Query) -> Option<Vec<Option<String>>> {
    of_body(&query.body)
}

/// Both sides of a `UNION` must agree.
fn of_body(body: &SetExpr) -> Option<Vec<Option<String>>> {
    match body {
        SetExpr::Select(select) => select.projection.iter().map(of_item).collect(),
        SetExpr::Query(query) => of_query(query),
        SetExpr::SetOperation { left, right, .. } => {
            let (left, right) = (of_body(left)?, of_body(right)?);
            let agreed =
                |(left, right): (Option<String>, Option<String>)| left.filter(|left| right.as_ref() == Some(left));
            (left.len() == right.len()).then(|| left.into_iter().zip(right).map(agreed).collect())
        }
        _ => None,
    }
}

/// Nothing for what may be several columns.
fn of_item(item: &SelectItem) -> Option<Option<String>> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(of_expr(expr)),
        _ => None,
    }
}

fn of_expr(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) => of_expr(inner),
        Expr::Cast { data_type, .. } => Some(data_type.to_string()),
        Expr::Function(function) => {
            let name = function.name.to_string();
            let given = GIVEN.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
            given.map(|(_, data_type)| (*data_type).to_owned())
        }
        _ => None,
    }
}
