//! What a step says of itself: the one source of the catalog, the manual, the checks and the READMEs.

mod manual;

pub use manual::ParamRow;

use crate::command::{Form, json_to_struct};
use crate::fault::Fault;
use crate::params::ParamsSchema;
use crate::proto;
use bytes::Bytes;
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which end of a pipeline a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Brings rows in. It has no inputs.
    Extract,
    /// Turns rows into rows.
    Transform,
    /// Takes rows out, and gives a one-row receipt.
    Load,
}

/// What a step does to the world outside its streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effects {
    /// Nothing. It may run again at will.
    None,
    /// All or nothing, when its input has ended well. It may run again: the same run overwrites its own output.
    Commits,
    /// Something that cannot be taken back: a paid call, an append.
    External,
}

/// A step's fixed facts, written by its author. See [`crate::StepDescription`] for the form that travels.
#[derive(Clone, Copy, Debug)]
pub struct StepSpec {
    /// `delete-columns`: lower-case words joined by `-`.
    pub name: &'static str,
    /// The version of what it means, usually that of its crate.
    pub version: &'static str,
    /// Extract, transform or load.
    pub kind: StepKind,
    /// One sentence.
    pub summary: &'static str,
    /// The manual, in Markdown, without a title.
    pub manual: &'static str,
    /// Its named inputs: none for an extract, `["input"]` for most, [`ANY_INPUTS`] where the caller names them.
    pub inputs: &'static [&'static str],
    /// Its named outputs, the main one first.
    pub outputs: &'static [&'static str],
    /// What it does to the world, at most: a plan may say that with some parameters it does less.
    pub effects: Effects,
    /// Whether rows leave in the order in which they came.
    pub keeps_order: bool,
    /// Other names it answers to.
    pub aliases: &'static [&'static str],
    /// Ways of using it: a title, and parameters as JSON.
    pub examples: &'static [(&'static str, &'static str)],
}

/// The one input of most steps.
pub const INPUT: &[&str] = &["input"];
/// One input or more, as many as the caller gives, under the caller's names.
pub const ANY_INPUTS: &[&str] = &["*"];
/// The one output of most steps.
pub const OUTPUT: &[&str] = &["output"];

/// Characters of the longest name of an input.
const LONGEST_NAME: usize = 128;

/// Whether an input may be called so: letters, digits, `-` and `_`.
pub fn is_input_name(name: &str) -> bool {
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    !name.is_empty() && name.len() <= LONGEST_NAME && letters
}

impl StepSpec {
    /// Whether the caller says how many inputs there are, and their names.
    pub fn takes_any_inputs(&self) -> bool {
        self.inputs == ANY_INPUTS
    }

    /// Whether it has an input of this name.
    pub fn takes(&self, input: &str) -> bool {
        if self.takes_any_inputs() { is_input_name(input) } else { self.inputs.contains(&input) }
    }

    /// The names of the inputs of a call that gives them these names. One that gives none means the declared ones; the
    /// only input of a step that takes any is then called `input`.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadParams`] for names that the step does not have, or that come twice.
    pub fn input_names(&self, given: &[String]) -> Result<Vec<String>, Fault> {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let declared = owned(if self.takes_any_inputs() { INPUT } else { self.inputs });
        if given.is_empty() || *given == declared {
            return Ok(declared);
        }
        if !self.takes_any_inputs() {
            let message = format!("{} does not have the inputs {}", self.name, given.join(", "));
            let help = format!("they are, in this order: {}", declared.join(", "));
            return Err(Fault::bad_params(message).help(help));
        }
        if let Some(wrong) = given.iter().find(|name| !is_input_name(name)) {
            return Err(Fault::bad_params(format!("no input can be called \"{wrong}\"")).help(INPUT_NAME_HELP));
        }
        let repeated = given.iter().enumerate().find(|(place, name)| given[..*place].contains(name));
        match repeated {
            Some((_, name)) => Err(Fault::bad_params(format!("two inputs are called \"{name}\""))
                .help("give each input a name of its own")),
            None => Ok(given.to_vec()),
        }
    }
}

/// What to try where a name of an input is none.
pub const INPUT_NAME_HELP: &str = "use letters, digits, - and _, 128 at most";

/// A step's description as it travels: the answer of `describe`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepDescription {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Extract, transform or load.
    pub kind: StepKind,
    /// One sentence.
    pub summary: String,
    /// The manual, in Markdown.
    pub manual: String,
    /// Named inputs; `["*"]` where there may be any number, which the caller names.
    pub inputs: Vec<String>,
    /// Named outputs, the main one first.
    pub outputs: Vec<String>,
    /// What it does to the world.
    pub effects: Effects,
    /// Whether rows leave in the order in which they came.
    pub keeps_order: bool,
    /// Other names it answers to.
    pub aliases: Vec<String>,
    /// JSON Schema of its parameters.
    pub params_schema: ParamsSchema,
    /// Ways of using it.
    pub examples: Vec<Example>,
}

