//! Who may call. Only the hash of a token is stored; the token itself is shown once, when it is made.

use super::{Store, StoreError};
use crate::checksum::{checksum, hex};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;
use std::str::FromStr;
use std::time::Duration;

/// What the bearer of a token may do. Each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See everything.
    Viewer,
    /// Run, cancel and resume; store pipelines.
    Operator,
    /// Make and revoke tokens.
    Admin,
}

impl Role {
    /// Its name, as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::Viewer, Self::Operator, Self::Admin];
        let found = all.into_iter().find(|role| role.name() == name);
        found.ok_or_else(|| format!("no role \"{name}\"; there are viewer, operator and admin"))
    }
}

/// Whose a token is, or what for: 1 to 255 characters, not only spaces, and none that a terminal would obey.
#[derive(Clone, Debug, Serialize)]
pub struct TokenName(String);

impl FromStr for TokenName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name.trim().is_empty() || name.chars().count() > 255 || name.chars().any(char::is_control) {
            true => Err("a token needs a name of 1 to 255 characters, without line breaks and the like".to_owned()),
            false => Ok(Self(name.to_owned())),
        }
    }
}

/// A token as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Token {
    /// Its id: the part of it that is no secret.
    pub id: String,
    /// Whose it is, or what for.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// When it was made: milliseconds since 1970.
    pub created_at: i64,
    /// Until when it is good.
    pub expires_at: Option<i64>,
    /// Since when it is not any more.
    pub revoked_at: Option<i64>,
}

const COLUMNS: &str = "id, name, role, created_at, expires_at, revoked_at";

impl Store {
    /// Makes a token. Returns it with the secret, which nobody can read again.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn make_token(
        &self,
        name: &TokenName,
        role: Role,
        good_for: Option<Duration>,
    ) -> Result<(Token, String), StoreError> {
        let id = hex(&uuid::Uuid::new_v4().into_bytes()[..6]);
        // Two version 4 UUIDs from the system's source of randomness: 244 bits.
        let secret: String = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(|part| hex(part.as_bytes())).concat();
        let secret = format!("qv_{id}_{secret}");
        let sql = format!(
            "INSERT INTO tokens (id, name, hash, role, created_at, expires_at)
             VALUES ($1, $2, $3, $4, {{now}}, {{now}} + $5) RETURNING {COLUMNS}"
        );
        let new = sqlx::query(self.sql(&sql))
            .bind(&id)
            .bind(&name.0)
            .bind(checksum(secret.as_bytes()))
            .bind(role.name())
            .bind(good_for.map(super::millis));
        let row = self.write(async |tx| Ok(new.fetch_one(tx.at().await?).await?)).await?;
        Ok((token(&row)?, secret))
    }

    /// The token that a caller shows, if it is good.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn token(&self, secret: &str) -> Result<Option<Token>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM tokens
             WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > {{now}})"
        );
        let row = sqlx::query(self.sql(&sql)).bind(checksum(secret.as_bytes())).fetch_optional(&self.reader).await?;
        row.as_ref().map(token).transpose()
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    /// As [`Store::ping`].
    pub async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM tokens ORDER BY created_at, id");
        let rows = sqlx::query(self.sql(&sql)).fetch_all(&self.reader).await?;
        rows.iter().map(token).collect()
    }

    /// Makes a token useless.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such token.
    pub async fn revoke_token(&self, id: &str) -> Result<(), StoreError> {
        let sql = self.sql("UPDATE tokens SET revoked_at = COALESCE(revoked_at, {now}) WHERE id = $1");
        self.write(async |tx| match sqlx::query(sql).bind(id).execute(tx.at().await?).await?.rows_affected() {
            0 => Err(StoreError::NotFound(format!(
                "there is no token with the id {id}, as `quiver token list` shows it"
            ))),
            _ => Ok(()),
        })
        .await
    }
}

fn token(row: &AnyRow) -> Result<Token, StoreError> {
    let role: String = row.try_get("role")?;
    Ok(Token {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        role: role.parse().map_err(StoreError::Corrupt)?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}
