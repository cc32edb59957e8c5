//! The room of the kit for whoever asks DataFusion queries: the `sql` step and the front door. It lies apart so that
//! others do not build DataFusion.
//!
//! | where | what |
//! |---|---|
//! | [`WorkingMemory`] | the memory of a query, of the budget of the process |
//! | [`runtime`] | what a query draws on: that memory, and spill files in the spill space |
//! | [`fitted`] | batches and sorts as large as that memory bears, where the widest row is of so many bytes ([`widest_row`]) |
//! | [`session`] | a session in which that memory bounds all, and answers are those of SQL: see below |
//! | [`alone`] | the same for an expression that stands alone |
//! | [`statement`], [`expression`] | what a text says, in words of which DataFusion makes what they mean: `intervals`, `any_of`, `shared_columns` and `all_columns` (which look at `using`), `order` |
//! | [`check_numbers`] | no number of a query is rounded unseen |
//! | [`check_text`], [`check_depth`], [`check_expression`] | queries that nest no deeper than the stack bears |
//! | [`check_statement`], [`check_plan`] | what DataFusion would pass over, or answer otherwise than SQL has it |
//! | [`shaped`], [`cut`] | rows in batches of that size, which hold nothing else |
//! | [`plan`] | a query while it is planned |
//! | [`run`] | a query under way, on threads of its own, which know for whom they compute (`errand`) |
//! | [`into_error`] | faults on their way through DataFusion |
//! | [`refusals`], [`fault`] | its errors as faults, in the words of [`in_words`], and [`place_of`] what is to blame |
//!
//! Which tables there are, and what may be asked, is the business of whoever asks.
//!
//! What a [`session`] has otherwise than DataFusion, each in a file of its own:
//!
//! | where | what |
//! |---|---|
//! | `windows`, `counted`, `by_reference`, `batched` | the memory holds for windows, for rows without columns, and for joins |
//! | `functions` | one call makes no more than memory bears |
//! | `arithmetic`, `sum`, `average` | numbers that do not fit are errors |
//! | `floats` | a decimal beside a float is a float |
//! | `nans`, `extremes` | NaN is one number, the greatest |
//! | `zeros` | both zeros are one number |
//! | `sliding` | floats that leave a frame are gone |
//! | `peers` | windows are ordered by what has no distances, too |
//! | `timestamps`, `truncate` | times are of any year |
//! | `days`, `lengths` | days and hours are moments, and lengths of time are compared |
//! | `texts` | texts of times are read as in PostgreSQL |
//! | `casts` | casts are computed before they are compared |
//! | `lists` | nulls in lists count |
//! | `scalars` | a query without a row is null |
//! | `compared` | a table is compared with itself |
//! | `grouping` | sets of groups are of expressions, too |
//! | `merge_joins`, `join_keys` | joins look at their own columns, and take equal floats and intervals for equal |
//! | `sorted_joins` | what is joined is sorted by constants, too (`fenced`: rules that pass over nodes) |
//!
//! What they leave as it is they name by `inherited`.

mod all_columns;
mod alone;
mod any_of;
mod arithmetic;
mod average;
mod batched;
mod by_reference;
mod casts;
mod check;
mod compared;
mod counted;
mod days;
mod digits;
mod disk;
mod endable;
mod errand;
mod extremes;
mod faults;
mod fenced;
mod floats;
mod functions;
mod grouping;
mod inherited;
mod intervals;
mod join_keys;
mod lengths;
mod lists;
mod literals;
mod measure;
mod memory;
mod merge_joins;
mod nans;
mod node;
mod of_one;
mod order;
mod parser;
mod peers;
mod plan;
mod run;
mod scalars;
mod session;
mod shape;
mod shared_columns;
mod sizes;
mod sliding;
mod sorted_joins;
mod sorters;
mod statement;
mod sum;
#[cfg(test)]
mod testing;
mod texts;
mod timestamps;
mod truncate;
mod using;
mod wide;
mod windows;
mod words;
mod zeros;

pub use alone::alone;
pub use check::{check_plan, check_statement};
pub use faults::{Refusal, fault, into_error, place_of, refusals};
pub use literals::check_numbers;
pub use measure::{check_depth, check_expression, check_text};
pub use memory::WorkingMemory;
pub use nans::of_one_nan;
pub use plan::plan;
pub use run::{Running, run};
pub use session::{fitted, row_bytes, runtime, session, widest_row};
pub use shape::{cut, shaped};
pub use statement::{expression, statement};
pub use words::{Words, in_words};
