//! Statements that wait for no answer of one another.
//!
//! SQLite's driver hands each text to a thread of its own and waits for what comes back, which takes longer than most statements
//! do; a text may hold several of them. PostgreSQL is given one after the other.

use super::dialect::Dialect;
use super::news::Touched;
use futures::TryStreamExt;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Either, Executor};

/// What a place of a statement (`$1`) stands for.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(Option<String>),
    Number(Option<i64>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

/// Statements in their order, each with what its places stand for.
#[derive(Debug)]
pub(super) struct Statements {
    dialect: Dialect,
    all: Vec<(String, Vec<Value>)>,
    /// Runs to which something happens by them.
    pub touched: Touched,
}

impl Statements {
    pub fn of(dialect: Dialect) -> Self {
        Self { dialect, all: Vec::new(), touched: Touched::default() }
    }

    /// One more, in the words of [`Dialect::words`].
    pub fn add(&mut self, text: &str, values: impl IntoIterator<Item = Value>) {
        self.all.push((self.dialect.words(text), values.into_iter().collect()));
    }

    /// The rows that each of them returns.
    pub async fn one_by_one(self, at: &mut AnyConnection) -> Result<Vec<Vec<AnyRow>>, sqlx::Error> {
        let mut returned = Vec::with_capacity(self.all.len());
        for (text, values) in self.all {
            returned.push(bound(&text, values).fetch_all(&mut *at).await?);
        }
        Ok(returned)
    }

    /// As [`Statements::one_by_one`], of a database that takes several in one text, with others before them.
    pub async fn together(self, before: &[String], at: &mut AnyConnection) -> Result<Vec<Vec<AnyRow>>, sqlx::Error> {
        let (mut whole, mut all_values) = (before.join("; "), Vec::new());
        for (text, values) in self.all {
            if !whole.is_empty() {
                whole.push_str("; ");
            }
            push_renumbered(&mut whole, &text, all_values.len());
            all_values.extend(values);
        }
        let (mut returned, mut rows) = (Vec::new(), Vec::new());
        let mut coming = at.fetch_many(bound(&whole, all_values));
        while let Some(next) = coming.try_next().await? {
            match next {
                Either::Right(row) => rows.push(row),
                Either::Left(_) => returned.push(std::mem::take(&mut rows)),
            }
        }
        Ok(returned)
    }
}

fn bound(text: &str, values: Vec<Value>) -> Query<'static, Any, AnyArguments> {
    values.into_iter().fold(sqlx::query(AssertSqlSafe(text.to_owned())), |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Number(number) => query.bind(number),
    })
}

/// Adds a statement whose places begin after so many others.
fn push_renumbered(whole: &mut String, text: &str, before: usize) {
    let mut parts = text.split('$');
    whole.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.find(|one: char| !one.is_ascii_digit()).unwrap_or(part.len());
        let (place, after) = part.split_at(digits);
        let place = place.parse().map_or(String::new(), |place: usize| (place + before).to_string());
        whole.push('$');
        whole.push_str(&place);
        whole.push_str(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_through() {
        let mut whole = "SELECT $1; ".to_owned();
        push_renumbered(&mut whole, "UPDATE t SET a = $2, b = $10 WHERE id = $1", 1);
        assert_eq!(whole, "SELECT $1; UPDATE t SET a = $3, b = $11 WHERE id = $2");
    }
}
