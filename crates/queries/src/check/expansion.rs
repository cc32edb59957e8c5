//! Queries of `WITH` that name each other: each use of one is planned anew, so that two uses within each other of thirty
//! queries make a thousand million.

use datafusion::sql::sqlparser::ast::{ObjectName, Query, Statement, Visit, Visitor};
use flight_common::Fault;
use std::collections::HashMap;
use std::ops::ControlFlow;

/// Tables and subqueries that a query may have once all uses are written out.
const MOST: u64 = 2_000;

/// Checks a statement.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] if it has more.
pub(super) fn check(statement: &Statement) -> Result<(), Fault> {
    match statement.visit(&mut Expansion::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            Err(Fault::bad_params(format!("the queries of WITH come to more than {MOST} when each use is written out"))
                .help("let a step of its own compute what is used often"))
        }
    }
}

/// What has been seen of a statement.
#[derive(Default)]
struct Expansion {
    /// What the queries come to that are being looked at, from the outermost.
    sizes: Vec<u64>,
    /// The names of queries of `WITH` that are still to be looked at, by where they are.
    names: HashMap<*const Query, String>,
    /// Those that are known: in the query of which depth, the name, and what they come to.
    known: Vec<(usize, String, u64)>,
}

impl Expansion {
    fn add(&mut self, size: u64) -> ControlFlow<()> {
        let Some(sum) = self.sizes.last_mut() else { return ControlFlow::Continue(()) };
        *sum = sum.saturating_add(size);
        if *sum > MOST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Visitor for Expansion {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.names.insert(&raw const *table.query, table.alias.name.value.clone());
        }
        self.sizes.push(1);
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = relation.0.first().and_then(|part| part.as_ident()).filter(|_| relation.0.len() == 1);
        let used =
            name.and_then(|name| self.known.iter().rev().find(|(_, known, _)| known.eq_ignore_ascii_case(&name.value)));
        self.add(used.map_or(1, |(.., size)| *size))
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let size = self.sizes.pop().unwrap_or_default();
        let depth = self.sizes.len();
        self.known.retain(|(known, ..)| *known <= depth);
        match self.names.remove(&(&raw const *query)) {
            Some(name) => {
                self.known.push((depth, name, size));
                ControlFlow::Continue(())
            }
            None => self.add(size),
        }
    }
}
