//! The `extract-excel` server.

use extract_excel::ExtractExcel;
use flight_common::serve;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: serve::Allocator = serve::Allocator;

fn main() -> ExitCode {
    serve::main(ExtractExcel)
}
