//! The `quiver` command: pipelines run, planned and checked from a terminal, and steps served.
//!
//! | where | what |
//! |---|---|
//! | [`cli`] | the words of the command |
//! | `commands` | what each of them does, one file each |
//! | `fleet` | step servers as child processes, for `--mesh` and `up` |
//! | `remote` | the REST API of an orchestrator, called |
//! | `show` | errors, tables and progress for people |
//! | [`registry()`] | the steps that are linked in |
//! | [`generate`] | example data of any size |

pub mod cli;
mod commands;
mod exit;
mod fleet;
pub mod generate;
mod registry;
pub mod remote;
mod show;

pub use registry::registry;

use std::process::ExitCode;

/// The whole command.
pub fn main() -> ExitCode {
    commands::dispatch(cli::Cli::read()).into()
}
