//! The `load-sql` server.

use flight_common::serve;
use load_sql::LoadSql;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: serve::Allocator = serve::Allocator;

fn main() -> ExitCode {
    serve::main(LoadSql::default())
}
