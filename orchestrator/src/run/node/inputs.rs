//! What a step reads: its inputs once all of them have come, and whether it may begin.

use super::NodeTask;
use crate::mesh::Mesh;
use crate::run::progress::Status;
use crate::run::stage::End;
use crate::run::tee::read_ahead;
use flight_common::{EdgeStream, Fault, Parcel};
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use tokio::sync::watch as signal;

impl<M: Mesh> NodeTask<M> {
    /// Its inputs, once it may begin. Nothing for a step that is skipped: its condition does not hold, or what feeds it is
    /// skipped. Whatever comes for it then is read and let go, so that who gives it ends as well.
    pub(super) async fn begin(&mut self) -> Result<Option<Vec<EdgeStream<M::Item>>>, Fault> {
        let wanted = self.inputs.len();
        let Some(streams) = self.gather().await else { return Ok(None) };
        if streams.len() == wanted && self.may_run().await? {
            return Ok(Some(streams.into_iter().map(|stream| self.counted(stream)).collect()));
        }
        join_all(streams.into_iter().map(|mut stream| async move { while stream.next().await.is_some() {} })).await;
        Ok(None)
    }

    /// Whether its condition holds.
    async fn may_run(&mut self) -> Result<bool, Fault> {
        let Some(when) = self.node.when.as_ref().filter(|when| when.decided().is_none()) else { return Ok(true) };
        let mut steps = BTreeMap::new();
        for asked in &mut self.asks {
            let ended = asked.wait_for(Option::is_some).await.map_err(Fault::internal)?;
            if let Some(outcome) = ended.as_ref() {
                steps.insert(outcome.id.clone(), outcome.facts());
            }
        }
        when.holds(&steps, &self.shared.run)
    }

    /// Waits for its inputs and for the steps it comes after: those inputs that came. Nothing if one of those steps did
    /// not end well.
    async fn gather(&mut self) -> Option<Vec<EdgeStream<M::Item>>> {
        let ahead = self.reads_ahead;
        let arriving: Vec<_> = std::mem::take(&mut self.inputs)
            .into_iter()
            .map(|input| {
                let space = self.shared.space.clone();
                async move {
                    let stream = input.await.ok()?;
                    Some(if ahead { read_ahead(stream, &space) } else { stream })
                }
            })
            .collect();
        let (streams, ended_well) = tokio::join!(join_all(arriving), all_well(&mut self.after));
        ended_well.then(|| streams.into_iter().flatten().collect())
    }

    /// Its input, with the rows counted.
    fn counted(&self, stream: EdgeStream<M::Item>) -> EdgeStream<M::Item> {
        let (shared, place) = (self.shared.clone(), self.place);
        stream.wrap(move |items| {
            items.inspect(move |item| {
                if let Ok(item) = item {
                    shared.progress.step(place).rows_in.fetch_add(item.rows(), Ordering::Relaxed);
                }
            })
        })
    }
}

/// Whether each of these steps ended well, or was skipped. False as soon as one did not.
async fn all_well(steps: &mut [signal::Receiver<End>]) -> bool {
    let ends = steps.iter_mut().map(|step| async move {
        let ended = step.wait_for(Option::is_some).await.ok().and_then(|ended| Some(ended.as_ref()?.status));
        match ended {
            Some(Status::Done | Status::Reused | Status::Skipped) => Ok(()),
            _ => Err(()),
        }
    });
    ends.collect::<FuturesUnordered<_>>().try_collect::<()>().await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::StepOutcome;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test]
    async fn of_very_many_the_first_that_did_not_end_well_is_told_at_once() {
        let (ends, mut steps): (Vec<_>, Vec<_>) = (0..100).map(|_| signal::channel(None)).unzip();
        ends[99].send_replace(Some(Arc::new(StepOutcome::bare("last", "sum", Status::Failed))));
        let told = tokio::time::timeout(Duration::from_secs(60), all_well(&mut steps)).await;
        assert_eq!(told, Ok(false), "it waits for those before it");
        drop(ends);
    }
}
