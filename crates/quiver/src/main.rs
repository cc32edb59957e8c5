//! The `quiver` command.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: flight_common::serve::Allocator = flight_common::serve::Allocator;

fn main() -> ExitCode {
    quiver::main()
}
