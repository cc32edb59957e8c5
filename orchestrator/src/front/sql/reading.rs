//! What may be asked: to read kept outputs, or which there are, and nothing else.

use datafusion::catalog::information_schema::INFORMATION_SCHEMA;
use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, Ident, ObjectName, ObjectNamePart, Select, SelectItem, SelectItemQualifiedWildcardKind, VisitMut, VisitorMut,
};
use flight_common::Fault;
use std::ops::ControlFlow;

/// The table of the schema about tables that tells how DataFusion is set.
const SETTINGS: &str = "df_settings";

/// Checks a statement before its tables are looked for, and writes the names of tables about tables as they are called.
///
/// # Errors
/// [`flight_common::FaultKind::Denied`] for what does not read, [`flight_common::FaultKind::BadParams`] for what would be
/// passed over.
pub(super) fn check_statement(state: &SessionState, statement: &mut Statement) -> Result<(), Fault> {
    match statement {
        Statement::Statement(inner) if reads(inner) => {
            queries::check_statement(state, inner).map_err(|refusal| refusal.fault)?;
            let _: ControlFlow<()> = inner.visit(&mut Names);
            Ok(())
        }
        Statement::Explain(explained) => check_statement(state, &mut explained.statement),
        other => {
            let text = other.to_string();
            let beginning = text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
            Err(no_query(&beginning))
        }
    }
}

fn reads(statement: &ast::Statement) -> bool {
    use ast::Statement::{Explain, ExplainTable, Query, ShowColumns, ShowFunctions, ShowTables, ShowVariable};
    match statement {
        Query(_) | ShowTables { .. } | ShowColumns { .. } | ShowFunctions { .. } | ShowVariable { .. } => true,
        ExplainTable { .. } => true,
        Explain { statement, .. } => reads(statement),
        _ => false,
    }
}

fn no_query(what: &str) -> Fault {
    Fault::denied(format!("this is no query: {what}")).help("kept outputs can only be read: begin with SELECT or WITH")
}

/// The names of tables, in `FROM` and before `.*`.
struct Names;

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
        lower_if_about_tables(name);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item {
                lower_if_about_tables(name);
            }
        }
        ControlFlow::Continue(())
    }
}

/// `INFORMATION_SCHEMA.TABLES` is often written so.
fn lower_if_about_tables(name: &mut ObjectName) {
    let is_schema = |ident: &Ident| ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case(INFORMATION_SCHEMA);
    if name.0.iter().rev().nth(1).and_then(ObjectNamePart::as_ident).is_some_and(is_schema) {
        for part in name.0.iter_mut().rev().take(2) {
            if let ObjectNamePart::Identifier(ident) = part {
                ident.value = ident.value.to_lowercase();
            }
        }
    }
}

/// Checks that a plan changes nothing, and does not show how the engine is set, which is not for everybody.
///
/// # Errors
/// [`flight_common::FaultKind::Denied`] for one that does.
pub(super) fn check_plan(plan: &LogicalPlan) -> Result<(), Fault> {
    let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reading.verify_plan(plan).map_err(|error| no_query(&queries::in_words(&error.strip_backtrace()).message))?;
    if shows_settings(plan)? {
        return Err(Fault::denied("settings are not shown")
            .help("SHOW TABLES, and the tables of information_schema, tell what can be read"));
    }
    Ok(())
}

/// Whether a name is one of the tables that tell of all others.
pub(super) fn is_about_tables(name: &TableReference) -> bool {
    name.schema() == Some(INFORMATION_SCHEMA)
}

fn shows_settings(plan: &LogicalPlan) -> Result<bool, Fault> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found |= is_about_tables(&scan.table_name) && scan.table_name.table() == SETTINGS;
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(queries::fault)?;
    Ok(found)
}
