//! The store: every case on SQLite and on a real PostgreSQL.

mod databases;
mod kept;
mod outbox;
mod pipelines;
mod queue;
mod runs;
mod schedules;
mod together;
mod tokens;
