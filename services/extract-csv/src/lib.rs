//! The `extract-csv` step.
