//! `when`: a condition on which a step runs. Pure.
//!
//! It is an expression as Jinja has them (`stage == "prod" and steps.check.rows_out > 0`), compiled by minijinja. It may
//! name the pipeline's parameters, the item that the step is for, other steps, and in `finally` the run. One that names
//! neither steps nor the run is decided at planning; the others once the steps that they name have ended.
//!
//! Names have `_` for `-`: `steps.read_all` is the step `read-all`.

use super::problem::{Problem, Problems};
use super::source::Span;
use super::values::wrong_type;
use super::yaml::{Node, Yaml};
use flight_common::Fault;
use flight_common::params::did_you_mean;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What may be asked of a step that has ended.
const OF_STEPS: [&str; 6] = ["status", "rows_in", "rows_out", "bytes_out", "counters", "receipt"];
/// What may be asked of the run, once all but `finally` has ended.
const OF_RUNS: [&str; 2] = ["status", "fault"];
const STEPS: &str = "steps";
const RUN: &str = "run";
/// Operations of one expression: far more than any needs.
const FUEL: u64 = 20_000;
/// Characters of the longest one: they are read by a function that calls itself, once for each `not` in a row.
const LONGEST: usize = 2_000;

/// A condition.
#[derive(Clone, Debug)]
pub struct When {
    text: String,
    span: Span,
    /// The dotted names in it.
    names: BTreeSet<String>,
    /// The values of those that are parameters, or of an item.
    values: BTreeMap<String, Value>,
    /// The steps that it names, by the word for each: their ids.
    steps: BTreeMap<String, String>,
    /// What it comes to, where that is known at planning.
    decided: Option<bool>,
}

/// Names with their values; nothing for one whose value may come later.
pub(super) type Known<'a> = BTreeMap<&'a str, Option<Value>>;

impl When {
    /// Reads a condition. Nothing comes of what is none, which is added to `problems`.
    pub(super) fn read(value: &Yaml, problems: &mut Problems) -> Option<Self> {
        let text = match &value.node {
            Node::Scalar(Value::String(text)) => text.clone(),
            Node::Scalar(Value::Bool(it)) => it.to_string(),
            _ => {
                let help = "write an expression: when: stage == \"prod\"";
                problems.push(wrong_type(value, "when", "an expression", help));
                return None;
            }
        };
        if text.len() > LONGEST {
            let message = format!("a condition has at most {LONGEST} characters");
            let help = "let a step find out what is asked, and ask for its counters".to_owned();
            problems.push(Problem::at(&value.span, "bad-when", message).help(help));
            return None;
        }
        if let Some(id) = dashed(&text) {
            let message = format!("`-` subtracts here: there is no step \"{id}\" in this expression");
            let help = format!("write `_` for each `-` of its name: steps.{}", word(id));
            problems.push(Problem::at(&value.span, "bad-when", message).help(help));
            return None;
        }
        let env = environment();
        let names = match env.compile_expression(&text) {
            Ok(expression) => expression.undeclared_variables(true).into_iter().collect(),
            Err(error) => {
                let message = format!("this is no expression: {}", reason(&error));
                let help = "write it without braces: when: stage == \"prod\" and steps.check.rows_out > 0".to_owned();
                problems.push(Problem::at(&value.span, "bad-when", message).help(help));
                return None;
            }
        };
        let (values, steps) = Default::default();
        Some(Self { text, span: value.span.clone(), names, values, steps, decided: None })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it comes to, where that is known before the run.
    pub fn decided(&self) -> Option<bool> {
        self.decided
    }

    /// The ids of the steps that it names.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.steps.values().map(String::as_str)
    }

