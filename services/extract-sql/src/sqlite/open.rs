//! The file opened for one query: read-only, with an authorizer that lets nothing but reading pass, and a look at the clock
//! while it computes.

use crate::options::Options;
use crate::{given, guard};
use databases::{Address, sqlite};
use flight_common::{DataRoot, Fault, FaultKind, TextPlace};
use rusqlite::Statement;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::Value as Cell;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Steps of SQLite's machine between two looks at the clock: some ten thousandths of a second.
const STEPS: i32 = 10_000;
/// How long a writer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open database.
pub struct Open {
    connection: sqlite::Opened,
    address: Address,
    deadline: Instant,
}

impl Open {
    /// Opens the file, and begins to read: what is written from now on is not seen. The query is stopped after `limit`, or
    /// when `given_up` says so.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub fn new(
        root: &DataRoot,
        address: &Address,
        limit: Duration,
        given_up: impl Fn() -> bool + Send + 'static,
    ) -> Result<Self, Fault> {
        let connection = sqlite::open_for_reading(root, address)?;
        let deadline = Instant::now() + limit;
        let prepared = connection
            .busy_timeout(PATIENCE.min(limit))
            .and_then(|()| connection.execute_batch("PRAGMA query_only = 1; PRAGMA trusted_schema = 0; BEGIN"))
            .and_then(|()| connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())))
            .and_then(|()| connection.progress_handler(STEPS, Some(move || given_up() || Instant::now() >= deadline)))
            .and_then(|()| connection.authorizer(Some(reads)));
        prepared.map_err(|error| sqlite::fault(&error, address))?;
        Ok(Self { connection, address: address.clone(), deadline })
    }

    /// The query, prepared.
    ///
    /// # Errors
    /// What SQLite says of it.
    pub fn prepare(&self, options: &Options) -> Result<Statement<'_>, Fault> {
        let prepared = self.connection.prepare(&options.query).map_err(|error| self.fault(&error))?;
        if !prepared.readonly() {
            let what = "the query writes, and the step only reads";
            return Err(Fault::denied(what).violation("/query", what));
        }
        let place = |place: usize| prepared.parameter_name(place).map_or_else(|| format!("?{place}"), str::to_owned);
        let wanted: Vec<String> = (1..=prepared.parameter_count()).map(place).collect();
        given::check_count(&wanted, options.values.len())?;
        Ok(prepared)
    }

    /// The fault for what SQLite says of the query, when it prepares or while it answers.
    pub fn fault(&self, error: &rusqlite::Error) -> Fault {
        let fault = sqlite::fault(error, &self.address);
        match fault.kind() {
            FaultKind::TimedOut if Instant::now() < self.deadline => Fault::cancelled("the query was given up"),
            FaultKind::TimedOut => Fault::timed_out("the query ran for longer than timeout")
                .help("raise timeout, or ask for less; the time in which later steps hold up the rows counts too"),
            FaultKind::BadParams | FaultKind::Denied => {
                let message = fault.message().to_owned();
                let fault = fault.violation("/query", message);
                match error {
                    rusqlite::Error::SqlInputError { sql, offset, .. } => {
                        let byte = usize::try_from(*offset).ok();
                        byte.map(|byte| TextPlace::of(sql, byte)).into_iter().fold(fault, Fault::in_text)
                    }
                    _ => fault,
                }
            }
            _ => fault,
        }
    }
}

/// What a query may do: read columns, and call functions that only compute.
fn reads(asked: AuthContext<'_>) -> Authorization {
    match asked.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Function { function_name } if guard::may_call(function_name) => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

/// The values for the placeholders. Lists and maps are JSON, as SQLite's functions for it read them.
///
/// # Errors
/// A whole number beyond 64 bits.
pub fn bound(values: &[Value]) -> Result<Vec<Cell>, Fault> {
    let cell = |(place, value): (usize, &Value)| {
        Ok(match value {
            Value::Null => Cell::Null,
            Value::Bool(truth) => Cell::Integer((*truth).into()),
            Value::String(text) => Cell::Text(text.clone()),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Cell::Integer(whole),
                (None, Some(float)) if !number.is_u64() => Cell::Real(float),
                _ => {
                    let what = format!("params: {number}, for ?{}, is beyond what SQLite holds in 64 bits", place + 1);
                    return Err(Fault::bad_params(what.clone()).violation(format!("/params/{place}"), what));
                }
            },
            other => Cell::Text(other.to_string()),
        })
    };
    values.iter().enumerate().map(cell).collect()
}
