//! Functions called as what they are: those of windows with `OVER`, and those of single values without.
//!
//! DataFusion does not know a window function without `OVER`, and passes over an `OVER` or a `FILTER` that means nothing.
//! It takes a pattern of another database for text that is to be written as it is, and of lines through points (`regr_slope`) passes
//! over a `DISTINCT`.

use crate::faults::Refusal;
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    ObjectNamePart, Statement, Value, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::Location;
use flight_common::{Fault, TextPlace};
use std::ops::ControlFlow;

/// Checks all calls of a statement.
///
/// # Errors
/// The first that is wrong.
pub(super) fn check(state: &SessionState, statement: &Statement) -> Result<(), Refusal> {
    match statement.visit(&mut Calls { state }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refusal) => Err(refusal),
    }
}

struct Calls<'a> {
    state: &'a SessionState,
}

impl Visitor for Calls<'_> {
    type Break = Refusal;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Refusal> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return ControlFlow::Continue(()) };
        match self.offence(function, &name.value.to_lowercase()) {
            Some(fault) => {
                let Location { line, column } = name.span.start;
                ControlFlow::Break(Refusal { fault, place: Some(TextPlace { line, column }) })
            }
            None => ControlFlow::Continue(()),
        }
    }
}

impl Calls<'_> {
    fn offence(&self, function: &Function, name: &str) -> Option<Fault> {
        let is_scalar = self.state.scalar_functions().contains_key(name);
        let is_aggregate = self.state.aggregate_functions().contains_key(name);
        let is_window = self.state.window_functions().contains_key(name);
        if is_window && !is_aggregate && !is_scalar && function.over.is_none() {
            let fault = Fault::bad_params(format!("{name} is a function of windows, and stands without OVER"));
            return Some(fault.help(format!("write {name}(…) OVER (ORDER BY …)")));
        }
        if matches!(name, "to_char" | "date_format")
            && let Some(pattern) = second_text(function).filter(|pattern| !pattern.contains('%'))
        {
            let fault = Fault::bad_params(format!("the pattern '{pattern}' of {name} names no part of a time"));
            return Some(
                fault.help("write year, month and day as in '%Y-%m-%d', and hour, minute and second as '%H:%M:%S'"),
            );
        }
        if name.starts_with("regr_") && is_distinct(function) {
            let fault = Fault::bad_params(format!("DISTINCT within {name} is not understood here"));
            return Some(fault.help("compute it of a subquery: FROM (SELECT DISTINCT y, x FROM …)"));
        }
        let word = meaningless(function).filter(|_| is_scalar && !is_aggregate && !is_window)?;
        let fault = Fault::bad_params(format!("{word} means nothing with {name}, which takes one row at a time"));
        Some(fault.help("leave it out"))
    }
}

/// The second argument, if it is written out as a text.
fn second_text(function: &Function) -> Option<&str> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) = list.args.get(1)? else { return None };
    match &value.value {
        Value::SingleQuotedString(text) => Some(text),
        _ => None,
    }
}

fn is_distinct(function: &Function) -> bool {
    let FunctionArguments::List(list) = &function.args else { return false };
    list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
}

/// What only functions of many rows have.
fn meaningless(function: &Function) -> Option<&'static str> {
    let (distinct, clauses) = match &function.args {
        FunctionArguments::List(list) => (list.duplicate_treatment.is_some(), list.clauses.as_slice()),
        _ => (false, &[][..]),
    };
    let sorts = clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
    let words = [
        (function.over.is_some(), "OVER"),
        (function.filter.is_some(), "FILTER"),
        (!function.within_group.is_empty(), "WITHIN GROUP"),
        (distinct, "DISTINCT or ALL"),
        (sorts, "ORDER BY"),
    ];
    words.into_iter().find(|(is_there, _)| *is_there).map(|(_, word)| word)
}
