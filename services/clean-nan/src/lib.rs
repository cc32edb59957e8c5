//! The `clean-nan` step.
