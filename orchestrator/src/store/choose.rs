//! Which queued runs are next. Pure: it sees what waits and what runs, and says which may go.
//!
//! The highest priority goes first. Among equals, the pipeline that has the fewest runs under way, then the one whose last
//! turn is longest ago, and then the run that has waited longest: so a pipeline with a thousand runs in the queue does not
//! starve one that has a single run, even where only one run goes at a time.

use super::limits::{Full, Limits, Tally, Waiting};
use serde_json::json;
use std::cmp::Reverse;
use std::collections::HashMap;

/// When each pipeline had a run taken last, as far as this replica took it: turns are counted, from 1.
#[derive(Debug, Default)]
pub(super) struct Turns {
    count: u64,
    last: HashMap<String, u64>,
}

/// Pipelines whose last turn is remembered.
const REMEMBERED: usize = 4096;

impl Turns {
    /// A run of this pipeline was taken.
    pub fn took(&mut self, pipeline: &str) {
        self.count += 1;
        self.last.insert(pipeline.to_owned(), self.count);
        if self.last.len() > REMEMBERED {
            let oldest = self.count - REMEMBERED as u64 / 2;
            self.last.retain(|_, turn| *turn > oldest);
        }
    }

    fn of(&self, pipeline: &str) -> u64 {
        self.last.get(pipeline).copied().unwrap_or(0)
    }
}

/// Queues that are looked into together.
pub(super) const TOGETHER: usize = 4;

/// Characters of the JSON of services by which queues are told apart.
const TOLD_BY: usize = 200;

/// Runs of one pipeline that wait and use the same services, as far as [`are_many`] lets that be known. All that is known of them
/// is the first, whether or not it may go.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub pipeline: String,
    pub priority: i64,
    pub id: String,
    pub services: Vec<String>,
    /// What the database calls it.
    pub name: String,
}

/// As many services as these are told apart by their first characters only: behind a run that uses them, there may be
/// others that use others.
fn are_many(services: &[String]) -> bool {
    json!(services).to_string().chars().count() > TOLD_BY
}

/// Which of those that wait may go.
#[derive(Debug)]
pub(super) struct Choice {
    /// Their ids, the first one first.
    pub runs: Vec<String>,
    /// Whether a limit was in the way of one that is not among them, and behind it others may wait that could go.
    pub held_back: bool,
    /// Which queues are to be looked into before any more can be chosen.
    pub look_into: Vec<usize>,
}

/// Chooses at most `want` of those that wait, as far as that can be done without a look into the other queues.
pub(super) fn choose(
    waiting: &[Waiting],
    others: &[Queue],
    under_way: &[Waiting],
    limits: &Limits,
    turns: &Turns,
    want: usize,
) -> Choice {
    let mut tally = Tally::of(under_way);
    let mut choice = Choice { runs: Vec::new(), held_back: false, look_into: Vec::new() };
    let mut left: Vec<&Waiting> = waiting.iter().collect();
    while choice.runs.len() < want {
        let mut next = None;
        for (place, run) in left.iter().enumerate() {
            match tally.full(run, limits) {
                Some(Full::Service { .. }) => choice.held_back |= are_many(&run.services),
                Some(_) => choice.held_back = true,
                None => {
                    let rank = rank(&tally, turns, run.priority, &run.pipeline, &run.id);
                    next = next.into_iter().chain([(rank, place)]).min();
                }
            }
        }
        let open = |queue: &Queue| are_many(&queue.services) || tally.full_service(&queue.services, limits).is_none();
        let others = others.iter().enumerate().filter(|(_, queue)| open(queue));
        let others =
            others.map(|(place, queue)| (rank(&tally, turns, queue.priority, &queue.pipeline, &queue.id), place));
        let mut others: Vec<_> = others.collect();
        others.sort_unstable();
        match (next, others.first()) {
            (next, Some(first)) if next.as_ref().is_none_or(|next| first < next) => {
                choice.look_into = others.into_iter().take(TOGETHER).map(|(_, place)| place).collect();
                break;
            }
            (Some((_, place)), _) => {
                let run = left.remove(place);
                tally.add(run);
                choice.runs.push(run.id.clone());
            }
            (None, _) => break,
        }
    }
    choice
}

