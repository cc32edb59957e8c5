//! The `quiver` command as users run it.

#[global_allocator]
static ALLOCATOR: flight_common::serve::Allocator = flight_common::serve::Allocator;

fn main() -> std::process::ExitCode {
    quiver::main()
}
