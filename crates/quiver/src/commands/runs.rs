//! `quiver runs`: runs of an orchestrator.

use super::{file, print, print_json};
use crate::cli::{RunsArgs, RunsCommand};
use crate::exit::Exit;
use crate::remote::Remote;
use crate::show;
use flight_common::{Fault, FaultKind};
use futures::StreamExt;
use orchestrator::api::{Comparison, RunDetails};
use orchestrator::service::log::LogLine;
use orchestrator::store::{AuditRecord, EventRow, Page, RunRow, RunState};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// Pauses between attempts to go on listening: the first, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long an orchestrator may be away while somebody watches a run.
const AWAY: Duration = Duration::from_secs(120);

/// An ending that is shorter says too little.
const SHORTEST_ENDING: usize = 4;

/// Does what was asked with runs.
pub async fn runs(mut args: RunsArgs) -> Result<Exit, Fault> {
    let remote = args.remote.open()?;
    let json = args.json;
    for id in args.command.ids() {
        *id = whole_id(&remote, id).await?;
    }
    match args.command {
        RunsCommand::Submit { file, pipeline, params, sets, priority, idempotency_key, follow } => {
            let name = file.as_deref().filter(|file| *file != Path::new("-")).and_then(Path::file_name);
            let yaml = match &file {
                Some(file) => Some(file::text(file).await.map_err(|fault| or_stored(file, fault))?),
                None => None,
            };
            let params: BTreeMap<String, String> = params.into_iter().collect();
            let mut body = json!({"pipeline": pipeline, "yaml": yaml, "name": name.map(OsStr::to_string_lossy), "params": params, "set": sets});
            if let Some(priority) = priority {
                body["priority"] = priority.into();
            }
            let mut request = remote.api(Method::POST, &["runs"]).json(&body);
            if let Some(key) = idempotency_key {
                request = request.header("idempotency-key", key);
            }
            let run: RunRow = remote.read(request).await?;
            match (follow, json) {
                (true, _) => return watch(&remote, &run.id, 0, json).await,
                (false, true) => print_json(&run)?,
                (false, false) => print(format!("{}\n", run.id).as_bytes())?,
            }
        }
        RunsCommand::List { pipeline, state, limit, cursor } => {
            let query =
                [("pipeline", pipeline), ("state", state), ("cursor", cursor), ("limit", Some(limit.to_string()))];
            let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let page: Page<RunRow> = remote.read(remote.api(Method::GET, &["runs"]).query(&query)).await?;
            match json {
                true => print_json(&page)?,
                false => print(show::runs(&page).as_bytes())?,
            }
        }
        RunsCommand::Show { id } => {
            let details: RunDetails = remote.read(remote.api(Method::GET, &["runs", &id])).await?;
            match json {
                true => print_json(&details)?,
                false => print(show::run(&details).as_bytes())?,
            }
        }
        RunsCommand::Logs { id, follow: true, .. } => return watch(&remote, &id, 0, json).await,
        RunsCommand::Logs { id, step, follow: false } => {
            let query: Vec<_> = step.iter().map(|step| ("step", step)).collect();
            let request = remote.api(Method::GET, &["runs", &id, "logs"]).query(&query);
            let lines: Vec<LogLine> = remote.read(request).await?;
            match json {
                true => print_json(&lines)?,
                false => print((lines.iter().map(show::log_line).collect::<Vec<_>>().join("\n") + "\n").as_bytes())?,
            }
        }
        RunsCommand::Audit { id } => {
            let records: Vec<AuditRecord> = remote.read(remote.api(Method::GET, &["runs", &id, "audit"])).await?;
            match json {
                true => print_json(&records)?,
                false => print(show::audit(&records).as_bytes())?,
            }
        }
        RunsCommand::Cancel { id } => {
            act(&remote, remote.api(Method::POST, &["runs", &id, "cancel"]), false, json).await?;
        }
        RunsCommand::Retry { id, follow } => {
            return act(&remote, remote.api(Method::POST, &["runs", &id, "retry"]), follow, json).await;
        }
        RunsCommand::Resume { id, file, follow } => {
            let mut request = remote.api(Method::POST, &["runs", &id, "resume"]);
            if let Some(changed) = file {
                let text = file::text(&changed).await?;
                request = request.header("content-type", "application/yaml").body(text);
            }
            return act(&remote, request, follow, json).await;
        }
        RunsCommand::Diff { left, right } => {
            let request = || remote.api(Method::GET, &["runs", &left, "compare", &right]);
            let compared: Comparison = remote.read(request()).await?;
            if json {
                print_json(&compared)?;
                return Ok(Exit::Done);
            }
            print(show::comparison(&compared).as_bytes())?;
            if compared.left.definition != compared.right.definition {
                print(b"\n")?;
                save(&remote, remote.send(request().header("accept", "text/x-diff")).await?, None).await?;
            }
        }
        RunsCommand::Download { id, step, format, output, to } => {
            let usual = || match (&to, json) {
                (None, true) => Ok("json".to_owned()),
                _ => format_of(to.as_deref()),
            };
            let mut query = vec![("format", format.map_or_else(usual, Ok)?)];
            query.extend(output.map(|output| ("output", output)));
            // Before anything is fetched for it.
            if let Some(path) = &to {
                file::check_target(path)?;
            }
            let request = remote.api(Method::GET, &["runs", &id, "steps", &step, "download"]).query(&query);
            save(&remote, remote.send(request).await?, to.as_deref()).await?;
            if let (Some(path), true) = (&to, json) {
                print_json(&json!({"run": id, "step": step, "to": path}))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// Whoever names no file may have meant a pipeline that is stored.
fn or_stored(file: &Path, fault: Fault) -> Fault {
    match fault.kind() {
        FaultKind::NotFound => fault.help(format!("a stored pipeline is run by --pipeline {}", file.display())),
        _ => fault,
    }
}

/// The format that a file is called after.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for a file that is called like none of them.
fn format_of(file: Option<&Path>) -> Result<String, Fault> {
    let ending = file.and_then(Path::extension).and_then(OsStr::to_str).unwrap_or("csv").to_ascii_lowercase();
    match ending.as_str() {
        "csv" | "json" | "jsonl" | "arrow" | "parquet" => Ok(ending),
        "ndjson" => Ok("jsonl".to_owned()),
        _ => Err(Fault::bad_params(format!("no format is known by .{ending}"))
            .help("name one: --format csv, json, jsonl, arrow or parquet")),
    }
}

/// The id of the run that is meant by `last`, by an id, or by the end of one: ids of runs begin with the time, and end by
/// chance.
async fn whole_id(remote: &Remote, given: &str) -> Result<String, Fault> {
    if given.is_empty() {
        return Err(Fault::bad_params("the id of the run is empty")
            .help("`quiver runs list` shows ids; `last` is the youngest"));
    }
    let last = given == "last";
    let is_ending = given.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if !(last || is_ending && (SHORTEST_ENDING..36).contains(&given.len())) {
        return Ok(given.to_owned());
    }
    // A second one tells that there is more than one.
    let query = if last { [("limit", "1")].to_vec() } else { [("limit", "2"), ("ending", given)].to_vec() };
    let page: Page<RunRow> = remote.read(remote.api(Method::GET, &["runs"]).query(&query)).await?;
    let mut meant = page.items.into_iter().map(|run| run.id).filter(|id| last || id.ends_with(given));
    match (meant.next(), meant.next()) {
        (Some(one), None) => Ok(one),
        (Some(one), Some(other)) => Err(Fault::bad_params(format!("\"{given}\" may be the run {one} or {other}"))
            .help("give more of the end of its id")),
        (None, _) if last => Err(Fault::not_found("there is no run yet")),
        (None, _) => Ok(given.to_owned()),
    }
}

async fn act(remote: &Remote, request: reqwest::RequestBuilder, follow: bool, json: bool) -> Result<Exit, Fault> {
    let run: RunRow = remote.read(request).await?;
    if follow {
        // What happened before is known.
        return watch(remote, &run.id, run.attempt, json).await;
    }
    match json {
        true => print_json(&run)?,
        false => print(format!("run {} is {}\n", run.id, run.state).as_bytes())?,
    }
    Ok(Exit::Done)
}

fn tell(event: &EventRow, json: bool) -> Result<(), Fault> {
    let line = match json {
        true => serde_json::to_string(event).map_err(Fault::internal)?,
        false => show::event(event),
    };
    print(format!("{line}\n").as_bytes())
}

/// Shows what happens to a run, from the attempt after this one on, until it ends. An orchestrator that goes away meanwhile
/// is waited for.
async fn watch(remote: &Remote, id: &str, attempt: i64, json: bool) -> Result<Exit, Fault> {
    let mut seen = Seen { event: 0, attempt, reached: attempt == 0 };
    let mut pause = AGAIN.0;
    let mut heard = tokio::time::Instant::now();
    loop {
        let before = seen.event;
        match listen(remote, id, &mut seen, json).await {
            Ok(Some(state)) => return Ok(exit(state)),
            Ok(None) => {}
            Err(fault) if !fault.kind().retryable() || heard.elapsed() > AWAY => return Err(fault),
            Err(fault) => tracing::warn!(fault = %fault, "listening again"),
        }
        if seen.event > before {
            (pause, heard) = (AGAIN.0, tokio::time::Instant::now());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(AGAIN.1);
    }
}

fn exit(state: RunState) -> Exit {
    match state {
        RunState::Done => Exit::Done,
        _ => Exit::RunFailed,
    }
}

/// How far a run was watched.
struct Seen {
    /// The number of the last event.
    event: i64,
    /// Events are shown from the attempt after this one on.
    attempt: i64,
    /// Whether it has begun.
    reached: bool,
}

/// Shows the events after those that were seen. Returns how the run ended; nothing if the stream did before.
async fn listen(remote: &Remote, id: &str, seen: &mut Seen, json: bool) -> Result<Option<RunState>, Fault> {
    let request = remote.api(Method::GET, &["runs", id, "events"]).header("last-event-id", seen.event);
    let mut pieces = std::pin::pin!(remote.pieces(remote.send(request).await?));
    let mut text = Vec::new();
    while let Some(piece) = pieces.next().await {
        text.extend_from_slice(&piece?);
        while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = text.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block);
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
            let Some(data) = field("data:") else { continue };
            let garbled =
                |error| Fault::upstream(format!("{} sent an event that is not understood: {error}", remote.url()));
            if field("event:") == Some("end") {
                let end: Value = serde_json::from_str(data).map_err(garbled)?;
                return Ok(end["state"].as_str().and_then(|state| state.parse().ok()));
            }
            let event: EventRow = serde_json::from_str(data).map_err(garbled)?;
            seen.reached |= event.body["attempt"].as_i64().is_some_and(|attempt| attempt > seen.attempt);
            if seen.reached {
                tell(&event, json)?;
            }
            seen.event = event.seq;
        }
    }
    Ok(None)
}

/// Writes an answer to a file that is seen once it is whole, or to standard output.
async fn save(remote: &Remote, response: Response, to: Option<&Path>) -> Result<(), Fault> {
    let mut pieces = std::pin::pin!(remote.pieces(response));
    let Some(path) = to else {
        while let Some(piece) = pieces.next().await {
            print(&piece?)?;
        }
        return Ok(());
    };
    let failed = |error: &std::io::Error| Fault::io(path.display(), error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As others are made here; one that is there keeps its own.
    let mode = std::fs::metadata(path).map_or(0o666, |there| there.permissions().mode() & 0o777);
    let made = tempfile::Builder::new().permissions(Permissions::from_mode(mode)).tempfile_in(folder);
    let mut file = made.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Fault::not_found(format!("no folder {}", folder.display())).help("make it first"),
        _ => failed(&error),
    })?;
    while let Some(piece) = pieces.next().await {
        file.write_all(&piece?).map_err(|error| failed(&error))?;
    }
    file.persist(path).map(drop).map_err(|error| failed(&error.error))
}
