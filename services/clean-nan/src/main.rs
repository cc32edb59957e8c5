//! The `clean-nan` server.

use clean_nan::CleanNan;
use flight_common::serve;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: serve::Allocator = serve::Allocator;

fn main() -> ExitCode {
    serve::main(CleanNan)
}
