//! The JSON Schema of parameters, and the checking and reading by it.

use super::settled::settled;
use super::told::violations;
use super::{bad_params, pointer_of};
use crate::fault::{Fault, Violation};
use jsonschema::Validator;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::fmt::{Debug, Formatter};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// The JSON Schema (2020-12, self-contained) of a step's parameters. Cheap to clone: what checks by it is made once.
#[derive(Clone)]
pub struct ParamsSchema(Arc<Inner>);

struct Inner {
    schema: Value,
    /// Or why the schema is none.
    validator: OnceLock<Result<Validator, String>>,
}

impl ParamsSchema {
    /// That of a parameter type.
    pub fn of<P: JsonSchema>() -> Self {
        let generator = SchemaSettings::draft2020_12().into_generator();
        generator.into_root_schema_for::<P>().to_value().into()
    }

    /// Checks parameters and returns all that is wrong, each with its place.
    ///
    /// A `null` counts as nothing, for the whole as for a parameter that takes none; and 1000.0 is a whole number.
    ///
    /// # Errors
    /// [`crate::FaultKind::Internal`] if the schema itself is not valid.
    pub fn check(&self, params: &Value) -> Result<Vec<Violation>, Fault> {
        self.wrong(&settled(self, params))
    }

    /// Reads parameters as the type whose schema it is.
    ///
    /// # Errors
    /// [`crate::FaultKind::BadParams`] with one violation for each thing that is wrong.
    pub fn parse<P: DeserializeOwned>(&self, params: &Value) -> Result<P, Fault> {
        let params = settled(self, params);
        let wrong = self.wrong(&params)?;
        if !wrong.is_empty() {
            return Err(bad_params(wrong));
        }
        serde_path_to_error::deserialize(params).map_err(|error| {
            let pointer = pointer_of(&error.path().to_string());
            bad_params(vec![Violation::new(pointer, error.inner().to_string())])
        })
    }

    /// What is wrong with parameters that are settled.
    fn wrong(&self, params: &Value) -> Result<Vec<Violation>, Fault> {
        let mut found: Vec<Violation> = Vec::new();
        for error in self.validator()?.iter_errors(params) {
            for violation in violations(self, &error) {
                if !found.contains(&violation) {
                    found.push(violation);
                }
            }
        }
        Ok(found)
    }

    fn validator(&self) -> Result<&Validator, Fault> {
        let build = || jsonschema::draft202012::options().build(self).map_err(|error| error.to_string());
        let built = self.0.validator.get_or_init(build).as_ref();
        built.map_err(|error| Fault::internal(format!("invalid parameter schema: {error}")))
    }
}

impl From<Value> for ParamsSchema {
    fn from(schema: Value) -> Self {
        Self(Arc::new(Inner { schema, validator: OnceLock::new() }))
    }
}

/// The schema, as it is written.
impl Deref for ParamsSchema {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0.schema
    }
}

impl PartialEq for ParamsSchema {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Debug for ParamsSchema {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl Serialize for ParamsSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ParamsSchema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}
