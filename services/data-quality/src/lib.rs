//! The `data-quality` step.
