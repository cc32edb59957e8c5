//! The rows of a query, as the server sends them: it computes no further than they are taken off its hands.

use super::Query;
use super::cells::Cells;
use super::describe::{check_answer, said, unchanged};
use super::values::bound;
use crate::draft::Draft;
use crate::options::Options;
use crate::wait::{self, GRACE};
use async_stream::try_stream;
use databases::mysql::Session;
use flight_common::{BatchStream, Fault, StepContext};
use mysql_async::prelude::Queryable;
use std::time::{Duration, Instant};

/// Begins a transaction that cannot write and whose statements end in time.
///
/// # Errors
/// What the server says.
pub async fn begin(session: &mut Session, options: &Options) -> Result<(), Fault> {
    let limit = match session.is_mariadb() {
        true => format!("max_statement_time = {}", options.timeout.as_secs_f64()),
        false => format!("max_execution_time = {}", options.timeout.as_millis()),
    };
    // The server gives up one who takes no rows for this long: later steps may hold them up.
    let patience = (options.timeout + GRACE).as_secs();
    session.run(&format!("SET SESSION {limit}, net_write_timeout = {patience}")).await?;
    session.run("START TRANSACTION READ ONLY").await
}

/// A query that its time-out stopped may end as if it were well: `BENCHMARK` and `SLEEP` then give a value and no error.
fn check_time(begun: Instant, limit: Duration) -> Result<(), Fault> {
    if begun.elapsed() < limit {
        return Ok(());
    }
    Err(Fault::timed_out("the query ran for longer than timeout")
        .help("raise timeout, or ask for less; the time in which later steps hold up the rows counts too"))
}

/// The rows.
pub fn rows(query: Query, context: StepContext) -> BatchStream {
    let schema = query.layout.schema.clone();
    let outside = context.clone();
    BatchStream::new(
        schema,
        outside.from_outside(try_stream! {
            let Query { address, options, layout } = query;
            let mut session = Session::open(&address).await?;
            let prepared = async {
                begin(&mut session, &options).await?;
                unchanged(&mut session, &options, &layout).await
            };
            let statement = wait::waited(&address, options.timeout, prepared).await??;
            let begun = Instant::now();
            let asked = session.conn().exec_iter(statement, bound(&options.values));
            let asked = wait::waited(&address, options.timeout, asked).await?;
            let mut rows = asked.map_err(|error| said(&address, &error, &options.query))?;
            check_answer(rows.columns_ref(), !options.values.is_empty(), &layout)?;
            let empty = || {
                Draft::new(layout.schema.clone(), layout.forms.iter().map(|form| Cells::new(*form)).collect())
            };
            let (mut draft, mut before) = (empty(), 0);
            let mut booked = context.budget().reservation();
            loop {
                let row = wait::waited(&address, options.timeout, rows.next()).await?;
                let Some(row) = row.map_err(|error| said(&address, &error, &options.query))? else { break };
                let bytes = draft.bytes();
                draft.push(|place, cells| Ok(cells.push(&row[place])?)).map_err(|error| error.fault(before))?;
                booked.grow(draft.bytes() - bytes);
                options.check_rows(before + draft.rows() as u64)?;
                if draft.is_full() {
                    before += draft.rows() as u64;
                    yield std::mem::replace(&mut draft, empty()).finish()?;
                    booked = context.budget().reservation();
                }
            }
            check_time(begun, options.timeout)?;
            if draft.rows() > 0 {
                yield draft.finish()?;
            }
            drop(rows);
            session.close().await;
        }),
    )
}
