//! The `extract-file` server.

use extract_file::ExtractFile;
use flight_common::serve;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: serve::Allocator = serve::Allocator;

fn main() -> ExitCode {
    serve::main(ExtractFile)
}
