//! Pipelines by name. Every change of the text makes a new version; the texts themselves are kept by their hash.

use super::statements::Statements;
use super::{Expected, Store, StoreError};
use crate::checksum::checksum;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;

/// A text of a pipeline, as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The SHA-256 of the text, in hexadecimal.
    pub hash: String,
    /// The YAML.
    pub body: String,
}

impl Definition {
    /// This text.
    pub fn new(body: impl Into<String>) -> Self {
        let body = body.into();
        Self { hash: checksum(body.as_bytes()), body }
    }
}

/// A pipeline as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// Its newest version, from 1.
    pub version: i64,
    /// The SHA-256 of its text.
    pub hash: String,
    /// When that version was stored: milliseconds since 1970.
    pub updated_at: i64,
}

/// One version of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PipelineVersion {
    /// The pipeline.
    pub name: String,
    /// The version, from 1.
    pub version: i64,
    /// The SHA-256 of its text.
    pub hash: String,
    /// When it was stored: milliseconds since 1970.
    pub created_at: i64,
    /// Who stored it.
    pub created_by: String,
}

/// What became of a text that was to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The version that holds it.
    pub version: PipelineVersion,
    /// Whether it was made for it.
    pub made: bool,
}

impl Store {
    /// Stores a text under a name: a new version, unless the newest already holds it.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the newest is not what was expected: somebody else was faster.
    pub async fn put_pipeline(
        &self,
        name: &str,
        definition: &Definition,
        expected: &Expected,
        by: &str,
    ) -> Result<Stored, StoreError> {
        self.write(async |tx| {
            // Taken before it is looked at, so that two writers cannot both believe to be first.
            sqlx::query(self.sql(
                "INSERT INTO pipelines (name, version, updated_at) VALUES ($1, 0, {now})
                 ON CONFLICT (name) DO UPDATE SET version = pipelines.version",
            ))
            .bind(name)
            .execute(tx.at().await?)
            .await?;
            let newest = sqlx::query(
                "SELECT v.name, v.version, v.definition, v.created_at, v.created_by FROM pipelines p
                 JOIN pipeline_versions v ON v.name = p.name AND v.version = p.version WHERE p.name = $1",
            )
            .bind(name)
            .fetch_optional(tx.at().await?)
            .await?;
            let newest = newest.as_ref().map(version).transpose()?;
            check(name, newest.as_ref().map(|newest| newest.hash.as_str()), expected)?;
            if let Some(same) = newest.as_ref().filter(|newest| newest.hash == definition.hash) {
                return Ok(Stored { version: same.clone(), made: false });
            }
            let next = newest.map_or(1, |newest| newest.version + 1);
            let mut statements = self.statements();
            statements.add_definition(definition);
            statements.add_main(
                "INSERT INTO pipeline_versions (name, version, definition, created_at, created_by)
                 VALUES ($1, $2, $3, {now}, $4) RETURNING name, version, definition, created_at, created_by",
                [name.into(), next.into(), (&definition.hash).into(), by.into()],
            );
            statements.add(
                "UPDATE pipelines SET version = $2, updated_at = {now} WHERE name = $1",
                [name.into(), next.into()],
            );
            let made = tx.change(statements).await?;
            let made = made.first().ok_or(sqlx::Error::RowNotFound)?;
            Ok(Stored { version: version(made)?, made: true })
        })
        .await
    }

