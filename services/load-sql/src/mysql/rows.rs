//! Rows sent by `LOAD DATA LOCAL INFILE`, and what the server says of them.

use super::text;
use super::types::Type;
use crate::ledger::Rows;
use crate::lines::{Lines, MEND};
use crate::plain::Plain;
use crate::target::Target;
use arrow::datatypes::DataType;
use bytes::Bytes;
use databases::mysql::Session;
use databases::quote;
use flight_common::Fault;
use futures::{Stream, StreamExt, stream, try_join};
use mysql_async::prelude::Queryable;
use std::io;
use std::pin::Pin;
use tokio::select;
use tokio::sync::mpsc::{Sender, channel};

/// Bytes of text after which a statement ends: what is wrong with a row is only told then.
const STATEMENT: usize = 16 << 20;
/// Bytes of a packet: servers take more, but some not much more.
const PACKET: usize = 256 << 10;

/// A value of a unique index that is there already.
const DUPLICATE: u16 = 1062;

/// The statement that takes rows into a table. `types` are those of the table; nothing for one that is made.
pub fn statement(into: &str, target: &Target, plain: &Plain, types: &[Type]) -> String {
    let columns = target.columns.iter().zip(plain.types()).enumerate();
    let columns: Vec<(String, String, Option<String>)> = columns
        .map(|(place, (name, plain))| {
            let variable = format!("@v{place}");
            let value = computed(plain, types.get(place), &variable);
            (quote::double(name), variable, value)
        })
        .collect();
    // Where anything is computed, MariaDB takes a zero of a numbered column for none, unless that is computed too.
    let any = columns.iter().any(|(.., value)| value.is_some());
    let numbered = |place: usize| any && types.get(place).is_some_and(|held| held.numbered);
    let (mut places, mut set) = (Vec::new(), Vec::new());
    for (place, (name, variable, value)) in columns.into_iter().enumerate() {
        match value.or_else(|| numbered(place).then(|| variable.clone())) {
            Some(value) => {
                set.push(format!("{name} = {value}"));
                places.push(variable);
            }
            None => places.push(name),
        }
    }
    let set = if set.is_empty() { String::new() } else { format!(" SET {}", set.join(", ")) };
    format!(
        "LOAD DATA LOCAL INFILE 'rows' INTO TABLE {into} CHARACTER SET utf8mb4 FIELDS TERMINATED BY '\\t' ENCLOSED BY '' \
         ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' ({}){set}",
        places.join(", ")
    )
}

/// How a value comes out of its text, where it is not the text itself.
fn computed(plain: &DataType, held: Option<&Type>, variable: &str) -> Option<String> {
    match plain {
        DataType::BinaryView => Some(format!("UNHEX({variable})")),
        // A digit would be the bits of its character.
        DataType::Boolean if held.is_some_and(|held| held.name == "bit") => {
            Some(format!("CAST({variable} AS UNSIGNED)"))
        }
        _ => None,
    }
}

/// Sends all rows.
///
/// # Errors
/// The input's fault, what the server says, and what it would only warn of.
pub async fn send<L>(
    session: &mut Session,
    statement: &str,
    target: &Target,
    plain: &Plain,
    mut lines: Pin<&mut L>,
) -> Result<Rows, Fault>
where
    L: Stream<Item = Result<Lines, Fault>> + Send,
{
    let (mut rows, mut watch) = (Rows::default(), session.watch().await);
    while let Some(first) = lines.next().await.transpose()? {
        let more = select! {
            sent = send_some(session, statement, first, lines.as_mut()) => sent?,
            lost = watch.lost() => return Err(lost),
        };
        check(session, target, plain, rows.count, more.count).await?;
        rows.merge(more);
    }
    Ok(rows)
}

/// Sends rows for one statement.
async fn send_some<L>(session: &mut Session, statement: &str, first: Lines, lines: Pin<&mut L>) -> Result<Rows, Fault>
where
    L: Stream<Item = Result<Lines, Fault>> + Send,
{
    let (sender, mut receiver) = channel::<Bytes>(1);
    // The driver asks for the file when the server does; its name means nothing.
    session.conn().set_infile_handler(async move {
        let packets = stream::poll_fn(move |context| receiver.poll_recv(context));
        Ok(packets.map(Ok::<_, io::Error>).boxed())
    });
    // When the input fails, the connection is dropped within the file, which the server takes for no end.
    let said = async {
        let said = session.conn().query_drop(statement).await;
        said.map_err(|error| session.fault(&error))
    };
    try_join!(feed(sender, first, lines), said).map(|(rows, ())| rows)
}

async fn feed<L>(sender: Sender<Bytes>, first: Lines, mut lines: Pin<&mut L>) -> Result<Rows, Fault>
where
    L: Stream<Item = Result<Lines, Fault>> + Send,
{
    let (mut rows, mut bytes, mut next) = (Rows::default(), 0, Some(first));
    while let Some(Lines { text, rows: more }) = next {
        rows.merge(more);
        bytes += text.len();
        let mut text = Bytes::from(text);
        while !text.is_empty() {
            let packet = text.split_to(PACKET.min(text.len()));
            if sender.send(packet).await.is_err() {
                // The server has said why.
                return Ok(rows);
            }
        }
        next = if bytes < STATEMENT { lines.next().await.transpose()? } else { None };
    }
    Ok(rows)
}

/// Refuses what the server has warned of: it has bent values, or left rows out.
async fn check(session: &mut Session, target: &Target, plain: &Plain, before: u64, sent: u64) -> Result<(), Fault> {
    let (warnings, taken) = (session.conn().get_warnings(), session.conn().affected_rows());
    if warnings > 0 {
        let asked = session.conn().query("SHOW WARNINGS").await;
        let told: Vec<(String, u16, String)> = asked.map_err(|error| session.fault(&error))?;
        // A note is at most the reason of what follows.
        let worst = told.iter().find(|(level, ..)| level != "Note").or(told.first());
        return Err(match worst {
            Some((_, DUPLICATE, message)) => refused(message, target, plain, before)
                .help("another row has it: leave one of them out, or set mode: upsert with these keys"),
            Some((.., message)) => refused(message, target, plain, before),
            None => Fault::bad_data(format!(
                "MariaDB or MySQL: {warnings} values or rows of {} were refused",
                target.shown()
            )),
        });
    }
    if taken != sent {
        let message = format!("MariaDB or MySQL: the server took {taken} of {sent} rows into {}", target.shown());
        return Err(Fault::bad_data(message).help("see whether a trigger or a rule of the server leaves rows out"));
    }
    Ok(())
}

/// The fault of a warning. It tells where: `Out of range value for column 'a' at row 3`.
fn refused(message: &str, target: &Target, plain: &Plain, before: u64) -> Fault {
    let place = message.rsplit_once(" at row ").and_then(|(what, row)| Some((what, row.parse::<u64>().ok()?)));
    let (what, row) = place.map_or((message, None), |(what, row)| (what, Some(row)));
    let ends = |name: &String| what.ends_with(&format!("'{name}'")) || what.ends_with(&format!("`{name}`"));
    let column = target.columns.iter().zip(plain.types()).rfind(|(name, _)| ends(name));
    let help = match column {
        Some((_, DataType::Timestamp(_, Some(_)))) => text::OTHER_INSTANTS,
        _ => MEND,
    };
    let fault = Fault::bad_data(format!("MariaDB or MySQL: {what}")).help(help);
    let fault = row.into_iter().fold(fault, |fault, row| fault.row(before + row));
    column.into_iter().fold(fault, |fault, (name, _)| fault.column(name))
}
