//! Rows as files of each format hold them: one form of every value, for the step `load-data` and for what the orchestrator
//! shows and sends.
//!
//! | where | what |
//! |---|---|
//! | [`Form`], [`fitted`] | the formats, and whether the columns of a schema fit into one |
//! | [`Plain`] | types as every reader knows them |
//! | [`csv`], [`json`] | batches as text |
//! | [`text`] | the values in it, the same in both |
//!
//! Files themselves are the business of whoever writes them.

pub mod csv;
pub mod json;
pub mod text;

mod fit;
mod form;
mod plain;

pub use fit::{MAX_XLSX_COLUMNS, fitted};
pub use form::Form;
pub use plain::Plain;
