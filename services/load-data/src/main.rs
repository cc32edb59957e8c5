//! The `load-data` server.

use flight_common::serve;
use load_data::LoadData;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: serve::Allocator = serve::Allocator;

fn main() -> ExitCode {
    serve::main(LoadData)
}
