//! The call of a step, as it travels in Flight descriptors and tickets: protobuf, or JSON when it begins with `{`.

use crate::fault::Fault;
use crate::proto;
use crate::wire::{schema_from_bytes, schema_to_bytes};
use arrow::datatypes::SchemaRef;
use base64::Engine;
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A call of one step. The fields are those of `quiver.v1.StepCommand`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StepCommand {
    /// Which step.
    pub step: String,
    /// Its parameters.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub params: Value,
    /// Ties the calls of one exchange together.
    #[serde(alias = "exchangeId", skip_serializing_if = "String::is_empty")]
    pub exchange_id: String,
    /// `DoPut` only: stage this named input.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub input: String,
    /// The names of the inputs, in the order in which they are given: for a step that takes any. An exchange brings the
    /// first of them, and the others are staged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// The named output it speaks of. Empty: the main one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// The schema of each named input, for planning.
    #[serde(alias = "inputSchemas", skip_serializing_if = "BTreeMap::is_empty")]
    pub input_schemas: BTreeMap<String, SchemaBytes>,
    /// The further outputs that are going to be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// The run it belongs to.
    #[serde(alias = "runId", skip_serializing_if = "String::is_empty")]
    pub run_id: String,
    /// What it is called in the pipeline of that run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// What it may have been called when an earlier attempt of the run let it commit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub formerly: Vec<String>,
    /// What planning said identifies the source. If something else is there now, the call is refused.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Whether the caller is asked before the step commits.
    #[serde(alias = "askBeforeCommit", skip_serializing_if = "std::ops::Not::not")]
    pub ask_before_commit: bool,
}

/// An Arrow IPC schema message; base64 in JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchemaBytes(pub bytes::Bytes);

impl Serialize for SchemaBytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for SchemaBytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}

/// In which form a caller spoke, and is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `{…}`
    Json,
    /// `quiver.v1`
    Protobuf,
}

impl StepCommand {
    /// Reads a command in either form.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadParams`] that shows what a command looks like.
    pub fn read(bytes: &[u8]) -> Result<(Self, Form), Fault> {
        let example = r#"a command is JSON such as {"step": "outliers", "params": {"column": "age"}}, or a quiver.v1.StepCommand"#;
        let refuse = |why: String| Fault::bad_params(format!("this is no step command: {why}")).help(example);
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        let (command, form) = match first {
            None => return Err(refuse("it is empty".to_owned())),
            Some(b'{') => {
                let command: Self = serde_json::from_slice(bytes).map_err(|error| refuse(error.to_string()))?;
                (command, Form::Json)
            }
            // No message begins like this: it would be a group, which proto3 has not.
            Some(_) if bytes.starts_with(b"[") => return Err(refuse("it is a list in JSON, not an object".to_owned())),
            Some(_) => {
                let message = proto::StepCommand::decode(bytes).map_err(|error| refuse(error.to_string()))?;
                (Self::from_proto(message), Form::Protobuf)
            }
        };
        if command.step.is_empty() {
            return Err(refuse("it names no step".to_owned()));
        }
        Ok((command, form))
    }

    /// The command as JSON: exact for every number.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a command holds nothing that JSON cannot")
    }

    /// Names the schema of an input.
    ///
    /// # Errors
    /// [`crate::FaultKind::Internal`] for a schema that Arrow IPC cannot hold.
    pub fn with_input(mut self, name: &str, schema: &SchemaRef) -> Result<Self, Fault> {
        self.input_schemas.insert(name.to_owned(), SchemaBytes(schema_to_bytes(schema)?));
        Ok(self)
    }

    /// The schema given for an input.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadParams`] where there is none, or it is not one.
    pub fn input_schema(&self, name: &str) -> Result<SchemaRef, Fault> {
        let bytes = self.input_schemas.get(name).ok_or_else(|| {
            Fault::bad_params(format!("no schema for the input \"{name}\" of {}", self.step))
                .help("to plan a step, give input_schemas: {name: an Arrow IPC schema message, in base64 for JSON}")
        })?;
        schema_from_bytes(&bytes.0)
    }

    fn from_proto(message: proto::StepCommand) -> Self {
        Self {
            step: message.step,
            params: message.params.map_or(Value::Null, |params| Value::Object(struct_to_json(params))),
            exchange_id: message.exchange_id,
            input: message.input,
            inputs: message.inputs,
            output: message.output,
            input_schemas: message.input_schemas.into_iter().map(|(name, bytes)| (name, SchemaBytes(bytes))).collect(),
            outputs: message.outputs,
            run_id: message.run_id,
            node: message.node,
            formerly: message.formerly,
            source: message.source,
            ask_before_commit: message.ask_before_commit,
        }
    }
}

