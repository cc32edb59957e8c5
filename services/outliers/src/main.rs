//! The `outliers` server.

use flight_common::serve;
use outliers::Outliers;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: serve::Allocator = serve::Allocator;

fn main() -> ExitCode {
    serve::main(Outliers)
}
