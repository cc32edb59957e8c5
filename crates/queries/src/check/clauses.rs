//! Clauses that the parser knows and DataFusion passes over, most of other databases, or answers wrongly: each would be a
//! wrong answer.
//!
//! What the parser gives is taken apart to its last field, so that a clause which a newer parser knows does not compile
//! until somebody has looked at it.

use crate::using::called;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Cte, Distinct, Expr, Function, FunctionArguments, GroupByExpr, GroupByWithModifier, Join,
    JoinConstraint, JoinOperator, LimitClause, NamedWindowDefinition, NamedWindowExpr, OrderBy, OrderByExpr,
    OrderByKind, Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier, Statement, TableFactor,
    TableWithJoins, Visit, Visitor, WindowType, With,
};
use flight_common::Fault;
use std::ops::ControlFlow;

/// Checks a query, and all queries within it.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for the first clause that would be passed over.
pub(super) fn check(statement: &Statement) -> Result<(), Fault> {
    match statement.visit(&mut Clauses) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(Unknown { clause, help }) => {
            Err(Fault::bad_params(format!("{clause} is not understood here")).help(help))
        }
    }
}

/// A clause, and what to write instead.
struct Unknown {
    clause: &'static str,
    help: &'static str,
}

const LEAVE_OUT: &str = "leave it out";
const BASED: &str = "a window that goes on from a named one";
const LEVELS: &str = "join the table with itself, once for each level; generate_series(1, 10) counts";
const NUMBER: &str =
    "leave ALL out, or number equal rows first: row_number() OVER (PARTITION BY …) as a column of both";
const WHOLE: &str = "write PARTITION BY, ORDER BY and the frame out in each";
const SAMPLE: &str = "write WHERE random() < 0.1 for a tenth of the rows, or LIMIT";

struct Clauses;

