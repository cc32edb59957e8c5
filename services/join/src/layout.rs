//! Which columns come out, under which names, and from which side each one's values are taken.

use crate::keys::KeyPair;
use crate::params::Params;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion_common::JoinType;
use flight_common::Fault;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Where the values of an output column come from; places count in the side's own schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A column of the left side.
    Left(usize),
    /// A column of the right side.
    Right(usize),
    /// The key, which both sides have under one name: the left value, or the right one where there is no left row.
    Key(KeyPair),
}

/// The output of a join.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Its schema.
    pub schema: SchemaRef,
    /// The source of each of its columns.
    pub sources: Vec<Source>,
}

/// Lays the output out: the left columns, then those of the right that are no common key.
///
/// # Errors
/// [`flight_common::FaultKind::BadSchema`] if two output columns would have one name.
pub fn layout(params: &Params, pairs: &[KeyPair], left: &Schema, right: &Schema) -> Result<Layout, Fault> {
    let join_type = params.join_type.join_type();
    if matches!(join_type, JoinType::LeftSemi | JoinType::LeftAnti) {
        let sources = (0..left.fields().len()).map(Source::Left).collect();
        return Ok(Layout { schema: Arc::new(left.clone()), sources });
    }
    let common: Vec<KeyPair> =
        pairs.iter().copied().filter(|pair| left.field(pair.left).name() == right.field(pair.right).name()).collect();
    let left_may_miss = matches!(join_type, JoinType::Right | JoinType::Full);
    let right_may_miss = matches!(join_type, JoinType::Left | JoinType::Full);
    let names = Names::new(params, &common, left, right);

    let (mut fields, mut sources) = (Vec::new(), Vec::new());
    for (place, field) in left.fields().iter().enumerate() {
        match common.iter().find(|pair| pair.left == place) {
            Some(pair) => {
                fields.push(key_field(field, right.field(pair.right), join_type));
                sources.push(Source::Key(*pair));
            }
            None => {
                fields.push(named(field, names.left(field.name()), left_may_miss));
                sources.push(Source::Left(place));
            }
        }
    }
    for (place, field) in right.fields().iter().enumerate() {
        if common.iter().all(|pair| pair.right != place) {
            fields.push(named(field, names.right(field.name()), right_may_miss));
            sources.push(Source::Right(place));
        }
    }
    refuse_equal_names(&fields)?;
    let mut metadata = right.metadata().clone();
    metadata.extend(left.metadata().clone());
    Ok(Layout { schema: Arc::new(Schema::new_with_metadata(fields, metadata)), sources })
}

/// A common key's values come from the side whose rows are all there; in an outer join from either.
fn key_field(left: &Field, right: &Field, join_type: JoinType) -> Field {
    let nullable = match join_type {
        JoinType::Right => right.is_nullable(),
        JoinType::Full => left.is_nullable() || right.is_nullable(),
        _ => left.is_nullable(),
    };
    let mut metadata = right.metadata().clone();
    metadata.extend(left.metadata().clone());
    left.clone().with_nullable(nullable).with_metadata(metadata)
}

fn named(field: &Field, name: String, may_miss: bool) -> Field {
    field.clone().with_name(name).with_nullable(field.is_nullable() || may_miss)
}

/// Names of columns, with a suffix where both sides have one.
struct Names<'a> {
    shared: HashSet<&'a str>,
    suffixes: &'a (String, String),
}

impl<'a> Names<'a> {
    fn new(params: &'a Params, common: &[KeyPair], left: &'a Schema, right: &'a Schema) -> Self {
        let other_names = |schema: &'a Schema, keys: Vec<usize>| -> HashSet<&'a str> {
            let others = schema.fields().iter().enumerate().filter(move |(place, _)| !keys.contains(place));
            others.map(|(_, field)| field.name().as_str()).collect()
        };
        let on_left = other_names(left, common.iter().map(|pair| pair.left).collect());
        let on_right = other_names(right, common.iter().map(|pair| pair.right).collect());
        Self { shared: on_left.intersection(&on_right).copied().collect(), suffixes: &params.suffixes }
    }

