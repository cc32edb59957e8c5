//! The `join` step.
