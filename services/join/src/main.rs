//! The `join` server.

use flight_common::serve;
use join::Join;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: serve::Allocator = serve::Allocator;

fn main() -> ExitCode {
    serve::main(Join)
}
