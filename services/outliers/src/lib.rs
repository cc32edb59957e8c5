//! The `outliers` step: rows without those whose value lies far from the mean.
//!
//! A z-score needs the mean of all rows before the first row can leave: the input is spooled while it is measured, and
//! filtered as it leaves the spool.

mod border;
mod moments;
mod params;
mod plan;

pub use params::Params;

use arrow::array::RecordBatch;
use async_stream::try_stream;
use border::Border;
use flight_common::{
    BatchStream, Effects, Fault, INPUT, InputSchemas, Inputs, OUTPUT, Outputs, Planned, Spool, SpoolWriter, Step,
    StepContext, StepEnv, StepKind, StepSpec,
};
use futures::StreamExt;
use moments::{Moments, numbers};
use plan::Cut;

/// Removes outliers.
pub struct Outliers;

impl Step for Outliers {
    type Params = Params;
    type Run = Cut;

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "outliers",
            version: env!("CARGO_PKG_VERSION"),
            kind: StepKind::Transform,
            summary: "Removes the rows whose value in one column lies far from the mean.",
            manual: "A row stays if z = |value − mean| / sd is at most `z_threshold`. The standard deviation is that of \
                     a sample (divided by n − 1). Nulls and NaN are not measured, and their rows stay. Nothing is \
                     removed when all values are equal, when there are fewer than two, or when an infinite value \
                     leaves no finite mean. Order, columns and types stay as they are.\n\n\
                     The whole input is read before the first row leaves; what memory cannot hold waits on disk.\n\n\
                     Its report holds the counter `outliers_removed`, and `mean`, `sd` and `z_threshold`.",
            inputs: INPUT,
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: true,
            aliases: &["outlier_detection", "detect_outliers"],
            examples: &[
                ("Beyond three standard deviations", r#"{"column": "MonthlyIncome"}"#),
                ("Stricter", r#"{"column": "TotalAmount", "z_threshold": 2.0}"#),
            ],
        }
    }

    async fn plan(&self, params: Params, inputs: &InputSchemas, _env: &StepEnv) -> Result<Planned<Cut>, Fault> {
        let cut = plan::cut(&params, inputs.only())?;
        Ok(Planned::new(inputs.only().clone(), cut))
    }

    fn process(&self, cut: Cut, inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let input = inputs.only()?;
        let context = context.clone();
        let output = BatchStream::new(
            input.schema(),
            try_stream! {
                let (spool, moments) = measure(input, cut.place, &context).await?;
                report(&moments, &cut, &context);
                let mut rows = match Border::new(cut.place, &moments, cut.threshold) {
                    Some(border) => without_outliers(spool, border, &context),
                    None => spool.drain(),
                };
                while let Some(batch) = rows.next().await {
                    let batch = batch?;
                    if batch.num_rows() > 0 {
                        yield batch;
                    }
                }
            },
        );
        Ok(Outputs::main(output))
    }
}

async fn measure(
    mut input: BatchStream,
    place: usize,
    context: &StepContext,
) -> Result<(Spool<RecordBatch>, Moments), Fault> {
    let mut spool = SpoolWriter::new(context.space(), input.schema());
    let mut moments = Moments::default();
    while let Some(batch) = input.next().await {
        let batch = batch?;
        moments.add(&numbers(&batch, place)?);
        spool.push(batch)?;
    }
    Ok((spool.finish(), moments))
}

fn report(moments: &Moments, cut: &Cut, context: &StepContext) {
    context.meter.count("outliers_removed", 0);
    context.meter.detail("mean", moments.mean());
    context.meter.detail("sd", moments.deviation());
    context.meter.detail("z_threshold", cut.threshold);
}

fn without_outliers(spool: Spool<RecordBatch>, border: Border, context: &StepContext) -> BatchStream {
    let rows = spool.drain();
    let (schema, meter) = (rows.schema(), context.meter.clone());
    context.map_batches_parallel(rows, schema, move |batch| {
        let (kept, removed) = border.within(batch)?;
        meter.count("outliers_removed", removed as u64);
        Ok(kept)
    })
}
