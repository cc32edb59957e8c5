//! Takes runs while there is room, keeps their leases, hands on what others ask of them, and drains at the end.

use super::{Pulse, Service, UnderWay, attempt, hooks, retention, scheduler};
use crate::store::{Claim, Ending, Lease, RunState, Taken};
use flight_common::Fault;
use flight_common::telemetry::metrics;
use serde_json::Value;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// How often the store is asked for runs that others have queued or lost, and for cancels.
const POLL: Duration = Duration::from_millis(500);

/// The worker of a replica.
pub(super) async fn work(service: Service, stop: CancellationToken) {
    let beating = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(beat(service.clone())));
    let retaining = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(retention::retain(service.clone())));
    let scheduling = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(scheduler::schedule(service.clone())));
    let counting = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(count(service.clone())));
    // Runs that end while the replica drains are still told of.
    let stop_telling = CancellationToken::new();
    let told = tokio::spawn(hooks::deliver(service.clone(), stop_telling.clone()));
    let telling = tokio_util::task::AbortOnDropHandle::new(told);
    let lineage = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(trace(service.clone(), stop_telling.clone())));
    let mut attempts = JoinSet::new();
    // Whether there may be runs to take, and whether there may be more once an attempt has ended.
    let (mut some, mut left) = (true, true);
    while !stop.is_cancelled() {
        service.set_pulse(Pulse::Beat(Instant::now()));
        let room = service.0.settings.slots.saturating_sub(attempts.len());
        if room == 0 {
            left = true;
        } else if some {
            let taken = take(&service, room).await;
            let took = taken.claims.len();
            for claim in taken.claims {
                begin(&service, &mut attempts, claim);
            }
            if took > 0 && took == room {
                continue;
            }
            left = taken.left;
        }
        some = tokio::select! {
            () = stop.cancelled() => false,
            () = service.0.wake.notified(), if attempts.len() < service.0.settings.slots => true,
            Some(ended) = attempts.join_next() => {
                // The others that have ended meanwhile are room too: as many runs are taken at once.
                let all = std::iter::once(ended).chain(std::iter::from_fn(|| attempts.try_join_next()));
                for error in all.filter_map(Result::err) {
                    tracing::error!(%error, "an attempt panicked; its run will be given back");
                }
                left
            }
            () = tokio::time::sleep(POLL) => true,
        };
    }
    service.set_pulse(Pulse::Draining);
    drop(scheduling);
    drain(&service, &mut attempts).await;
    stop_telling.cancel();
    for (what, telling) in [("hooks", telling), ("lineage", lineage)] {
        if let Err(error) = telling.await {
            tracing::error!(%error, "the telling of {what} ended badly");
        }
    }
    service.0.over.cancel();
    drop((beating, retaining, counting));
}

/// Tells lineage, where it is to be told.
async fn trace(service: Service, stop: CancellationToken) {
    if let Some(lineage) = &service.0.lineage {
        lineage.deliver(stop).await;
    }
}

async fn take(service: &Service, room: usize) -> Taken {
    let settings = &service.0.settings;
    let taken = service.0.store.claim(&service.0.owner, settings.lease, room, &settings.limits).await;
    taken.unwrap_or_else(|error| {
        tracing::warn!(%error, "no runs could be taken");
        Taken::default()
    })
}

fn begin(service: &Service, attempts: &mut JoinSet<()>, claim: Claim) {
    let under_way = UnderWay {
        fence: claim.lease.fence,
        stop: CancellationToken::new(),
        abandon: CancellationToken::new(),
        lost: CancellationToken::new(),
        released: CancellationToken::new(),
    };
    let lease = claim.lease.clone();
    service.under_way().insert(lease.run.clone(), under_way.clone());
    let service = service.clone();
    let work = async move {
        // Removed also if the attempt panics.
        let _registered = Registered { service: service.clone(), lease };
        attempt::attempt(service, claim, under_way).await;
    };
    attempts.spawn(work.in_current_span());
}

