//! How many runs may be under way, and which limit keeps a run from being so. Pure.

use std::collections::HashMap;
use std::fmt;

/// How many runs may be under way, over all replicas. Counted from the store itself each time, so that no slot can leak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub runs: usize,
    /// Of one pipeline, unless its text says otherwise.
    pub per_pipeline: usize,
    /// That use a service, by its name.
    pub per_service: HashMap<String, usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { runs: 16, per_pipeline: 16, per_service: HashMap::new() }
    }
}

/// A run that waits or is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub id: String,
    pub pipeline: String,
    pub priority: i64,
    pub concurrency: Option<usize>,
    /// The schedule or backfill that it belongs to, and how many of that it lets be under way beside itself.
    pub series: Option<String>,
    pub of_series: Option<usize>,
    pub services: Vec<String>,
}

/// How the origin of a run of a backfill begins.
const BACKFILL: &str = "backfill:";

impl Waiting {
    /// What runs of this origin belong to: those of a schedule whose times came, and those whose times were missed, together;
    /// those of a backfill by themselves.
    pub fn series_of(origin: &str) -> Option<String> {
        let name = ["schedule:", "catch-up:"].iter().find_map(|begin| origin.strip_prefix(begin));
        // No name of a schedule has a colon.
        name.or(Some(origin).filter(|origin| origin.starts_with(BACKFILL))).map(str::to_owned)
    }
}

/// Which limit holds a run back beside those that are under way, in words.
pub(super) fn waits_for(run: &Waiting, under_way: &[Waiting], limits: &Limits) -> Option<String> {
    Tally::of(under_way).full(run, limits).map(|full| full.to_string())
}

/// A limit that is reached.
pub(super) enum Full<'a> {
    Runs(usize),
    Pipeline { name: &'a str, most: usize, own: bool },
    Service { name: &'a str, most: usize },
    Series { name: &'a str, most: usize },
}

impl fmt::Display for Full<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs(most) => write!(f, "at most {most} may run at a time: --max-runs"),
            Self::Pipeline { name, most, own } => {
                let limit = if *own { "its `concurrency`" } else { "--max-runs-per-pipeline" };
                write!(f, "at most {most} of the pipeline {name} may run at a time: {limit}")
            }
            Self::Service { name, most } => {
                write!(f, "at most {most} that use {name} may run at a time: --max-runs-per-step")
            }
            Self::Series { name, most } => match name.strip_prefix(BACKFILL) {
                Some(name) => write!(f, "at most {most} of the backfill {name} may run at a time: its --concurrency"),
                None => write!(f, "the runs of the schedule {name} run one after another"),
            },
        }
    }
}

/// How many are under way, by what limits go by.
#[derive(Default)]
pub(super) struct Tally<'a> {
    runs: usize,
    pipelines: HashMap<&'a str, usize>,
    series: HashMap<&'a str, usize>,
    services: HashMap<&'a str, usize>,
}

impl<'a> Tally<'a> {
    /// Of those that are under way.
    pub fn of(under_way: &'a [Waiting]) -> Self {
        let mut tally = Self::default();
        under_way.iter().for_each(|run| tally.add(run));
        tally
    }

    pub fn add(&mut self, run: &'a Waiting) {
        self.runs += 1;
        *self.pipelines.entry(&run.pipeline).or_default() += 1;
        if let Some(series) = &run.series {
            *self.series.entry(series).or_default() += 1;
        }
        for service in &run.services {
            *self.services.entry(service).or_default() += 1;
        }
    }

    pub fn of_pipeline(&self, pipeline: &str) -> usize {
        self.pipelines.get(pipeline).copied().unwrap_or(0)
    }

    /// The limit that keeps this run from being under way as well.
    pub fn full<'r>(&self, run: &'r Waiting, limits: &Limits) -> Option<Full<'r>> {
        let reached = |counts: &HashMap<&str, usize>, name: &str, most| counts.get(name).copied().unwrap_or(0) >= most;
        let most = run.concurrency.unwrap_or(limits.per_pipeline);
        if self.runs >= limits.runs {
            return Some(Full::Runs(limits.runs));
        }
        if reached(&self.pipelines, &run.pipeline, most) {
            return Some(Full::Pipeline { name: &run.pipeline, most, own: run.concurrency.is_some() });
        }
        let series = run.series.as_deref().zip(run.of_series);
        if let Some((name, most)) = series.filter(|(name, most)| reached(&self.series, name, *most)) {
            return Some(Full::Series { name, most });
        }
        self.full_service(&run.services, limits)
    }

    /// The limit of a service that keeps a run that uses these from being under way as well.
    pub fn full_service<'r>(&self, services: &'r [String], limits: &Limits) -> Option<Full<'r>> {
        services.iter().find_map(|name| {
            let most = *limits.per_service.get(name)?;
            let count = self.services.get(name.as_str()).copied().unwrap_or(0);
            (count >= most).then_some(Full::Service { name, most })
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn run(id: &str, pipeline: &str, priority: i64) -> Waiting {
        let services = vec!["extract-csv".to_owned()];
        let (id, pipeline) = (id.to_owned(), pipeline.to_owned());
        Waiting { id, pipeline, priority, concurrency: None, series: None, of_series: None, services }
    }

    #[test]
    fn the_limit_that_holds_a_run_back_is_told() {
        let uses = |name: &str| HashMap::from([(name.to_owned(), 1)]);
        let of = |origin, of_series| Waiting { series: Waiting::series_of(origin), of_series, ..run("1", "a", 0) };
        let told = |run: &Waiting, limits| waits_for(run, &[of("schedule:day", None)], &limits).unwrap_or_default();
        let runs = told(&run("2", "b", 0), Limits { runs: 1, ..Limits::default() });
        assert_eq!(runs, "at most 1 may run at a time: --max-runs");
        let pipeline = told(&run("2", "a", 0), Limits { per_pipeline: 1, ..Limits::default() });
        assert_eq!(pipeline, "at most 1 of the pipeline a may run at a time: --max-runs-per-pipeline");
        let step = told(&run("2", "b", 0), Limits { per_service: uses("extract-csv"), ..Limits::default() });
        assert_eq!(step, "at most 1 that use extract-csv may run at a time: --max-runs-per-step");
        let series = told(&of("catch-up:day", Some(1)), Limits::default());
        assert_eq!(series, "the runs of the schedule day run one after another");
        let backfilled = waits_for(&of("backfill:x", Some(1)), &[of("backfill:x", Some(1))], &Limits::default());
        let words = "at most 1 of the backfill x may run at a time: its --concurrency";
        assert_eq!(backfilled.as_deref(), Some(words));
        assert_eq!(told(&run("2", "b", 0), Limits::default()), "");
    }
}
