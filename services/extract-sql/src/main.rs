//! The `extract-sql` server.

use extract_sql::ExtractSql;
use flight_common::serve;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: serve::Allocator = serve::Allocator;

fn main() -> ExitCode {
    serve::main(ExtractSql::default())
}
