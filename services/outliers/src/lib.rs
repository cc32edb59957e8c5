//! The `outliers` step.
