//! The store: every case on SQLite and on a real PostgreSQL.

mod databases;
mod pipelines;
mod queue;
mod runs;
mod schedules;
mod tokens;
