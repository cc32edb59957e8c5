//! Which columns a query gives: the server prepares it and tells, without running it.

use super::types::{Form, form};
use crate::options::Options;
use crate::trouble::of_query;
use crate::{columns, given};
use arrow::datatypes::SchemaRef;
use databases::Address;
use databases::mysql::{self, Session};
use flight_common::{Fault, FaultKind, TextPlace};
use mysql_async::prelude::Queryable;
use mysql_async::{Column, Error, Statement};
use sqlparser::dialect::MySqlDialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// What the rows are read as.
#[derive(Debug, PartialEq)]
pub struct Layout {
    /// The schema.
    pub schema: SchemaRef,
    /// How the values of each column are read.
    pub forms: Vec<Form>,
}

/// Prepares the query, and reads which columns it gives.
///
/// # Errors
/// What the server says of the query; [`FaultKind::BadSchema`] for columns that cannot be taken, all of them told at once.
pub async fn prepared(session: &mut Session, options: &Options) -> Result<(Statement, Layout), Fault> {
    let address = session.address().clone();
    let prepared = session.conn().prep(options.query.as_str()).await;
    let statement = prepared.map_err(|error| said(&address, &error, &options.query))?;
    let wanted: Vec<String> = (1..=statement.num_params()).map(|place| format!("? number {place}")).collect();
    given::check_count(&wanted, options.values.len())?;
    let layout = layout(&statement.columns(), statement.num_params() > 0)?;
    Ok((statement, layout))
}

/// As [`prepared`], for a query that was planned to give these columns.
///
/// # Errors
/// As [`prepared`]; [`FaultKind::BadData`] for other columns.
pub async fn unchanged(session: &mut Session, options: &Options, planned: &Layout) -> Result<Statement, Fault> {
    let (statement, now) = prepared(session, options).await.map_err(columns::good_before)?;
    match now == *planned {
        true => Ok(statement),
        false => Err(columns::changed(&planned.schema, &now.schema)),
    }
}

/// Refuses rows of other columns than were told before the query ran. The server may learn a type from a value of `params`
/// only then.
///
/// # Errors
/// [`FaultKind::BadData`]
pub fn check_answer(answer: &[Column], has_params: bool, planned: &Layout) -> Result<(), Fault> {
    let now = layout(answer, has_params)?;
    if now == *planned {
        return Ok(());
    }
    let (was, is) = (columns::shown(&planned.schema), columns::shown(&now.schema));
    Err(Fault::bad_data(format!("the database said that the query gives {was}, and it gives {is}"))
        .help("give what depends on a value of params a type of its own: CAST(? AS SIGNED), CAST(? AS DECIMAL(10, 2))"))
}

/// How long whole numbers are that are computed, the server may learn from a value of `params`: they are read as long ones.
fn layout(columns: &[Column], has_params: bool) -> Result<Layout, Fault> {
    let names: Vec<_> = columns.iter().map(Column::name_str).collect();
    let told = names.iter().zip(columns).map(|(name, column)| {
        let is_computed = has_params && column.org_table_ref().is_empty();
        let form = form(column).map(|form| if is_computed { form.long() } else { form });
        (&**name, form.map(|form| (form.data_type(), form)))
    });
    columns::taken(told).map(|(schema, forms)| Layout { schema, forms })
}

/// What the server says of the query, with the place of the name that it does not know, if the query has it once.
pub fn said(address: &Address, error: &Error, query: &str) -> Fault {
    let fault = mysql::fault(error, address);
    match fault.kind() {
        FaultKind::BadParams | FaultKind::Denied | FaultKind::BadData if fault.violations().is_empty() => {
            of_query(&fault, unknown(error).and_then(|name| place_of(name, query)))
        }
        _ => fault,
    }
}

/// The name that the server does not know, without what stands before its dot.
fn unknown(error: &Error) -> Option<&str> {
    let Error::Server(said) = error else { return None };
    let named = match said.code {
        // Unknown column 'a.b' in 'SELECT'. Table 'a.b' doesn't exist.
        1054 | 1146 => said.message.split('\'').nth(1)?,
        // FUNCTION a.b does not exist.
        1305 => said.message.split(' ').nth(1)?,
        _ => return None,
    };
    named.rsplit('.').next()
}

/// Where a name stands in a query that has it once.
fn place_of(name: &str, query: &str) -> Option<TextPlace> {
    let tokens = Tokenizer::new(&MySqlDialect {}, query).tokenize_with_location().ok()?;
    let is_name = |token: &&TokenWithSpan| matches!(&token.token, Token::Word(word) if word.value == name);
    let mut named = tokens.iter().filter(is_name).map(|token| token.span.start);
    let (first, again) = (named.next()?, named.next());
    again.is_none().then_some(TextPlace { line: first.line, column: first.column })
}