    fn left(&self, name: &str) -> String {
        self.with(name, &self.suffixes.0)
    }

    fn right(&self, name: &str) -> String {
        self.with(name, &self.suffixes.1)
    }

    fn with(&self, name: &str, suffix: &str) -> String {
        if self.shared.contains(name) { format!("{name}{suffix}") } else { name.to_owned() }
    }
}

fn refuse_equal_names(fields: &[Field]) -> Result<(), Fault> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for field in fields {
        *seen.entry(field.name()).or_default() += 1;
    }
    let twice: Vec<&str> = fields.iter().map(|field| field.name().as_str()).filter(|name| seen[name] > 1).collect();
    let Some(first) = twice.first() else { return Ok(()) };
    let message = format!("the output would have several columns named \"{first}\"");
    Err(Fault::bad_schema(message.clone())
        .column(*first)
        .help("choose other suffixes, or take one of the columns away before the join with delete-columns")
        .violation("/suffixes", message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;
    use serde_json::{Value, json};

    fn schema(columns: &[(&str, bool)]) -> Schema {
        Schema::new(columns.iter().map(|(name, null)| Field::new(*name, DataType::Int64, *null)).collect::<Vec<_>>())
    }

    fn laid_out(params: Value, left: &Schema, right: &Schema) -> Result<Vec<(String, bool)>, Fault> {
        let params: Params = flight_common::params::parse(&params)?;
        let pairs = crate::keys::resolve(&params, left, right)?;
        let layout = layout(&params, &pairs, left, right)?;
        let named = |field: &Arc<Field>| (field.name().clone(), field.is_nullable());
        Ok(layout.schema.fields().iter().map(named).collect())
    }

    fn names(params: Value, left: &Schema, right: &Schema) -> Vec<String> {
        laid_out(params, left, right).expect("laid out").into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn common_keys_come_once_and_shared_names_get_suffixes() {
        let (left, right) = (schema(&[("id", false), ("v", true)]), schema(&[("v", true), ("id", false), ("w", true)]));
        assert_eq!(names(json!({"join_key": "id"}), &left, &right), ["id", "v_x", "v_y", "w"]);
        let own = json!({"join_key": "id", "suffixes": ["", "_r"]});
        assert_eq!(names(own, &left, &right), ["id", "v", "v_r", "w"]);
    }

    #[test]
    fn keys_of_different_names_both_come() {
        let (left, right) = (schema(&[("a", false), ("b", true)]), schema(&[("b", false)]));
        assert_eq!(names(json!({"left_on": "a", "right_on": "b"}), &left, &right), ["a", "b_x", "b_y"]);
    }

    #[test]
    fn sides_that_may_miss_become_nullable() {
        let (left, right) = (schema(&[("id", false), ("v", false)]), schema(&[("id", true), ("w", false)]));
        let nullable = |join_type: &str| -> Vec<bool> {
            let params = json!({"join_key": "id", "join_type": join_type});
            laid_out(params, &left, &right).expect("laid out").into_iter().map(|(_, nullable)| nullable).collect()
        };
        assert_eq!(nullable("inner"), [false, false, false]);
        assert_eq!(nullable("left"), [false, false, true]);
        assert_eq!(nullable("right"), [true, true, false]);
        assert_eq!(nullable("outer"), [true, true, true]);
        assert_eq!(nullable("semi"), [false, false]);
    }

    #[test]
    fn one_name_for_two_columns_is_refused() {
        let (left, right) =
            (schema(&[("id", false), ("v", true), ("v_y", true)]), schema(&[("id", false), ("v", true)]));
        let fault = laid_out(json!({"join_key": "id"}), &left, &right).expect_err("refused");
        assert_eq!(fault.column_name(), Some("v_y"));
        assert_eq!(fault.violations()[0].pointer, "/suffixes");
    }
}
