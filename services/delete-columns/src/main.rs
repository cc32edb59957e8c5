//! The `delete-columns` server.

use delete_columns::DeleteColumns;
use flight_common::serve;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: serve::Allocator = serve::Allocator;

fn main() -> ExitCode {
    serve::main(DeleteColumns)
}