/// A way of using a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// What it shows.
    pub title: String,
    /// The parameters.
    pub params: Value,
}

impl StepDescription {
    /// Puts together what the author wrote and the schema of the parameters. Examples that are not JSON become
    /// strings; the contract check refuses them.
    pub fn new(spec: &StepSpec, params_schema: ParamsSchema) -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let examples = spec.examples.iter().map(|(title, params)| Example {
            title: (*title).to_owned(),
            params: serde_json::from_str(params).unwrap_or_else(|_| Value::String((*params).to_owned())),
        });
        Self {
            name: spec.name.to_owned(),
            version: spec.version.to_owned(),
            kind: spec.kind,
            summary: spec.summary.to_owned(),
            manual: spec.manual.trim().to_owned(),
            inputs: owned(spec.inputs),
            outputs: owned(spec.outputs),
            effects: spec.effects,
            keeps_order: spec.keeps_order,
            aliases: owned(spec.aliases),
            params_schema,
            examples: examples.collect(),
        }
    }

    /// The description in the form in which the caller spoke.
    pub fn to_bytes(&self, form: Form) -> Bytes {
        match form {
            Form::Json => serde_json::to_vec(self).expect("names and texts are always JSON").into(),
            Form::Protobuf => self.to_proto().encode_to_vec().into(),
        }
    }

    fn to_proto(&self) -> proto::StepDescription {
        let as_struct = |value: &Value| value.as_object().map(json_to_struct);
        let example =
            |example: &Example| proto::Example { title: example.title.clone(), params: as_struct(&example.params) };
        proto::StepDescription {
            name: self.name.clone(),
            version: self.version.clone(),
            kind: word(&self.kind),
            summary: self.summary.clone(),
            manual: self.manual.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            effects: word(&self.effects),
            keeps_order: self.keeps_order,
            aliases: self.aliases.clone(),
            params_schema: as_struct(&self.params_schema),
            examples: self.examples.iter().map(example).collect(),
        }
    }

    /// Whether the caller says how many inputs there are, and their names.
    pub fn takes_any_inputs(&self) -> bool {
        self.inputs == ANY_INPUTS
    }

    /// Whether `name` means this step: `_` and `-` are the same in a step's name.
    pub fn answers_to(&self, name: &str) -> bool {
        let wanted = canonical_name(name);
        canonical_name(&self.name) == wanted || self.aliases.iter().any(|alias| canonical_name(alias) == wanted)
    }
}

/// A step's name with `_` read as `-`, in lower case.
pub fn canonical_name(name: &str) -> String {
    name.trim().to_lowercase().replace('_', "-")
}

fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FaultKind;

    fn spec(inputs: &'static [&'static str]) -> StepSpec {
        StepSpec {
            name: "step",
            version: "1",
            kind: StepKind::Transform,
            summary: "For tests.",
            manual: "",
            inputs,
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: true,
            aliases: &[],
            examples: &[],
        }
    }

    fn names(inputs: &'static [&'static str], given: &[&str]) -> Result<Vec<String>, FaultKind> {
        let given: Vec<String> = given.iter().map(|&name| name.to_owned()).collect();
        spec(inputs).input_names(&given).map_err(|fault| fault.kind())
    }

    #[test]
    fn declared_inputs_have_their_names_and_no_others() {
        const PAIR: &[&str] = &["left", "right"];
        assert_eq!(names(PAIR, &[]).expect("declared"), PAIR);
        assert_eq!(names(PAIR, PAIR).expect("declared"), PAIR);
        assert_eq!(names(PAIR, &["right", "left"]), Err(FaultKind::BadParams));
        assert!(spec(PAIR).takes("right") && !spec(PAIR).takes("*"));
    }

    #[test]
    fn any_inputs_have_the_names_that_the_caller_gives() {
        assert_eq!(names(ANY_INPUTS, &[]).expect("the usual one"), INPUT);
        assert_eq!(names(ANY_INPUTS, &["b", "a-1"]).expect("two"), ["b", "a-1"]);
        for wrong in [&["a", "a"][..], &["*"], &[""], &["a b"], &["ä"]] {
            assert_eq!(names(ANY_INPUTS, wrong), Err(FaultKind::BadParams), "{wrong:?}");
        }
        assert!(spec(ANY_INPUTS).takes("orders") && !spec(ANY_INPUTS).takes("*"));
    }
}
