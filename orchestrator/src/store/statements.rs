//! Statements that wait for no answer of one another go to the database together: each hand-over takes longer than most
//! statements do.
//!
//! SQLite takes several of them in one text, and does one after the other. PostgreSQL takes one, of which the others are parts:
//! all of them see the tables as they were before, and of what one of them, the main one, has changed they see the rows that
//! it returns, by the name `changed`. So none may read what another one writes, other than by `{changed}`.

use super::dialect::Dialect;
use super::news::Touched;
use futures::TryStreamExt;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Either, Executor};

/// What a place of a statement (`$1`) stands for.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    Text(Option<String>),
    Number(Option<i64>),
}

impl From<&str> for Bound {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Bound {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&String> for Bound {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<Option<&str>> for Bound {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<Option<String>> for Bound {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Bound {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Bound {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

/// Statements in their order, each with what its places stand for.
#[derive(Debug)]
pub(super) struct Statements {
    dialect: Dialect,
    all: Vec<(String, Vec<Bound>)>,
    main: usize,
    /// Runs to which something happens by them.
    pub touched: Touched,
}

impl Statements {
    pub fn of(dialect: Dialect) -> Self {
        Self { dialect, all: Vec::new(), main: 0, touched: Touched::default() }
    }

    /// One more, in the words of [`Dialect::words`].
    pub fn add(&mut self, text: &str, values: impl IntoIterator<Item = Bound>) {
        self.all.push((self.dialect.words(text), values.into_iter().collect()));
    }

    /// One more, the main one, whose rows are returned; without it, that is the first.
    pub fn add_main(&mut self, text: &str, values: impl IntoIterator<Item = Bound>) {
        self.main = self.all.len();
        self.add(text, values);
    }

    /// The place of the main one.
    pub fn main(&self) -> usize {
        self.main
    }

    /// Does all of them as parts of one. Returns the rows that the main one returns.
    pub async fn in_one_statement(mut self, at: &mut AnyConnection) -> Result<Vec<AnyRow>, sqlx::Error> {
        if self.all.len() == 1
            && let Some((text, values)) = self.all.pop()
        {
            return bound(text, values).fetch_all(at).await;
        }
        let (mut parts, mut all_values) = (Vec::new(), Vec::new());
        for (place, (text, values)) in self.all.into_iter().enumerate() {
            let name = if place == self.main { "changed".to_owned() } else { format!("part_{place}") };
            parts.push(format!("{name} AS ({})", renumbered(&text, all_values.len())));
            all_values.extend(values);
        }
        let whole = format!("WITH {} SELECT * FROM changed", parts.join(", "));
        bound(whole, all_values).fetch_all(at).await
    }

    /// Does one after the other. Returns the rows that each returns.
    pub async fn one_by_one(self, at: &mut AnyConnection) -> Result<Vec<Vec<AnyRow>>, sqlx::Error> {
        let mut returned = Vec::new();
        for (text, values) in self.all {
            returned.push(bound(text, values).fetch_all(&mut *at).await?);
        }
        Ok(returned)
    }

    /// As [`Statements::one_by_one`], with these before them, which return nothing.
    pub async fn in_one_text(self, before: &[&str], at: &mut AnyConnection) -> Result<Vec<Vec<AnyRow>>, sqlx::Error> {
        let mut texts: Vec<String> = before.iter().map(|text| (*text).to_owned()).collect();
        let mut all_values = Vec::new();
        for (text, values) in self.all {
            texts.push(renumbered(&text, all_values.len()));
            all_values.extend(values);
        }
        let (mut returned, mut rows) = (Vec::new(), Vec::new());
        // sqlx may take several statements in one text away one day; see docs/adr/0013-statements-go-together.md.
        let mut coming = at.fetch_many(bound(texts.join("; "), all_values));
        while let Some(next) = coming.try_next().await? {
            match next {
                Either::Right(row) => rows.push(row),
                Either::Left(_) => returned.push(std::mem::take(&mut rows)),
            }
        }
        returned.drain(..before.len().min(returned.len()));
        Ok(returned)
    }
}

fn bound(text: String, values: Vec<Bound>) -> Query<'static, Any, AnyArguments> {
    values.into_iter().fold(sqlx::query(AssertSqlSafe(text)), |query, value| match value {
        Bound::Text(text) => query.bind(text),
        Bound::Number(number) => query.bind(number),
    })
}

/// A statement whose places begin after so many others.
fn renumbered(text: &str, before: usize) -> String {
    let mut parts = text.split('$');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.find(|one: char| !one.is_ascii_digit()).unwrap_or(part.len());
        let (place, after) = part.split_at(digits);
        let place = place.parse().map_or(String::new(), |place: usize| (place + before).to_string());
        whole += &format!("${place}{after}");
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_through() {
        let text = "UPDATE t SET a = $2, b = $10 WHERE id = $1";
        assert_eq!(renumbered(text, 0), text);
        assert_eq!(renumbered(text, 1), "UPDATE t SET a = $3, b = $11 WHERE id = $2");
    }
}