/// A `google.protobuf.Struct` as JSON. Whole numbers become integers: a `Struct` knows only doubles.
pub(crate) fn struct_to_json(message: prost_types::Struct) -> Map<String, Value> {
    message.fields.into_iter().map(|(name, value)| (name, value_to_json(value))).collect()
}

fn value_to_json(value: prost_types::Value) -> Value {
    use prost_types::value::Kind;
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) if number.fract() == 0.0 && number.abs() <= EXACT => Value::from(number as i64),
        Some(Kind::NumberValue(number)) => Value::from(number),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        Some(Kind::StructValue(inner)) => Value::Object(struct_to_json(inner)),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(value_to_json).collect()),
    }
}

/// JSON as a `google.protobuf.Struct`.
pub(crate) fn json_to_struct(map: &Map<String, Value>) -> prost_types::Struct {
    prost_types::Struct { fields: map.iter().map(|(name, value)| (name.clone(), json_to_value(value))).collect() }
}

fn json_to_value(value: &Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => {
            Kind::ListValue(prost_types::ListValue { values: items.iter().map(json_to_value).collect() })
        }
        Value::Object(map) => Kind::StructValue(json_to_struct(map)),
    };
    prost_types::Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_command_reads_the_same_in_both_forms() {
        let text =
            br#"{"step": "outliers", "params": {"column": "age", "z_threshold": 3}, "runId": "r", "formerly": ["old"],
                "askBeforeCommit": true}"#;
        let (from_json, form) = StepCommand::read(text).expect("a command");
        assert_eq!(form, Form::Json);
        let message = proto::StepCommand {
            step: "outliers".into(),
            params: Some(json_to_struct(json!({"column": "age", "z_threshold": 3}).as_object().expect("a map"))),
            run_id: "r".into(),
            formerly: vec!["old".into()],
            ask_before_commit: true,
            ..Default::default()
        };
        let (from_proto, form) = StepCommand::read(&message.encode_to_vec()).expect("a command");
        assert_eq!(form, Form::Protobuf);
        assert_eq!(from_json, from_proto);
        assert_eq!(StepCommand::read(&from_json.to_json()).expect("a command").0, from_json);
    }

    #[test]
    fn what_is_not_said_is_not_sent_so_that_older_servers_understand() {
        let command = StepCommand { step: "load-sql".to_owned(), node: "write".to_owned(), ..StepCommand::default() };
        assert_eq!(command.to_json(), br#"{"step":"load-sql","node":"write"}"#);
    }

    #[test]
    fn whole_numbers_beyond_doubles_survive_in_json() {
        let text = br#"{"step": "clean-nan", "params": {"fill_value": 9007199254740993}}"#;
        let (command, _) = StepCommand::read(text).expect("a command");
        let again = StepCommand::read(&command.to_json()).expect("a command").0;
        assert_eq!(again.params["fill_value"], json!(9_007_199_254_740_993_i64));
    }

    #[test]
    fn garbage_is_answered_with_an_example() {
        for bytes in [&b""[..], b"{", b"\xff\xff\xff", b"{\"stepp\": 1}", b"{}"] {
            let fault = StepCommand::read(bytes).expect_err("not a command");
            assert!(fault.help_text().is_some_and(|help| help.contains("outliers")), "{fault}");
        }
        assert!(StepCommand::read(b"[]").expect_err("a list").message().contains("a list in JSON"));
    }
}
