//! Record batches as JSON.

mod nested;
mod records;
mod string;

pub use records::{Layout, Records, duplicate, records, refusal};
