//! Figures of a whole column: mean, median, mode.
//!
//! The input is spooled while it is surveyed: which columns miss anything at all, and the sums for a mean. Only for
//! columns that miss something are the median and the mode then worked out, from the spool, some columns in a pass.

mod mean;
mod median;
mod mode;
pub mod number;
mod select;
mod tally;

use crate::column::Target;
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use flight_common::cells::present;
use flight_common::{BatchStream, Fault, Spool, SpoolWriter, StepContext};
use futures::StreamExt;
use mean::Sum;

/// Columns that share a pass over the spool: enough to need few passes, and few enough that what is kept for each
/// stays small in all.
const TOGETHER: usize = 64;

/// Which figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// The sum over the count.
    Mean,
    /// The middle value, or the mean of the middle two.
    Median,
    /// The most frequent value; of several the smallest.
    Mode,
}

/// The rows, and the figure of each target that misses something and has a value, as one row of its plain type.
pub struct Figures {
    /// The rows.
    pub rows: Spool<RecordBatch>,
    /// The targets with their figures.
    pub values: Vec<(Target, ArrayRef)>,
}

/// Reads the whole input and works the figures out.
///
/// # Errors
/// The input's fault; [`flight_common::FaultKind::Busy`] when memory and disk are full.
pub async fn figures(
    statistic: Statistic,
    mut input: BatchStream,
    targets: &[Target],
    context: &StepContext,
) -> Result<Figures, Fault> {
    let mut surveys: Vec<Survey> = targets.iter().map(|target| Survey::new(statistic, target)).collect();
    let mut rows = SpoolWriter::new(context.space(), input.schema());
    while let Some(batch) = input.next().await {
        let batch = batch?;
        for survey in &mut surveys {
            survey.add(batch.column(survey.target.place))?;
        }
        rows.push(batch)?;
    }
    let rows = rows.finish();
    surveys.retain(|survey| survey.missing && survey.present > 0);
    let mut values = Vec::new();
    for some in surveys.chunks(TOGETHER) {
        let figures = match statistic {
            Statistic::Mean => some.iter().map(Survey::mean).collect::<Result<_, _>>()?,
            Statistic::Median => median::of(some, &rows, context).await?,
            Statistic::Mode => mode::of(some, &rows, context).await?,
        };
        let found = some.iter().zip(figures);
        values.extend(found.filter_map(|(survey, figure)| Some((survey.target.clone(), figure?))));
    }
    Ok(Figures { rows, values })
}

/// What the first pass learns of a column.
struct Survey {
    target: Target,
    missing: bool,
    present: u64,
    sum: Option<Sum>,
}

impl Survey {
    fn new(statistic: Statistic, target: &Target) -> Self {
        let sum = (statistic == Statistic::Mean).then(|| Sum::of(&target.plain));
        Self { target: target.clone(), missing: false, present: 0, sum: sum.flatten() }
    }

    fn add(&mut self, column: &ArrayRef) -> Result<(), Fault> {
        let present = present(column)?;
        self.missing |= present.is_some();
        self.present += (column.len() - present.as_ref().map_or(0, NullBuffer::null_count)) as u64;
        match &mut self.sum {
            Some(sum) => sum.add(column, present.as_ref()).map_err(|fault| fault.column(&self.target.name)),
            None => Ok(()),
        }
    }

    fn mean(&self) -> Result<Option<ArrayRef>, Fault> {
        match &self.sum {
            Some(sum) => sum.mean(self.present, &self.target.plain),
            None => Ok(None),
        }
    }
}

/// Looks at each of the columns in all the rows, and lets others have the thread between batches, so that a cancelled
/// run ends soon.
async fn visit<V>(
    visitors: &mut [V],
    surveys: &[Survey],
    rows: &Spool<RecordBatch>,
    mut see: impl FnMut(&mut V, &ArrayRef, Option<&NullBuffer>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    for batch in rows.iter() {
        let batch = batch?;
        for (visitor, survey) in visitors.iter_mut().zip(surveys) {
            let column = batch.column(survey.target.place);
            see(visitor, column, present(column)?.as_ref())?;
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}
