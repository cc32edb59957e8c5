//! How a run goes on: a live line for each step on a terminal, a line for each change elsewhere.

use super::numbers::count;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use orchestrator::pipeline::Plan;
use orchestrator::run::{Progress, Status};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often figures are looked at.
const BEAT: Duration = Duration::from_millis(100);

/// Runs shorter than this show none.
const QUICK: Duration = Duration::from_millis(500);

/// What is said of a run that is being stopped.
const STOPPING: &str = "stopping; what is committing may end that first. Ctrl-C again ends it all at once";

/// Shows a run until it is dropped, and that it is being stopped.
pub async fn progress(plan: &Plan, progress: Arc<Progress>, stop: &CancellationToken, shown: bool) {
    if !shown {
        return std::future::pending().await;
    }
    // A run that is over at once needs no progress.
    let mut beat = tokio::time::interval_at(Instant::now() + QUICK, BEAT);
    if std::io::stderr().is_terminal() {
        let lines = Lines::new(plan);
        loop {
            beat.tick().await;
            lines.refresh(&progress, stop);
        }
    }
    let mut told = false;
    let mut last = vec![Status::Waiting; plan.nodes.len()];
    loop {
        beat.tick().await;
        for (place, node) in plan.nodes.iter().enumerate() {
            let step = progress.step(place);
            let status = step.status();
            if std::mem::replace(&mut last[place], status) != status {
                let rows = count(step.rows_out.load(Ordering::Relaxed));
                super::tell(format_args!("{}: {} ({rows} rows)", node.id, status.name()));
            }
        }
        if stop.is_cancelled() && !std::mem::replace(&mut told, true) {
            super::tell(STOPPING);
        }
    }
}

/// The live lines. They leave the terminal when dropped: the closing table says it all again.
struct Lines {
    lines: MultiProgress,
    bars: Vec<ProgressBar>,
    foot: ProgressBar,
}

impl Lines {
    fn new(plan: &Plan) -> Self {
        let lines = MultiProgress::new();
        let style = ProgressStyle::with_template("{spinner} {prefix:<24} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bars = plan.nodes.iter().map(|node| {
            let bar = lines.add(ProgressBar::new_spinner().with_style(style.clone()));
            bar.set_prefix(node.id.clone());
            bar
        });
        let bars = bars.collect();
        let foot = lines.add(ProgressBar::new_spinner());
        foot.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self { bars, foot, lines }
    }

    fn refresh(&self, progress: &Progress, stop: &CancellationToken) {
        if stop.is_cancelled() {
            self.foot.set_message(STOPPING);
        }
        for (place, bar) in self.bars.iter().enumerate() {
            let step = progress.step(place);
            let rows = |counter: &std::sync::atomic::AtomicU64| count(counter.load(Ordering::Relaxed));
            bar.set_message(format!(
                "{:<9} {} → {} rows",
                step.status().name(),
                rows(&step.rows_in),
                rows(&step.rows_out)
            ));
            bar.tick();
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // A terminal that is gone needs no cleaning.
        let _ = self.lines.clear();
    }
}