/// What goes first has the least. Of equals, that is the one that has waited longest.
fn rank<'a>(
    tally: &Tally<'_>,
    turns: &Turns,
    priority: i64,
    pipeline: &str,
    id: &'a str,
) -> (Reverse<i64>, usize, u64, &'a str) {
    (Reverse(priority), tally.of_pipeline(pipeline), turns.of(pipeline), id)
}

/// Takes away the queues that are to be looked into.
pub(super) fn looked_into(queues: &mut Vec<Queue>, choice: &Choice) -> Vec<Queue> {
    let mut places = choice.look_into.clone();
    places.sort_unstable_by_key(|place| Reverse(*place));
    places.into_iter().map(|place| queues.swap_remove(place)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::limits::tests::run;
    use super::*;
    use proptest::prelude::*;
    use std::slice;

    #[test]
    fn priority_goes_first_then_the_pipeline_with_the_fewest_then_the_oldest() {
        let waiting = [run("1", "a", 0), run("2", "a", 0), run("3", "b", 0), run("4", "a", 9)];
        let chosen = choose(&waiting, &[], &[], &Limits::default(), &Turns::default(), 9).runs;
        assert_eq!(chosen, ["4", "3", "1", "2"]);
    }

    #[test]
    fn pipelines_take_turns_where_one_run_goes_at_a_time() {
        let limits = Limits { runs: 1, ..Limits::default() };
        let mut waiting =
            vec![run("1", "a", 0), run("2", "a", 0), run("3", "b", 0), run("4", "a", 0), run("5", "b", 0)];
        let mut turns = Turns::default();
        let mut order = Vec::new();
        while let [next] = &choose(&waiting, &[], &[], &limits, &turns, 9).runs[..] {
            let place = waiting.iter().position(|run| run.id == *next).expect("it waited");
            turns.took(&waiting.remove(place).pipeline);
            order.push(next.clone());
        }
        assert_eq!(order, ["1", "3", "2", "5", "4"]);
    }

    #[test]
    fn limits_hold_over_what_runs_already() {
        let limits = Limits { runs: 3, per_pipeline: 1, per_service: HashMap::new() };
        let waiting = [run("1", "a", 0), run("2", "b", 0), run("3", "b", 0), run("4", "c", 0)];
        assert_eq!(choose(&waiting, &[], &[run("0", "a", 0)], &limits, &Turns::default(), 9).runs, ["2", "4"]);
        let limits = Limits { runs: 9, per_pipeline: 9, per_service: HashMap::from([("extract-csv".to_owned(), 2)]) };
        assert_eq!(choose(&waiting, &[], &[run("0", "a", 0)], &limits, &Turns::default(), 9).runs, ["2"]);
    }

    #[test]
    fn a_schedule_waits_for_its_own_runs_and_for_no_others() {
        let of = |id, origin, of_series| Waiting { series: Waiting::series_of(origin), of_series, ..run(id, "a", 0) };
        let under_way = [of("0", "api", None), of("1", "schedule:day", Some(1))];
        let waiting = [
            of("2", "schedule:day", Some(1)),
            of("3", "catch-up:day", Some(1)),
            of("4", "schedule:night", Some(1)),
            of("5", "backfill:day", Some(2)),
            of("6", "backfill:day", Some(2)),
            of("7", "backfill:day", Some(2)),
        ];
        assert_eq!(choose(&waiting, &[], &under_way, &Limits::default(), &Turns::default(), 9).runs, ["4", "5", "6"]);
    }

    #[test]
    fn it_is_told_when_a_limit_was_in_the_way() {
        let waiting = [run("1", "a", 0), run("2", "b", 0)];
        let held_back = |under_way: &[Waiting], want| {
            let limits = Limits { per_pipeline: 1, ..Limits::default() };
            choose(&waiting, &[], under_way, &limits, &Turns::default(), want).held_back
        };
        assert!(!held_back(&[], 1) && !held_back(&[], 2));
        // Behind the first one another one may wait that goes before the second.
        assert!(held_back(&[run("0", "a", 0)], 1));
        // So it is where those that were chosen themselves reach the limit.
        let waiting = [run("1", "a", 0), run("2", "a", 0), run("3", "b", 0)];
        let limits = Limits { per_pipeline: 1, ..Limits::default() };
        assert!(choose(&waiting, &[], &[], &limits, &Turns::default(), 2).held_back);
        // All that wait go.
        assert!(!held_back(&[], 3));
        // Behind one that waits for a service, all wait for it: others are in other queues. Of many services that is not known.
        let (uses, many) = (run("1", "a", 0), (0..40).map(|n| format!("step-{n}")).chain(["extract-csv".to_owned()]));
        let uses_many = Waiting { services: many.collect(), ..uses.clone() };
        let limits = Limits { per_service: HashMap::from([("extract-csv".to_owned(), 1)]), ..Limits::default() };
        let waits =
            |run: &Waiting| choose(slice::from_ref(run), &[], slice::from_ref(&uses), &limits, &Turns::default(), 1);
        assert!(!waits(&uses).held_back && waits(&uses_many).held_back);
    }

    #[test]
    fn a_pipeline_may_have_a_limit_of_its_own() {
        let only_one = |id| Waiting { concurrency: Some(1), ..run(id, "a", 0) };
        assert_eq!(
            choose(&[only_one("1"), only_one("2")], &[], &[], &Limits::default(), &Turns::default(), 9).runs,
            ["1"]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn looking_into_queues_one_by_one_chooses_what_looking_into_all_would(
            runs in proptest::collection::vec((0..6_usize, 0..3_i64, 0..2_usize), 0..30),
            under_way in proptest::collection::vec((0..6_usize, 0..2_usize), 0..6),
            taken in proptest::collection::vec(0..6_usize, 0..9),
            (per_pipeline, of_service, want) in (1..4_usize, 1..4_usize, 1..9_usize),
        ) {
            const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
            let of = |id: String, pipeline: usize, priority, service: usize| Waiting {
                services: vec![["csv", "sql"][service].to_owned()],
                ..run(&id, NAMES[pipeline], priority)
            };
            let ids = 10..;
            let runs = runs.iter().zip(ids);
            let runs = runs.map(|((pipeline, priority, service), id)| of(id.to_string(), *pipeline, *priority, *service));
            let mut waiting: Vec<Waiting> = runs.collect();
            waiting.sort_by_key(|run| (Reverse(run.priority), run.id.clone()));
            let under_way: Vec<Waiting> =
                under_way.iter().map(|(pipeline, service)| of("0".to_owned(), *pipeline, 0, *service)).collect();
            let per_service = HashMap::from([("sql".to_owned(), of_service)]);
            let limits = Limits { runs: 12, per_pipeline, per_service };
            let mut turns = Turns::default();
            taken.iter().for_each(|pipeline| turns.took(NAMES[*pipeline]));

            let queue = |run: &Waiting| Queue {
                pipeline: run.pipeline.clone(),
                priority: run.priority,
                id: run.id.clone(),
                services: run.services.clone(),
                name: String::new(),
            };
            let of_queue = |run: &Waiting, queue: &Queue| (&run.pipeline, &run.services) == (&queue.pipeline, &queue.services);
            let mut others: Vec<Queue> = Vec::new();
            for run in &waiting {
                if !others.iter().any(|queue| of_queue(run, queue)) {
                    others.push(queue(run));
                }
            }
            let whole = choose(&waiting, &[], &under_way, &limits, &turns, want).runs;
            let mut seen: Vec<Waiting> = Vec::new();
            loop {
                let choice = choose(&seen, &others, &under_way, &limits, &turns, want);
                prop_assert!(whole.starts_with(&choice.runs), "{:?} of {:?}", choice, whole);
                if choice.look_into.is_empty() {
                    prop_assert_eq!(choice.runs, whole);
                    break;
                }
                for next in looked_into(&mut others, &choice) {
                    seen.extend(waiting.iter().filter(|run| of_queue(run, &next)).cloned());
                }
            }
        }
    }
}
