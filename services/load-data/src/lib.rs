//! The `load-data` step.