    /// The words for the steps that it names.
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|name| step_of(name))
    }

    /// Where it stood.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// The first parts of its names: those of parameters among them.
    pub(super) fn roots(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| name.split('.').next().unwrap_or(name))
    }

    /// Says that the step called `local` here has another id: it is one of those that a group was repeated into.
    pub(super) fn meaning(&mut self, local: &str, id: &str) {
        let word = word(local);
        if self.names.iter().any(|name| step_of(name) == Some(&word)) {
            self.steps.insert(word, id.to_owned());
        }
    }

    /// Gives the names that are no steps their values. Says whether all of them have one; an unknown name is a problem.
    pub(super) fn bind(&mut self, known: &Known<'_>, finally: bool, problems: &mut Problems) -> bool {
        let mut all = true;
        for name in &self.names {
            let (root, rest) = name.split_once('.').unwrap_or((name, ""));
            let field = rest.split('.').next().unwrap_or_default();
            let wrong = match root {
                STEPS => None,
                RUN if finally => (!OF_RUNS.contains(&field)).then(|| {
                    let help = did_you_mean(&format!("run.{field}"), ["run.status", "run.fault"]);
                    (format!("\"{name}\" is nothing that a run has"), help)
                }),
                _ => match known.iter().filter(|(given, _)| **given == name || **given == root || is_of(given, name)) {
                    found if found.clone().next().is_none() => {
                        let names = known.keys().copied().chain([STEPS]);
                        Some((format!("there is no \"{name}\" here"), did_you_mean(name, names)))
                    }
                    found => {
                        for (given, value) in found {
                            match value {
                                Some(value) => drop(self.values.insert((*given).to_owned(), value.clone())),
                                None => all = false,
                            }
                        }
                        None
                    }
                },
            };
            if let Some((message, help)) = wrong {
                problems.push(Problem::at(&self.span, "bad-when", message).help(help));
                all = false;
            }
        }
        all
    }

    /// Looks up the steps that it names among those that there are, by id. What is not among them is a problem.
    pub(super) fn join(&mut self, ids: &[&str], problems: &mut Problems) {
        for name in self.names.clone() {
            if name.split('.').next() != Some(STEPS) {
                continue;
            }
            let Some(called) = step_of(&name) else {
                let help = "name one of them: steps.check.rows_out".to_owned();
                problems.push(Problem::at(&self.span, "bad-when", "`steps` alone says nothing").help(help));
                continue;
            };
            let field = name.split('.').nth(2).unwrap_or_default();
            if !OF_STEPS.contains(&field) {
                let message = format!("\"{name}\" is nothing that a step has");
                let known = OF_STEPS.map(|field| format!("steps.{called}.{field}"));
                let help = did_you_mean(&name, known.iter().map(String::as_str));
                problems.push(Problem::at(&self.span, "bad-when", message).help(help));
            } else if !self.steps.contains_key(called) {
                match ids.iter().find(|id| word(id) == called) {
                    Some(id) => drop(self.steps.insert(called.to_owned(), (*id).to_owned())),
                    None => {
                        let message = format!("there is no step \"{called}\" that a condition could name");
                        let help = did_you_mean(called, ids.iter().copied().filter(|id| !id.contains('[')));
                        problems.push(Problem::at(&self.span, "unknown-dependency", message).help(help));
                    }
                }
            }
        }
    }

    /// Decides what can be decided before the run. A condition that cannot be worked out is a problem.
    pub(super) fn decide(&mut self, problems: &mut Problems) {
        if !self.steps.is_empty() || self.roots().any(|root| root == RUN || root == STEPS) {
            return;
        }
        match self.holds(&BTreeMap::new(), &Value::Null) {
            Ok(holds) => self.decided = Some(holds),
            Err(fault) => {
                let problem = Problem::at(&self.span, "bad-when", fault.message().to_owned());
                problems.push(problem.help(fault.help_text().map(str::to_owned)));
            }
        }
    }

    /// Whether it holds, given what became of the steps that it names, by their ids, and of the run.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for one that cannot be worked out: it adds a text to a number, or asks for
    /// a counter that there is not.
    pub fn holds(&self, steps: &BTreeMap<String, Value>, run: &Value) -> Result<bool, Fault> {
        let of_steps = self.steps.iter().map(|(word, id)| (word.clone(), steps.get(id).cloned().unwrap_or_default()));
        let mut context = nested(&self.values);
        context.insert(STEPS.to_owned(), Value::Object(of_steps.collect()));
        if !run.is_null() {
            context.insert(RUN.to_owned(), run.clone());
        }
        let env = environment();
        let told = env.compile_expression(&self.text).and_then(|it| {
            let value = it.eval(minijinja::value::Serde(&context))?;
            match value.is_undefined() {
                true => Err(ErrorKind::UndefinedError.into()),
                false => Ok(value.is_true()),
            }
        });
        told.map_err(|error| {
            Fault::bad_params(format!("the condition `{}` cannot be worked out: {}", self.text, reason(&error)))
                .help("`is defined` asks whether something is there; `|int` makes a number of a text")
        })
    }
}

/// The facts about a step, as conditions see them.
pub fn facts(status: &str, figures: [u64; 3], counters: &BTreeMap<String, u64>, receipt: Option<&Value>) -> Value {
    let [rows_in, rows_out, bytes_out] = figures;
    json!({
        "status": status,
        "rows_in": rows_in,
        "rows_out": rows_out,
        "bytes_out": bytes_out,
        "counters": counters,
        "receipt": receipt,
    })
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env
}

fn reason(error: &minijinja::Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{} ({detail})", error.kind()))
}

/// The first step whose name is written with its dashes: `my-q` of `steps.my-q.rows_out`. No step can be subtracted from.
fn dashed(text: &str) -> Option<&str> {
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
    text.match_indices("steps.").find_map(|(place, steps)| {
        let alone = !text[..place].ends_with(|before| is_part(before) || matches!(before, '.' | '"' | '\''));
        let rest = &text[place + steps.len()..];
        let id = &rest[..rest.find(|character| !is_part(character)).unwrap_or(rest.len())];
        let inner = id.trim_end_matches('-');
        (alone && inner.contains('-')).then_some(inner)
    })
}

