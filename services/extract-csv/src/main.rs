//! The `extract-csv` server.

use extract_csv::ExtractCsv;
use flight_common::serve;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: serve::Allocator = serve::Allocator;

fn main() -> ExitCode {
    serve::main(ExtractCsv)
}
