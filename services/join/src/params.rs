//! The knobs of `join`.

use datafusion_common::JoinType;
use flight_common::columns::ColumnList;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Joins the rows of two inputs whose keys are equal.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The key, where its columns have the same names on both sides: a name, a list of names, or one string with
    /// commas between them. Example: `join_key: [OrderID, Region]`.
    #[serde(default)]
    pub join_key: Option<ColumnList>,

    /// The key's columns on the left, where the names differ: `left_on: CustomerID` with `right_on: id`.
    #[serde(default)]
    pub left_on: Option<ColumnList>,

    /// The key's columns on the right, as many as in `left_on` and in the same order.
    #[serde(default)]
    pub right_on: Option<ColumnList>,

    /// Which rows come out: `inner` pairs with equal keys; `left`, `right`, `outer` also the rows of that side, or of
    /// both, that match nothing (`full` is another word for `outer`); `semi` the left rows that match something, `anti`
    /// those that match nothing.
    #[serde(default)]
    pub join_type: Kind,

    /// What is added to the names of columns that both sides have and that are no common key: first on the left, then
    /// on the right. Example: `suffixes: ["", "_customer"]`.
    #[serde(default = "default_suffixes")]
    pub suffixes: (String, String),

    /// Whether an empty (null) key matches another empty key. As in SQL it does not, unless this is set.
    #[serde(default)]
    pub null_equals_null: bool,
}

fn default_suffixes() -> (String, String) {
    ("_x".to_owned(), "_y".to_owned())
}

/// Which rows come out of a join.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Pairs of rows whose keys are equal.
    #[default]
    Inner,
    /// Those pairs, and the left rows that match nothing.
    Left,
    /// Those pairs, and the right rows that match nothing.
    Right,
    /// Those pairs, and the rows of either side that match nothing.
    Outer,
    /// Another word for `outer`.
    Full,
    /// The left rows that match something, each once, without the columns of the right.
    Semi,
    /// The left rows that match nothing, without the columns of the right.
    Anti,
}

impl Kind {
    /// The same, in DataFusion's words.
    pub fn join_type(self) -> JoinType {
        match self {
            Self::Inner => JoinType::Inner,
            Self::Left => JoinType::Left,
            Self::Right => JoinType::Right,
            Self::Outer | Self::Full => JoinType::Full,
            Self::Semi => JoinType::LeftSemi,
            Self::Anti => JoinType::LeftAnti,
        }
    }
}