/// A name as conditions write it.
pub(super) fn word(id: &str) -> String {
    id.replace('-', "_")
}

/// The step that a dotted name asks for: `check` of `steps.check.rows_out`.
fn step_of(name: &str) -> Option<&str> {
    let mut parts = name.split('.');
    (parts.next() == Some(STEPS)).then(|| parts.next()).flatten()
}

/// Whether a known name lies beneath this one: `item.stem` beneath `item`.
fn is_of(known: &str, name: &str) -> bool {
    known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
}

/// Values by dotted names as objects in each other. What has parts is an object, whatever it is by itself.
fn nested(values: &BTreeMap<String, Value>) -> Map<String, Value> {
    let mut whole = Map::new();
    // In order a name comes before its parts.
    for (name, value) in values {
        match name.split_once('.') {
            None => drop(whole.insert(name.clone(), value.clone())),
            Some((root, part)) => {
                let here = whole.entry(root.to_owned()).or_insert_with(|| json!({}));
                if !here.is_object() {
                    *here = json!({});
                }
                here[part] = value.clone();
            }
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::super::read::read;
    use super::super::source::Source;
    use super::*;

    fn when(text: &str) -> (Option<When>, Problems) {
        let mut problems = Problems::none();
        let tree = read(&Source::new("test", format!("when: {text}")), &mut problems).expect("YAML");
        let entry = tree.entry("when").expect("it is there");
        let when = When::read(&entry.value, &mut problems);
        (when, problems)
    }

    fn decided(text: &str) -> Result<Option<bool>, String> {
        let (when, mut problems) = when(text);
        let mut when = when.expect("an expression");
        let known = [("stage", Some(json!("prod"))), ("n", Some(json!(7))), ("item", Some(json!("a/b.csv")))];
        let known: Known<'_> = known.into_iter().chain([("item.stem", Some(json!("b")))]).collect();
        if when.bind(&known, false, &mut problems) {
            when.join(&["check-all"], &mut problems);
            when.decide(&mut problems);
        }
        problems.or(when.decided()).map_err(|problems| problems.to_string())
    }

    #[test]
    fn what_is_known_at_planning_is_decided_then() {
        for (text, wanted) in [
            ("stage == 'prod'", Some(true)),
            ("stage != \"prod\" or n > 7", Some(false)),
            ("n in [1, 7] and not false", Some(true)),
            ("item.stem == 'b'", Some(true)),
            ("true", Some(true)),
            ("steps.check_all.rows_out > 0", None),
        ] {
            assert_eq!(decided(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_condition_is_told() {
        for (text, part) in [
            ("stag == 'prod'", "there is no \"stag\" here"),
            ("steps.chek.rows_out > 0", "there is no step \"chek\""),
            ("steps.check_all.rows > 0", "nothing that a step has"),
            ("steps", "`steps` alone"),
            ("n > 1 and steps.check-all.rows_out > 0", "steps.check_all"),
            ("run.status == 'failed'", "there is no \"run.status\" here"),
            ("n + 'x' > 1", "cannot be worked out"),
            ("stage * 999999999 == 'y'", "fuel"),
            ("range(9)", "there is no \"range\" here"),
        ] {
            let (read, unread) = when(text);
            let told = if read.is_some() { decided(text).expect_err(text) } else { format!("{unread:?}") };
            assert!(told.contains(part), "{text}: {told}");
        }
        for long in ["1".to_owned() + &"+1".repeat(50_000), "not ".repeat(50_000) + "true"] {
            let (none, problems) = when(&long);
            assert!(none.is_none() && problems.iter().any(|one| one.message.contains("at most")), "{problems}");
        }
        for deep in ["not ".repeat(490) + "true", "1".to_owned() + &"+1".repeat(990)] {
            assert!(when(&deep).0.is_some());
        }
        let (none, problems) = when("stage ==");
        assert!(none.is_none() && problems.iter().any(|one| one.message.contains("no expression")), "{problems}");
    }

    #[test]
    fn what_became_of_steps_decides_at_the_run() {
        let (when, mut problems) = when("steps.check_all.counters.bad > 2 and run.fault.kind is none");
        let mut when = when.expect("an expression");
        assert!(when.bind(&Known::new(), true, &mut problems));
        when.join(&["check-all"], &mut problems);
        assert_eq!(when.steps().collect::<Vec<_>>(), ["check-all"]);
        let counted = |bad| facts("done", [1, 1, 8], &BTreeMap::from([("bad".to_owned(), bad)]), None);
        let holds = |facts: Value| {
            when.holds(
                &BTreeMap::from([("check-all".to_owned(), facts)]),
                &json!({"status": "done", "fault": {"kind": null}}),
            )
        };
        assert_eq!(holds(counted(3)), Ok(true));
        assert_eq!(holds(counted(2)), Ok(false));
        let fault = holds(facts("done", [1, 1, 8], &BTreeMap::new(), None)).expect_err("no such counter");
        assert!(fault.message().contains("undefined"), "{fault}");
    }
}
