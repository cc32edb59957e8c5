//! `DoPut`: rows for a load, or a named input staged for an exchange.

use super::Service;
use super::call::{Caller, body, failed, streaming};
use super::exchange::Opened;
use super::opening::Opening;
use crate::command::StepCommand;
use crate::compute;
use crate::describe::{INPUT_NAME_HELP, StepKind};
use crate::fault::Fault;
use crate::params::did_you_mean;
use crate::stream::BatchStream;
use crate::wire::Frame;
use futures::{StreamExt, stream};
use http::Response;
use std::sync::Arc;
use tonic::body::Body;

impl Service {
    /// Serves `DoPut`. A load's receipt and report come back as the metadata of one `PutResult`; staging answers with
    /// an empty stream once all rows are kept.
    pub(super) async fn put(self: Arc<Self>, caller: Caller, request: Body) -> Response<Body> {
        let opening = match Opening::read(request, self.limits.opening).await {
            Ok(opening) => opening,
            Err(fault) => return failed(fault),
        };
        let result = match opening.command.input.as_str() {
            "" => self.put_rows(caller, opening).await,
            _ => self.stage(opening).await,
        };
        result.unwrap_or_else(failed)
    }

    /// Runs a load, and answers with its receipt.
    async fn put_rows(self: &Arc<Self>, caller: Caller, opening: Opening) -> Result<Response<Body>, Fault> {
        let spec = self.registry.find(&opening.command.step)?.spec();
        if spec.kind != StepKind::Load {
            return Err(Fault::bad_params(format!("{} gives rows back, and DoPut cannot bring them", spec.name))
                .help("call it by DoExchange"));
        }
        let Opened { frames, .. } = self.open(caller, opening).await?;
        // `PutResult` has its metadata in field 1: the whole answer in one message, once the load has committed.
        let results = stream::once(async move {
            let receipt = crate::client::collect_receipt(frames).await?;
            Ok(Frame::put_result(receipt))
        });
        Ok(streaming(body(results)))
    }

    async fn stage(self: &Arc<Self>, opening: Opening) -> Result<Response<Body>, Fault> {
        let StepCommand { step, exchange_id, input, .. } = opening.command.clone();
        if exchange_id.is_empty() {
            return Err(Fault::bad_params("a staged input needs an exchange_id")
                .help("send the same exchange_id with the input and with its exchange"));
        }
        let exchange = self.exchange_key(&opening.command)?;
        let spec = self.registry.find(&step)?.spec();
        if !spec.takes(&input) {
            let help = match spec.takes_any_inputs() {
                true => INPUT_NAME_HELP.to_owned(),
                false => did_you_mean(&input, spec.inputs.iter().copied()),
            };
            return Err(Fault::bad_params(format!("{step} has no input \"{input}\"")).help(help));
        }
        let rows: BatchStream = opening.input(self.limits.opening).await?;
        let arriving = self.staging.announce(&exchange, &input, rows.schema(), &self.env.space)?;
        let service = self.clone();
        let kept = compute::spawn(async move {
            let claim = arriving.take_in(rows).await;
            let patience = service.limits.staging;
            let unclaimed = match &claim {
                Ok(claim) => !*claim.borrow(),
                Err(_) => true,
            };
            if unclaimed {
                // Whoever claims it in time still gets it, or the fault that cut it short.
                tokio::spawn(async move {
                    tokio::time::sleep(patience).await;
                    service.staging.forget(&exchange, &input);
                });
            }
            claim.map(drop)
        });
        // It ends with the rows, and not with whoever waits for the answer: what it has announced is forgotten in any case.
        let kept = kept.detach();
        let answer = stream::once(async move { kept.await.map_err(Fault::internal)? });
        Ok(streaming(body(answer.filter_map(|kept: Result<(), Fault>| std::future::ready(kept.err().map(Err))))))
    }
}
