//! What the rules are called: their keys in `rules`, which reports, faults and rejected rows name as well.

/// The fewest rows there may be.
pub const MIN_ROWS: &str = "min_rows";
/// The most rows there may be.
pub const MAX_ROWS: &str = "max_rows";
/// The largest part of the cells that may be null.
pub const NULL_RATIO: &str = "check_null_ratio";
/// Rows are compared with each other.
pub const DUPLICATES: &str = "check_duplicates";
/// Columns have these types.
pub const COLUMN_TYPES: &str = "check_column_types";
/// No value occurs twice.
pub const UNIQUE_COLUMNS: &str = "check_unique_columns";
/// Values have limits.
pub const VALUE_RANGE: &str = "check_value_range";
/// No value may be missing.
pub const NOT_NULL: &str = "check_not_null";
/// Texts must match.
pub const PATTERN: &str = "check_pattern";
/// Texts must be among some.
pub const ALLOWED_VALUES: &str = "check_allowed_values";
/// Values must occur in a file.
pub const REFERENCE: &str = "check_reference";
/// The newest value must be fresh.
pub const FRESHNESS: &str = "check_freshness";
/// Columns are distributed as in a file.
pub const DRIFT: &str = "check_drift";
/// The completeness of columns is reported.
pub const COMPLETENESS: &str = "check_completeness";

/// The rules that look at each row by itself.
pub const ABOUT_ROWS: [&str; 5] = [NOT_NULL, VALUE_RANGE, PATTERN, ALLOWED_VALUES, REFERENCE];
