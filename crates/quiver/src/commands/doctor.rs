//! `quiver doctor`: what stands in the way, and what to do about it.

use super::{print, print_json, store};
use crate::cli::DoctorArgs;
use crate::exit::Exit;
use chrono::{DateTime, Utc};
use flight_common::{Fault, RootOptions, compute, telemetry};
use orchestrator::api::Readiness;
use reqwest::Method;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// Time for a receiver of traces to take a connection.
const PATIENCE: Duration = Duration::from_secs(3);
/// Clocks further apart than this spoil the order of events.
const APART: i64 = 2;
/// Less free disk than this is soon none.
const LOW: u64 = 1 << 30;

/// What was found.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    /// Whether nothing works without it.
    needed: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, ok: true, needed: true, found: found.into(), help: None }
    }

    fn bad(what: &'static str, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what, ok: false, needed: true, found: found.into(), help: Some(help.into()) }
    }

    /// What is not as it should be, and stops nothing.
    fn extra(self) -> Self {
        Self { needed: false, ..self }
    }

    fn mark(&self) -> &'static str {
        match (self.ok, self.needed) {
            (true, _) => "ok ",
            (false, true) => "BAD",
            (false, false) => "-- ",
        }
    }

    fn of(what: &'static str, answer: Result<String, Fault>, help: &str) -> Self {
        match answer {
            Ok(found) => Self::good(what, found),
            Err(fault) => Self::bad(what, fault.to_string(), fault.help_text().unwrap_or(help)),
        }
    }
}

/// Looks at everything, and tells what it found.
pub async fn doctor(args: DoctorArgs) -> Result<Exit, Fault> {
    let mut findings = vec![data_root(&args.env.root).await];
    let spill = args.env.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
    findings.push(folder("spill folder", &spill));
    findings.push(the_store(&args).await);
    findings.extend(orchestrator(&args).await);
    findings.push(collector().await);
    let well = findings.iter().all(|finding| finding.ok || !finding.needed);
    if args.json {
        print_json(&serde_json::json!({"ok": well, "findings": findings}))?;
    } else {
        for finding in &findings {
            print(format!("{}  {:<14} {}\n", finding.mark(), finding.what, finding.found).as_bytes())?;
            if let Some(help) = &finding.help {
                print(format!("     {:<14} → {help}\n", "").as_bytes())?;
            }
        }
    }
    Ok(if well { Exit::Done } else { Exit::RunFailed })
}

/// Whether the data root is there: a folder that can be written, or a bucket that answers.
async fn data_root(options: &RootOptions) -> Finding {
    if !options.is_bucket() {
        return folder("data root", &options.data_root);
    }
    let options = options.clone();
    let answer = compute::run(move || {
        let root = options.open()?;
        root.check().map(|()| format!("{root} answers"))
    });
    Finding::of("data root", answer.await, "look at --data-root")
}

/// Whether a folder is there, can be written, and has room.
fn folder(what: &'static str, path: &Path) -> Finding {
    let shown = path.display();
    if let Err(error) = tempfile::tempfile_in(path) {
        return Finding::bad(what, format!("{shown} cannot be written: {error}"), "make it, or let this user write it");
    }
    match rustix::fs::statvfs(path).map(|disk| disk.f_bavail * disk.f_frsize) {
        Ok(free) if free < LOW => {
            Finding::bad(what, format!("{shown} has {} left", bytesize::ByteSize(free)), "free some disk space")
        }
        Ok(free) => Finding::good(what, format!("{shown}, {} free", bytesize::ByteSize(free))),
        Err(error) => Finding::bad(what, format!("{shown}: {error}"), "look at the disk"),
    }
}

async fn the_store(args: &DoctorArgs) -> Finding {
    let opened = async {
        let Some(store) = store::open_made(args.store.as_deref(), &args.env.root).await? else {
            return Ok("none yet; `quiver up` makes one".to_owned());
        };
        store.ping().await?;
        let waiting = store.unfinished().await?;
        let shown: Vec<String> = waiting.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let shown = if shown.is_empty() { "nothing waits".to_owned() } else { shown.join(", ") };
        Ok(format!("{}: {shown}", store.kind()))
    };
    Finding::of("store", opened.await, "is the address right, and the database up?")
}

async fn orchestrator(args: &DoctorArgs) -> Vec<Finding> {
    let remote = match args.remote.open() {
        Ok(remote) => remote,
        Err(fault) => return vec![Finding::of("orchestrator", Err(fault), "look at --url, --token and --config")],
    };
    let response = match remote.call(Method::GET, &["ready"]).send().await {
        Ok(response) => response,
        Err(error) => return vec![Finding::of("orchestrator", Err(remote.unreachable(&error)), "")],
    };
    let clock = response.headers().get("date").and_then(|date| DateTime::parse_from_rfc2822(date.to_str().ok()?).ok());
    let Ok(readiness) = response.json::<Readiness>().await else {
        let found = format!("something else answers at {}", remote.url());
        return vec![Finding::bad("orchestrator", found, "stop it, or use another port: `quiver up --api`")];
    };
    let mut findings = vec![Finding::good("orchestrator", format!("answers at {}", remote.url()))];
    if let Some(theirs) = clock {
        let apart = (Utc::now() - theirs.to_utc()).num_seconds().abs();
        findings.push(match apart > APART {
            true => {
                Finding::bad("clock", format!("{apart} s apart from the orchestrator's"), "synchronise it, by NTP say")
            }
            false => Finding::good("clock", "agrees with the orchestrator's"),
        });
    }
    for part in readiness.parts.iter().filter(|part| !part.ok) {
        let why = part.reason.clone().unwrap_or_default();
        let finding = Finding::bad("orchestrator", format!("{}: {why}", part.name), "does it run? look into its log");
        findings.push(if part.needed { finding } else { finding.extra() });
    }
    if let Err(fault) = remote.send(remote.api(Method::GET, &["runs"])).await {
        findings.push(Finding::of("token", Err(fault), "make one with `quiver token create`"));
    }
    findings
}

/// Whether somebody takes traces and metrics where they are sent.
async fn collector() -> Finding {
    match telemetry::collector(PATIENCE).await {
        None => Finding::good("collector", "none: traces are not sent (OTEL_EXPORTER_OTLP_ENDPOINT says where to)"),
        Some((endpoint, Ok(()))) => Finding::good("collector", format!("takes connections at {endpoint}")),
        Some((_, Err(why))) => {
            Finding::bad("collector", why, "start it, or set the right address; runs go on without").extra()
        }
    }
}