impl Visitor for Clauses {
    type Break = Unknown;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Unknown> {
        first(of_query(query))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Unknown> {
        first(of_select(select))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Unknown> {
        first(of_table(factor))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Unknown> {
        match expr {
            Expr::Function(function) => first(of_function(function)),
            Expr::BinaryOp { op: BinaryOperator::BitwiseXor, .. } => {
                first([(true, "^", "write power(a, b); what other databases call XOR is (a | b) - (a & b)")])
            }
            Expr::BinaryOp { left, op, right } if is_of_bits(op) => {
                let mixed = [left, right].into_iter().any(
                    |side| matches!(&**side, Expr::BinaryOp { op: other, .. } if is_of_bits(other) && other != op),
                );
                first([(mixed, "an operator of bits beside another one", "put brackets: a | (b & c)")])
            }
            Expr::SimilarTo { .. } => {
                first([(true, "SIMILAR TO", "write ~ '^(…)$' with a regular expression, or LIKE")])
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Of these it depends on the database which one comes first.
fn is_of_bits(op: &BinaryOperator) -> bool {
    use BinaryOperator::{BitwiseAnd, BitwiseOr, PGBitwiseShiftLeft, PGBitwiseShiftRight, PGBitwiseXor};
    matches!(op, BitwiseAnd | BitwiseOr | PGBitwiseShiftLeft | PGBitwiseShiftRight | PGBitwiseXor)
}

/// Whether a clause is there, its name, and what to write instead.
type Clause = (bool, &'static str, &'static str);

fn first(clauses: impl IntoIterator<Item = Clause>) -> ControlFlow<Unknown> {
    match clauses.into_iter().find(|(is_there, ..)| *is_there) {
        Some((_, clause, help)) => ControlFlow::Break(Unknown { clause, help }),
        None => ControlFlow::Continue(()),
    }
}

fn of_query(query: &Query) -> Vec<Clause> {
    let Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        // DataFusion refuses those that it does not know.
        pipe_operators: _,
    } = query;
    let by = matches!(limit_clause, Some(LimitClause::LimitOffset { limit_by, .. }) if !limit_by.is_empty());
    let mut clauses = vec![
        (by, "LIMIT … BY", "write QUALIFY row_number() OVER (PARTITION BY …) <= …"),
        (fetch.is_some(), "FETCH", "write LIMIT"),
        (!locks.is_empty(), "FOR UPDATE or FOR SHARE", "leave it out: nothing is locked here"),
        (for_clause.is_some(), "FOR XML, FOR JSON or FOR BROWSE", LEAVE_OUT),
        (settings.is_some(), "SETTINGS", "leave it out: a query sets nothing"),
        (format_clause.is_some(), "FORMAT", "leave it out: the next step writes the rows"),
    ];
    clauses.push((orders_twice(body, order_by.as_ref()), "a column twice in ORDER BY, beside DISTINCT ON", LEAVE_OUT));
    clauses.extend(of_body(body));
    clauses.extend(with.iter().flat_map(of_with));
    clauses.extend(order_by.iter().flat_map(of_order));
    clauses
}

/// DataFusion loses count of what the order of `DISTINCT ON` is by, and panics.
fn orders_twice(body: &SetExpr, order: Option<&OrderBy>) -> bool {
    let (SetExpr::Select(select), Some(OrderBy { kind: OrderByKind::Expressions(by), .. })) = (body, order) else {
        return false;
    };
    let is_twice = |place: usize| by[..place].iter().any(|before| before.expr == by[place].expr);
    matches!(select.distinct, Some(Distinct::On(_))) && (0..by.len()).any(is_twice)
}

/// Queries put together. Those in brackets are visited by themselves.
fn of_body(body: &SetExpr) -> Vec<Clause> {
    let SetExpr::SetOperation { op, set_quantifier, left, right } = body else { return Vec::new() };
    let is_all = matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName);
    let mut clauses = vec![
        (is_all && *op == SetOperator::Intersect, "INTERSECT ALL", NUMBER),
        (is_all && matches!(op, SetOperator::Except | SetOperator::Minus), "EXCEPT ALL", NUMBER),
    ];
    clauses.extend(of_body(left));
    clauses.extend(of_body(right));
    clauses
}

fn of_with(with: &With) -> impl Iterator<Item = Clause> {
    let With { with_token: _, recursive, cte_tables } = with;
    let tables = cte_tables.iter().map(|table| {
        let Cte { alias: _, query: _, from, materialized: _, closing_paren_token: _ } = table;
        (from.is_some(), "FROM after a query of WITH", LEAVE_OUT)
    });
    // What it keeps for its next round nothing bounds.
    tables.chain([(*recursive, "WITH RECURSIVE", LEVELS)])
}

fn of_order(order: &OrderBy) -> Vec<Clause> {
    let OrderBy { kind, interpolate } = order;
    let expressions: &[OrderByExpr] = match kind {
        OrderByKind::All(_) => &[],
        OrderByKind::Expressions(expressions) => expressions,
    };
    let fills = expressions.iter().any(|expression| {
        let OrderByExpr { expr: _, options: _, with_fill } = expression;
        with_fill.is_some()
    });
    let join = "join with generate_series(…) for the rows that are missing";
    vec![(interpolate.is_some(), "INTERPOLATE", join), (fills, "WITH FILL", join)]
}

fn of_select(select: &Select) -> Vec<Clause> {
    let Select {
        select_token: _,
        // They only make a query faster.
        optimizer_hints: _,
        distinct: _,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection,
        exclude,
        into: _,
        from,
        lateral_views,
        prewhere,
        selection: _,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having: _,
        named_window,
        qualify: _,
        window_before_qualify: _,
        value_table_mode,
        flavor: _,
    } = select;
    let mut clauses = vec![
        (select_modifiers.is_some(), "a word such as SQL_CALC_FOUND_ROWS after SELECT", LEAVE_OUT),
        (top.is_some(), "TOP", "write LIMIT at the end of the query"),
        (exclude.is_some(), "EXCLUDE after the columns", "write it after the star: * EXCLUDE (…)"),
        (!lateral_views.is_empty(), "LATERAL VIEW", "write SELECT unnest(…)"),
        (prewhere.is_some(), "PREWHERE", "write WHERE"),
        (!connect_by.is_empty(), "START WITH or CONNECT BY", LEVELS),
        (!cluster_by.is_empty(), "CLUSTER BY", "write ORDER BY"),
        (!distribute_by.is_empty(), "DISTRIBUTE BY", LEAVE_OUT),
        (!sort_by.is_empty(), "SORT BY", "write ORDER BY"),
        (value_table_mode.is_some(), "SELECT AS STRUCT or AS VALUE", "name the columns"),
    ];
    let based = |named: &NamedWindowDefinition| match &named.1 {
        NamedWindowExpr::WindowSpec(window) => window.window_name.is_some(),
        NamedWindowExpr::NamedWindow(_) => false,
    };
    clauses.push((named_window.iter().any(based), BASED, WHOLE));
    clauses.extend(of_groups(group_by));
    clauses.extend(from.iter().flat_map(of_joins));
    let all = projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_)));
    clauses.extend(from.iter().filter(|_| all).flat_map(of_all_columns));
    clauses
}

fn of_groups(groups: &GroupByExpr) -> impl Iterator<Item = Clause> {
    let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) = groups;
    modifiers.iter().map(|modifier| match modifier {
        GroupByWithModifier::Rollup => (true, "WITH ROLLUP", "write GROUP BY ROLLUP (…)"),
        GroupByWithModifier::Cube => (true, "WITH CUBE", "write GROUP BY CUBE (…)"),
        GroupByWithModifier::Totals => (true, "WITH TOTALS", "write GROUP BY GROUPING SETS ((…), ())"),
        GroupByWithModifier::GroupingSets(_) => {
            (true, "GROUPING SETS after the groups", "write GROUP BY GROUPING SETS (…)")
        }
    })
}

fn of_joins(from: &TableWithJoins) -> impl Iterator<Item = Clause> {
    // DataFusion refuses the kinds of joins that it does not know.
    let TableWithJoins { relation: _, joins } = from;
    joins.iter().flat_map(|join| {
        let Join { relation: _, global, join_operator } = join;
        [(*global, "GLOBAL", LEAVE_OUT), of_join(join_operator)]
    })
}

/// Of a column that both sides share, `*` gives the one whose table comes first by its name, and not the left one. Where all
/// tables have names, it was written out before ([`crate::all_columns`]): this is the rest.
fn of_all_columns(from: &TableWithJoins) -> Vec<Clause> {
    let mut names = vec![sorted_by(&from.relation)];
    let mut clauses = within(&from.relation);
    for join in &from.joins {
        let right = sorted_by(&join.relation);
        let comes_first = right.is_none() || names.iter().any(|left| left.is_none() || *left > right);
        let (shares, clause, help) = of_shared(&join.join_operator);
        clauses.push((shares && comes_first, clause, help));
        clauses.extend(within(&join.relation));
        names.push(right);
    }
    clauses
}

/// Those of tables in brackets.
fn within(factor: &TableFactor) -> Vec<Clause> {
    match factor {
        TableFactor::NestedJoin { table_with_joins, alias: None } => of_all_columns(table_with_joins),
        _ => Vec::new(),
    }
}

/// Whether both sides of a join share columns, of which `*` is to give one that the right side may not have. Of inner joins both
/// are the same, and stand where DataFusion puts them.
fn of_shared(join: &JoinOperator) -> Clause {
    use JoinConstraint::{Natural, Using};
    use JoinOperator::{Left, LeftOuter};
    const WRITE_OUT: &str =
        "name the columns, or write a.*, b.* EXCEPT (id) and a name for each table: (SELECT …) AS b";
    const USING: &str = "write USING (…), or name the columns";
    match join {
        Left(Using(_)) | LeftOuter(Using(_)) => (true, "* over LEFT JOIN with USING", WRITE_OUT),
        Left(Natural) | LeftOuter(Natural) => (true, "* over NATURAL LEFT JOIN", USING),
        _ => (false, "", ""),
    }
}

/// What DataFusion sorts the columns of a table by: how many parts its name has, and then these.
fn sorted_by(factor: &TableFactor) -> Option<(usize, Vec<String>)> {
    let name = called(factor)?;
    let parts: Option<Vec<String>> = name.0.iter().map(|part| Some(part.as_ident()?.value.clone())).collect();
    parts.map(|parts| (parts.len(), parts))
}

/// Of a join that keeps rows of its right side, a column that both sides share would be the left one's alone.
fn of_join(join: &JoinOperator) -> Clause {
    use JoinConstraint::{Natural, None, Using};
    use JoinOperator::{FullOuter, Inner, Join, Right, RightOuter};
    const COALESCE: &str = "write ON, and coalesce(a.id, b.id)";
    match join {
        Join(None) | Inner(None) => (true, "JOIN without ON or USING", "write CROSS JOIN for all pairs"),
        Right(Natural | Using(_)) | RightOuter(Natural | Using(_)) => {
            (true, "RIGHT JOIN with USING or NATURAL", COALESCE)
        }
        FullOuter(Natural | Using(_)) => (true, "FULL JOIN with USING or NATURAL", COALESCE),
        _ => (false, "", ""),
    }
}

fn of_table(factor: &TableFactor) -> Vec<Clause> {
    match factor {
        TableFactor::Table {
            name: _,
            alias: _,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => vec![
            (args.as_ref().is_some_and(|args| args.settings.is_some()), "SETTINGS", LEAVE_OUT),
            (!with_hints.is_empty(), "WITH (…) after a table", LEAVE_OUT),
            (version.is_some(), "a moment or version of a table", LEAVE_OUT),
            (*with_ordinality, "WITH ORDINALITY", "write row_number() OVER ()"),
            (!partitions.is_empty(), "PARTITION after a table", "write WHERE"),
            (json_path.is_some(), "a path after a table", "write unnest(…)"),
            (sample.is_some(), "TABLESAMPLE or SAMPLE", SAMPLE),
            (!index_hints.is_empty(), "a hint for an index", LEAVE_OUT),
        ],
        TableFactor::Derived { lateral: _, subquery: _, alias: _, sample } => {
            vec![(sample.is_some(), "TABLESAMPLE or SAMPLE", SAMPLE)]
        }
        TableFactor::Function { lateral: _, name: _, args: _, with_ordinality, alias: _ } => {
            vec![(*with_ordinality, "WITH ORDINALITY", "write row_number() OVER ()")]
        }
        TableFactor::NestedJoin { table_with_joins, alias: _ } => of_joins(table_with_joins).collect(),
        // DataFusion knows all of UNNEST or says so, and nothing of the others.
        _ => Vec::new(),
    }
}

fn of_function(function: &Function) -> Vec<Clause> {
    let Function {
        name: _,
        uses_odbc_syntax: _,
        parameters,
        args: _,
        filter: _,
        null_treatment: _,
        over,
        within_group: _,
    } = function;
    let based = matches!(over, Some(WindowType::WindowSpec(window)) if window.window_name.is_some());
    vec![
        (based, BASED, WHOLE),
        (!matches!(parameters, FunctionArguments::None), "a second list of arguments", LEAVE_OUT),
    ]
}
