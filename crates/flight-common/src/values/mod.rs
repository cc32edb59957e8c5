//! Texts that are values: which type they have, guessed so that nothing is lost, and what they say in it.
//!
//! Shared by the extracts that read text (CSV files, answers of an API, cells of a workbook), so that `007`, `2024-02-29`
//! and `1e400` mean the same wherever they come from.
//!
//! | where | what |
//! |---|---|
//! | [`Seen`] | the type of a column, guessed from its first values |
//! | [`types`] | types by the names that users write |
//! | [`Forms`] | how dates and times are written |
//! | [`NullWords`] | how nulls are spelled |
//! | [`check_commas`] | whether rows are cut at commas indeed |
//! | [`Parse`], [`by_type`] | one value from its text |
//! | [`Column`] | a column being filled with such values |

mod boolean;
mod column;
mod decimal;
mod delimiter;
mod forms;
mod guess;
mod nulls;
mod number;
mod parse;
mod time;
pub mod types;
mod written;

pub use boolean::parse_boolean;
pub use column::{Column, column};
pub use delimiter::check_commas;
pub use forms::{Form, Forms, Stamp};
pub use guess::Seen;
pub use nulls::{NullWords, USUAL_NULLS};
pub use number::{is_plain, up_to_eight_digits};
pub use parse::{ByType, Native, Parse, by_type};
pub use written::is_held;
