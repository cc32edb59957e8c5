//! The run: pages are read one after the other, their records decoded in parallel, and put in order again.

use crate::decode::decode;
use crate::layout::Layout;
use crate::options::Options;
use crate::pages::Pages;
use flight_common::{BatchStream, Fault, StepContext, sparse_rows};
use futures::{StreamExt, TryStreamExt, stream};
use std::sync::Arc;

/// What was planned.
pub struct Run {
    /// What to read, and how.
    pub options: Arc<Options>,
    /// Its columns.
    pub layout: Arc<Layout>,
}

impl Run {
    /// The rows. The first request is sent when the first batch is asked for.
    ///
    /// # Errors
    /// Why no request can be sent from this machine.
    pub fn batches(self, context: &StepContext) -> Result<BatchStream, Fault> {
        let Self { options, layout } = self;
        let meter = context.meter.clone();
        let pages = Pages::new(options.clone(), &context.env.http_allow, context.budget(), Some(meter))?;
        let blocks = stream::try_unfold(pages, |mut pages| async move {
            Ok::<_, Fault>(pages.next().await?.map(|block| (block, pages)))
        });
        let (schema, rows) = (layout.schema.clone(), sparse_rows(layout.columns.len()));
        let blocks = blocks.map_ok(move |block| stream::iter(block.parts(rows)).map(Ok)).try_flatten();
        let blocks = context.from_outside(blocks);
        let batches = context.map_parallel(blocks, move |block| decode(&layout, &options.nulls, &block));
        // A page without records has no batch.
        let batches = batches.try_filter(|batch| std::future::ready(batch.num_rows() > 0));
        Ok(BatchStream::new(schema, batches))
    }
}
