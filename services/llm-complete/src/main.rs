//! The `llm-complete` server.

use flight_common::serve;
use llm_complete::LlmComplete;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: serve::Allocator = serve::Allocator;

fn main() -> ExitCode {
    serve::main(LlmComplete::from_env())
}
