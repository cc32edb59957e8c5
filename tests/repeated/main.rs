//! Runs whose loads are done again, or are not, as files and databases show it.

mod renamed;
mod support;