    /// All pipelines, by name.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn pipelines(&self) -> Result<Vec<Pipeline>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.name, p.version, v.definition, p.updated_at FROM pipelines p
             JOIN pipeline_versions v ON v.name = p.name AND v.version = p.version ORDER BY p.name",
        );
        let rows = rows.fetch_all(&self.reader).await?;
        let pipeline = |row: &AnyRow| {
            Ok(Pipeline {
                name: row.try_get(0)?,
                version: row.try_get(1)?,
                hash: row.try_get(2)?,
                updated_at: row.try_get(3)?,
            })
        };
        rows.iter().map(pipeline).collect()
    }

    /// The versions of a pipeline, the newest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such pipeline.
    pub async fn versions(&self, name: &str) -> Result<Vec<PipelineVersion>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, version, definition, created_at, created_by FROM pipeline_versions
             WHERE name = $1 ORDER BY version DESC",
        );
        let rows = rows.bind(name).fetch_all(&self.reader).await?;
        if rows.is_empty() {
            return Err(StoreError::NotFound(format!("there is no pipeline {name}")));
        }
        rows.iter().map(version).collect()
    }

    /// A version of a pipeline with its text: the newest if none is named.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such pipeline or version.
    pub async fn pipeline(&self, name: &str, wanted: Option<i64>) -> Result<(PipelineVersion, Definition), StoreError> {
        let row = sqlx::query(
            "SELECT v.name, v.version, v.definition, v.created_at, v.created_by, d.body FROM pipelines p
             JOIN pipeline_versions v ON v.name = p.name AND v.version = COALESCE($2, p.version)
             JOIN definitions d ON d.hash = v.definition WHERE p.name = $1",
        );
        let row = row.bind(name).bind(wanted).fetch_optional(&self.reader).await?;
        let Some(row) = row else {
            let which = wanted.map_or(String::new(), |version| format!("version {version} of "));
            return Err(StoreError::NotFound(format!("there is no {which}pipeline {name}")));
        };
        let found = version(&row)?;
        let definition = Definition { hash: found.hash.clone(), body: row.try_get("body")? };
        Ok((found, definition))
    }

    /// Forgets a pipeline. Its runs stay.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such pipeline; [`StoreError::Stale`] when it is not what was expected;
    /// [`StoreError::Conflict`] when schedules run it.
    pub async fn delete_pipeline(&self, name: &str, expected: &Expected) -> Result<(), StoreError> {
        self.write(async |tx| {
            // Deleted before its versions are looked at, so that nobody adds one meanwhile.
            let deleted = sqlx::query("DELETE FROM pipelines WHERE name = $1 RETURNING version").bind(name);
            let Some(deleted) = deleted.fetch_optional(tx.at().await?).await? else {
                return Err(StoreError::NotFound(format!("there is no pipeline {name}")));
            };
            let newest = sqlx::query("SELECT definition FROM pipeline_versions WHERE name = $1 AND version = $2");
            let newest = newest.bind(name).bind(deleted.try_get::<i64, _>(0)?).fetch_one(tx.at().await?).await?;
            check(name, Some(newest.try_get(0)?), expected)?;
            sqlx::query("DELETE FROM pipeline_versions WHERE name = $1").bind(name).execute(tx.at().await?).await?;
            let used = sqlx::query("SELECT name FROM schedules WHERE pipeline = $1 ORDER BY name").bind(name);
            let used: Vec<String> =
                used.fetch_all(tx.at().await?).await?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            if !used.is_empty() {
                let used = used.join(", ");
                return Err(StoreError::Conflict(format!(
                    "pipeline {name} is run by schedules: {used}; delete them first, or let them run another one"
                )));
            }
            Ok(())
        })
        .await
    }
}

fn check(name: &str, newest: Option<&str>, expected: &Expected) -> Result<(), StoreError> {
    if expected.holds(newest) {
        return Ok(());
    }
    Err(StoreError::Stale(match (newest, expected) {
        (None, _) => format!("there is no pipeline {name} yet"),
        (Some(_), Expected::NotThere) => format!("there is a pipeline {name} already"),
        (Some(newest), Expected::NoneOf(_)) => format!("the newest version of pipeline {name} is {newest} already"),
        (Some(newest), _) => {
            format!("pipeline {name} was changed in the meantime: its newest version is {newest}")
        }
    }))
}

impl Statements {
    /// Keeps a text. The same text is kept once.
    pub(super) fn add_definition(&mut self, definition: &Definition) {
        self.add(
            "INSERT INTO definitions (hash, body, created_at) VALUES ($1, $2, {now}) ON CONFLICT (hash) DO NOTHING",
            [(&definition.hash).into(), (&definition.body).into()],
        );
    }
}

fn version(row: &AnyRow) -> Result<PipelineVersion, StoreError> {
    Ok(PipelineVersion {
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        hash: row.try_get("definition")?,
        created_at: row.try_get("created_at")?,
        created_by: row.try_get("created_by")?,
    })
}
