//! Tells whom a pipeline names how its runs ended: takes what waits in the store, sends it, and notes what became of it.
//!
//! Each message is sent at least once, also over the death of a replica, and under one id, by which its receiver knows a
//! second copy. Nothing here changes what became of the run.

mod signature;

use super::attendant::patiently;
use super::{RetryPolicy, Service};
use crate::mesh::{Secrets, secret_name};
use crate::outbound::{Outbound, Rejected};
use crate::store::{Message, Sent};
use chrono::Utc;
use flight_common::{Fault, passwords};
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;

/// How often the store is asked for what is due.
const POLL: Duration = Duration::from_millis(500);
/// Messages of a replica under way.
const AT_ONCE: usize = 64;
/// With this many under way to one receiver, it gets no more: one that hangs is not to hold up all others. As many are taken at
/// a time, so that it may have nearly twice as many.
const TO_ONE: usize = 4;

/// How hooks are told.
#[derive(Clone, Debug)]
pub struct HookSettings {
    /// Whether they may be at addresses that are not public.
    pub allow_private: bool,
    /// How long one request may take.
    pub deadline: Duration,
    /// When a message that was not accepted is sent again.
    pub retry: RetryPolicy,
    /// Where the secrets are that they name.
    pub secrets: Option<Secrets>,
    /// Where people reach the API: what links begin with.
    pub public_url: Option<String>,
}

impl Default for HookSettings {
    fn default() -> Self {
        let retry = RetryPolicy { attempts: 12, first: Duration::from_secs(5), longest: Duration::from_secs(3600) };
        Self { allow_private: false, deadline: Duration::from_secs(10), retry, secrets: None, public_url: None }
    }
}

impl HookSettings {
    /// How long a message belongs to the replica that sends it: it ends each try before that.
    fn lease(&self) -> Duration {
        self.deadline * 2
    }

    /// What a reference stands for; another text stands for itself.
    async fn value(&self, text: &str) -> Result<String, Fault> {
        let name = match secret_name(text) {
            None => return Ok(text.to_owned()),
            Some(name) => name?,
        };
        let found = match &self.secrets {
            Some(secrets) => secrets.get(name).await,
            None => Err(Fault::not_found(format!("there is no secret \"{name}\""))),
        };
        // An operator may put it there before the next try.
        found.map_err(|fault| {
            let passing = Fault::upstream(fault.message());
            match fault.help_text() {
                Some(help) => passing.help(help),
                None => passing,
            }
        })
    }
}

/// Sends what is due until `stop`, and lets what is under way end.
pub(super) async fn deliver(service: Service, stop: CancellationToken) {
    let settings = &service.0.settings.hooks;
    let outbound = Arc::new(Outbound::new(settings.allow_private, settings.deadline));
    let mut sending = JoinSet::new();
    let mut receivers: HashMap<task::Id, String> = HashMap::new();
    while !stop.is_cancelled() {
        loop {
            let messages = due(&service, TO_ONE.min(AT_ONCE - sending.len()), &busy(receivers.values())).await;
            if messages.is_empty() {
                break;
            }
            for message in messages {
                let receiver = receiver(&message.hook.url).to_owned();
                receivers.insert(sending.spawn(send(service.clone(), outbound.clone(), message)).id(), receiver);
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(POLL) => {}
            Some(sent) = sending.join_next_with_id() => {
                let id = sent.map_or_else(|error| error.id(), |(id, ())| id);
                receivers.remove(&id);
            }
        }
    }
    while sending.join_next().await.is_some() {}
}

/// How all addresses of a receiver begin: with scheme and host. (Where an address is a secret, that is all there is of it.)
fn receiver(url: &str) -> &str {
    match url.find("://").and_then(|scheme| Some(scheme + 3 + url[scheme + 3..].find('/')?)) {
        Some(path) if secret_name(url).is_none() => &url[..=path],
        _ => url,
    }
}

/// Those to which enough is under way.
fn busy<'a>(receivers: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    receivers.for_each(|receiver| *counts.entry(receiver).or_default() += 1);
    counts.into_iter().filter(|(_, count)| *count >= TO_ONE).map(|(receiver, _)| receiver).collect()
}

async fn due(service: &Service, room: usize, busy: &[&str]) -> Vec<Message> {
    let store = &service.0.store;
    let taken = async {
        match room > 0 && store.messages_due(busy).await? {
            true => store.take_messages(service.0.settings.hooks.lease(), room, busy).await,
            false => Ok(Vec::new()),
        }
    };
    taken.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the hooks that are due could not be taken");
        Vec::new()
    })
}

async fn send(service: Service, outbound: Arc<Outbound>, message: Message) {
    let settings = &service.0.settings.hooks;
    let answer = post(settings, &outbound, &message).await;
    let sent = judge(&settings.retry, &message, answer);
    if let Err(error) = patiently(|| service.0.store.settle_message(&message, &sent)).await {
        tracing::warn!(%error, hook = message.id, "what became of a hook could not be stored; it will be sent again");
    }
}

async fn post(settings: &HookSettings, outbound: &Outbound, message: &Message) -> Result<u16, Rejected> {
    let silent = |fault| Rejected { status: None, fault };
    let url = settings.value(&message.hook.url).await.map_err(silent)?;
    let mut body = message.body.clone();
    if let (Some(url), Some(link)) = (&settings.public_url, body.pointer_mut("/data/link")) {
        *link = Value::from(format!("{}{}", url.trim_end_matches('/'), link.as_str().unwrap_or_default()));
    }
    let body = body.to_string();
    let sent_at = Utc::now().timestamp();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("webhook-timestamp", HeaderValue::from(sent_at));
    headers.insert("webhook-id", HeaderValue::from_str(&message.id).map_err(|error| silent(Fault::internal(error)))?);
    if let Some(secret) = &message.hook.secret {
        let secret = settings.value(secret).await.map_err(silent)?;
        let signed = signature::signature(&secret, &message.id, sent_at, &body).map_err(silent)?;
        headers.insert(
            "webhook-signature",
            HeaderValue::from_str(&signed).map_err(|error| silent(Fault::internal(error)))?,
        );
    }
    outbound.post(&url, headers, body).await
}

/// What follows from an answer.
fn judge(retry: &RetryPolicy, message: &Message, answer: Result<u16, Rejected>) -> Sent {
    let told = json!({"hook": message.id, "url": passwords::hidden(&message.hook.url), "try": message.tries});
    let with = |more: Value| match (told, more) {
        (Value::Object(mut told), Value::Object(more)) => {
            told.extend(more);
            Value::Object(told)
        }
        (told, _) => told,
    };
    match answer {
        Ok(status) => Sent::Delivered(with(json!({"status": status}))),
        Err(Rejected { status, fault }) => match retry.pause(&fault, message.tries) {
            Some(pause) => {
                let again = json!({"status": status, "fault": fault, "retry_in_ms": pause.as_millis() as u64});
                Sent::Again(with(again), pause)
            }
            None => Sent::GivenUp(with(json!({"status": status, "fault": fault}))),
        },
    }
}