struct Registered {
    service: Service,
    lease: Lease,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut under_way = self.service.under_way();
        // The next attempt of the same run may have begun.
        if under_way.get(&self.lease.run).is_some_and(|one| one.fence == self.lease.fence) {
            under_way.remove(&self.lease.run);
        }
    }
}

/// Lets attempts end in their time, then gives back those that have not.
async fn drain(service: &Service, attempts: &mut JoinSet<()>) {
    let ended = async { while attempts.join_next().await.is_some() {} };
    if tokio::time::timeout(service.0.settings.drain, ended).await.is_ok() {
        return;
    }
    for under_way in service.under_way().values() {
        under_way.released.cancel();
        under_way.end();
    }
    while attempts.join_next().await.is_some() {}
}

/// How often the queue is counted.
const COUNT: Duration = Duration::from_secs(5);

/// Tells how long the queue is, again and again. Never ends.
async fn count(service: Service) {
    let mut ticks = tokio::time::interval(COUNT);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Ok(unfinished) = service.0.store.unfinished().await else { continue };
        for state in [RunState::Queued, RunState::Running, RunState::Cancelling] {
            let runs = unfinished.iter().find(|(of, _)| *of == state).map_or(0, |(_, count)| *count);
            metrics::queue_depth(state.name(), u64::try_from(runs).unwrap_or(0));
        }
    }
}

/// Prolongs leases, passes on cancels that were asked of other replicas, and gives back runs that the store says are this
/// replica's, and that it does not run: those of attempts that panicked. Never ends.
async fn beat(service: Service) {
    let lease = service.0.settings.lease;
    let mut prolonged = Instant::now();
    let mut strays: Vec<Lease> = Vec::new();
    let mut ticks = tokio::time::interval(POLL.min(lease / 3));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let due = prolonged.elapsed() >= lease / 3;
        if !due && service.under_way().is_empty() {
            continue;
        }
        let before: HashMap<String, UnderWay> = service.under_way().clone();
        let store = &service.0.store;
        let held = match due {
            true => store.heartbeat(&service.0.owner, lease).await,
            false => store.held_by(&service.0.owner).await,
        };
        match held {
            Ok(held) => {
                if due {
                    prolonged = Instant::now();
                }
                pass_on(&before, &held);
                strays = give_back(&service, &strays, &held).await;
            }
            Err(error) => tracing::warn!(%error, "the leases could not be looked after"),
        }
    }
}

/// Gives back the runs that nobody here runs, seen for the second time: one that was just taken begins in a moment. Tells those
/// that were seen for the first time.
async fn give_back(service: &Service, seen: &[Lease], held: &[(Lease, RunState)]) -> Vec<Lease> {
    let is_stray = |lease: &Lease| service.under_way().get(&lease.run).is_none_or(|one| one.fence != lease.fence);
    let strays: Vec<&Lease> = held.iter().map(|(lease, _)| lease).filter(|lease| is_stray(lease)).collect();
    for lease in strays.iter().filter(|lease| seen.contains(lease)) {
        // Counted as an attempt: it may break off each time.
        let fault = Fault::upstream("the attempt broke off; the log of its replica says why");
        let ending = Ending::Retry(fault, Duration::ZERO);
        match service.0.store.end(lease, &ending, &Value::Null).await {
            Ok(state) => tracing::warn!(run_id = %lease.run, %state, "a run that nobody ran was given back"),
            Err(error) => tracing::warn!(run_id = %lease.run, %error, "a run that nobody runs could not be given back"),
        }
        service.0.wake.notify_one();
    }
    strays.into_iter().cloned().collect()
}

/// Stops attempts whose run was lost or is to be cancelled.
fn pass_on(under_way: &HashMap<String, UnderWay>, held: &[(Lease, RunState)]) {
    for (run, under_way) in under_way {
        let state = held.iter().find(|(lease, _)| lease.run == *run && lease.fence == under_way.fence);
        match state {
            Some((_, RunState::Cancelling)) => under_way.stop.cancel(),
            Some(_) => {}
            None => {
                // It has ended by itself in the meantime, or another replica has it: either way there is nothing to tell.
                under_way.lost.cancel();
                under_way.end();
            }
        }
    }
}
