//! What the parsed statement holds, at any depth: nothing but queries; and which tables they name.

use sqlparser::ast::{Ident, Query, Select, SetExpr, Statement, TableFactor, Visit, Visitor};
use sqlparser::keywords::Keyword;
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Why a statement does more than read.
pub struct Offence {
    /// The word to show.
    pub word: String,
    /// The keyword to look for, to tell its place.
    pub keyword: Keyword,
    /// Why it is refused.
    pub why: &'static str,
}

/// Checks what was parsed, and tells the tables that it names, each once.
///
/// # Errors
/// The first thing that does more than read.
pub fn check(statements: &[Statement]) -> Result<Vec<Vec<Ident>>, Offence> {
    let mut visitor = ReadsOnly::default();
    for statement in statements {
        if let ControlFlow::Break(offence) = statement.visit(&mut visitor) {
            return Err(offence);
        }
    }
    let ReadsOnly { tables, named } = visitor;
    // A name of one part that a WITH gives is no table.
    let is_table = |table: &Vec<Ident>| !matches!(&table[..], [name] if named.contains(&name.value.to_lowercase()));
    let mut tables: Vec<Vec<Ident>> = tables.into_iter().filter(is_table).collect();
    tables.sort();
    tables.dedup();
    Ok(tables)
}

#[derive(Default)]
struct ReadsOnly {
    tables: Vec<Vec<Ident>>,
    /// What `WITH` gives names to, in small letters.
    named: HashSet<String>,
}

const WRITES: &str = "it writes, and the step only reads";

impl Visitor for ReadsOnly {
    type Break = Offence;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Offence> {
        // With arguments it is a function.
        if let TableFactor::Table { name, args: None, .. } = factor {
            let parts: Option<Vec<Ident>> = name.0.iter().map(|part| part.as_ident().cloned()).collect();
            self.tables.extend(parts);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Offence> {
        let given = query.with.iter().flat_map(|with| &with.cte_tables);
        self.named.extend(given.map(|table| table.alias.name.value.to_lowercase()));
        let offence = match writes(&query.body) {
            Some((word, keyword)) => Some((word, keyword, WRITES)),
            None => (!query.locks.is_empty()).then_some(("FOR", Keyword::FOR, "it locks rows")),
        };
        broken(offence)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Offence> {
        broken(select.into.as_ref().map(|_| ("INTO", Keyword::INTO, WRITES)))
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Offence> {
        match statement {
            Statement::Query(_) => ControlFlow::Continue(()),
            other => {
                let text = other.to_string();
                let word = text.split_whitespace().next().unwrap_or_default().to_owned();
                ControlFlow::Break(Offence { word, keyword: Keyword::NoKeyword, why: WRITES })
            }
        }
    }
}

fn broken(offence: Option<(&str, Keyword, &'static str)>) -> ControlFlow<Offence> {
    match offence {
        None => ControlFlow::Continue(()),
        Some((word, keyword, why)) => ControlFlow::Break(Offence { word: word.to_owned(), keyword, why }),
    }
}

/// The word by which a body writes. Sides of a `UNION` are bodies too; queries within are visited by themselves.
fn writes(body: &SetExpr) -> Option<(&'static str, Keyword)> {
    match body {
        SetExpr::Insert(_) => Some(("INSERT", Keyword::INSERT)),
        SetExpr::Update(_) => Some(("UPDATE", Keyword::UPDATE)),
        SetExpr::Delete(_) => Some(("DELETE", Keyword::DELETE)),
        SetExpr::Merge(_) => Some(("MERGE", Keyword::MERGE)),
        SetExpr::SetOperation { left, right, .. } => writes(left).or_else(|| writes(right)),
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) | SetExpr::Table(_) => None,
    }
}
