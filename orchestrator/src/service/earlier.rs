//! What earlier attempts of a run have left for the next one.

use super::Service;
use super::attendant::patiently;
use super::kept::checked;
use super::reuse::{Past, Settlement, settle};
use crate::pipeline::{Plan, PlannedNode};
use crate::run::{Figures, Settled};
use crate::store::{AttemptRow, Claim, Committed, StoreError, Told};
use flight_common::{DataRoot, Effects, Fault, compute};
use serde::Deserialize;
use std::collections::HashMap;

/// What need not be done again, with its files open. An output whose file is not what it was is made again, and so is
/// a load whose file is gone.
pub(super) async fn settled(
    service: &Service,
    claim: &Claim,
    plan: &Plan,
    prints: &[String],
) -> Result<HashMap<String, Settled>, Fault> {
    let mut past = patiently(|| past(service, claim, plan, prints)).await?;
    if past.kept.is_empty() && past.commits.is_empty() {
        return Ok(HashMap::new());
    }
    let (own, root, plan, prints) = (service.0.own.clone(), service.0.data_root.clone(), plan.clone(), prints.to_vec());
    compute::run(move || {
        past.commits.retain(|commit| still_there(&root, commit));
        loop {
            let mut opened = HashMap::new();
            let mut broken = None;
            for (id, settlement) in settle(&plan, &prints, &past) {
                match open(&own, settlement) {
                    Some(settled) => {
                        let earlier = past.told.get(&id).cloned();
                        opened.insert(id, Settled { earlier, ..settled });
                    }
                    None => broken = Some(id),
                }
            }
            match broken {
                None => return Ok(opened),
                Some(id) => past.kept.retain(|kept| kept.step != id),
            }
        }
    })
    .await
}

async fn past(service: &Service, claim: &Claim, plan: &Plan, prints: &[String]) -> Result<Past, StoreError> {
    if !claim.reuse {
        return Ok(Past::default());
    }
    let (store, run) = (&service.0.store, &claim.lease.run);
    let (kept, commits) = tokio::try_join!(store.kept(run), store.commits(run))?;
    if kept.is_empty() && commits.is_empty() {
        return Ok(Past::default());
    }
    let (attempts, stored) = tokio::try_join!(store.attempts(run), store.told(run))?;
    let mut told = reported(&attempts, plan, prints);
    // An attempt that was lost with its replica has left no report.
    for Told { step, fingerprint, figures, .. } in stored {
        let Ok(figures) = Figures::deserialize(figures) else { continue };
        for id in doing(&step, &fingerprint, plan, prints) {
            told.insert(id, figures.clone());
        }
    }
    let past = Past { kept, commits, told };
    let names = past.names(plan, prints);
    if !names.is_empty() {
        // Before anything is done that is called as this was.
        store.rename_steps(&claim.lease, &names).await?;
    }
    Ok(past.renamed(&names))
}

/// What each step did when it was last done, as reports have it. Those of attempts that did not do it again may lack its figures.
fn reported(attempts: &[AttemptRow], plan: &Plan, prints: &[String]) -> HashMap<String, Figures> {
    let reports = attempts.iter().filter_map(|attempt| attempt.report.as_ref());
    let mut told = HashMap::new();
    for step in reports.filter_map(|report| report["steps"].as_array()).flatten() {
        let Ok(figures) = Figures::deserialize(step) else { continue };
        let is_known = step["status"] == "done" || step["status"] == "reused" && figures != Figures::default();
        if let (true, Some(id), Some(print)) = (is_known, step["id"].as_str(), step[FINGERPRINT].as_str()) {
            told.extend(doing(id, print, plan, prints).map(|id| (id, figures.clone())));
        }
    }
    told
}

/// The steps that do what one of this name and fingerprint did: by now they may be called otherwise.
fn doing<'a>(
    id: &'a str,
    print: &'a str,
    plan: &'a Plan,
    prints: &'a [String],
) -> impl Iterator<Item = String> + use<'a> {
    let same = move || plan.nodes.iter().zip(prints).filter(move |(_, now)| *now == print).map(|(node, _)| &node.id);
    let has_its_name = same().any(|now| now == id);
    same().filter(move |now| !has_its_name || *now == id).cloned()
}

/// What a step of a report depends on is called so.
pub(super) const FINGERPRINT: &str = "fingerprint";

/// Opens the files of what need not be done again. Nothing for a step one of whose files is not what was kept.
fn open(own: &DataRoot, settlement: Settlement) -> Option<Settled> {
    let mut settled = Settled { receipt: settlement.receipt, rows: settlement.rows, ..Settled::default() };
    for kept in settlement.replayed {
        match checked(own, &kept) {
            Ok(file) => drop(settled.outputs.insert(kept.output, file)),
            Err(fault) => {
                tracing::warn!(step = kept.step, fault = %fault, "a kept output cannot be used; it is made again");
                return None;
            }
        }
    }
    Some(settled)
}

/// Whether the file that a load wrote is still the one that is there. What is no file is taken at its word.
fn still_there(root: &DataRoot, commit: &Committed) -> bool {
    let Some(path) = commit.receipt["path"].as_str() else { return true };
    root.identity_of(path, "path").is_ok_and(|file| match &commit.tag {
        Some(tag) => file.tag() == *tag,
        None => commit.receipt["bytes"].as_u64().is_none_or(|bytes| bytes == file.size()),
    })
}

/// Those of these steps that cannot take back what they do and were begun by an earlier attempt, since somebody last asked
/// for the run: what came of them is not known.
pub(super) async fn begun(
    service: &Service,
    claim: &Claim,
    steps: impl Iterator<Item = &PlannedNode>,
) -> Result<Vec<String>, StoreError> {
    let external = steps.filter(|node| node.effects == Effects::External);
    let external: Vec<&str> = external.map(|node| node.id.as_str()).collect();
    if external.is_empty() {
        return Ok(Vec::new());
    }
    let (store, run) = (&service.0.store, &claim.lease.run);
    let asked = store.newest_event(run, "resumed").await?.map_or(0, |event| event.seq);
    let mut begun = store.begun(run, asked).await?;
    begun.retain(|id| external.contains(&id.as_str()));
    Ok(begun)
}

/// Why the run may not go on by itself: one of these steps was begun, as [`begun`] finds out.
pub(super) async fn may_not_go_on(
    service: &Service,
    claim: &Claim,
    steps: impl Iterator<Item = &PlannedNode>,
) -> Result<Option<Fault>, StoreError> {
    let begun = begun(service, claim, steps).await?;
    let Some(id) = begun.first() else { return Ok(None) };
    let last = service.0.store.run(&claim.lease.run).await?.fault;
    let ended = last.and_then(|fault| serde_json::from_value::<Fault>(fault).ok());
    let ended = ended.map(|fault| format!(", and ended with \"{fault}\"")).unwrap_or_default();
    let message = format!("\"{id}\" cannot take back what it does; an earlier attempt has begun it{ended}");
    let help = "it is not done again unasked: look at what it has done; `quiver runs resume` does it again";
    Ok(Some(Fault::upstream(message).help(help)))
}
