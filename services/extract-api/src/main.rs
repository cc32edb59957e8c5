//! The `extract-api` server.

use extract_api::ExtractApi;
use flight_common::serve;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: serve::Allocator = serve::Allocator;

fn main() -> ExitCode {
    serve::main(ExtractApi::default())
}
