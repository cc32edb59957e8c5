//! The `sql` server.

use flight_common::serve;
use sql::Sql;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: serve::Allocator = serve::Allocator;

fn main() -> ExitCode {
    serve::main(Sql)
}
