//! `quiver serve` and `quiver up`: steps behind Flight.

use super::print_json;
use crate::cli::{ServeArgs, UpArgs};
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::registry;
use flight_common::Fault;
use flight_common::serve::asked_to_stop;
use flight_common::telemetry::LogFormat;
use serde_json::json;

/// Serves some steps behind one address.
pub async fn serve(args: ServeArgs) -> Result<Exit, Fault> {
    let steps = match args.names.is_empty() {
        true => registry(),
        false => registry().only(&args.names)?,
    };
    flight_common::serve::serve(steps, args.env.open()?, &args.listen).await?;
    Ok(Exit::Done)
}

/// Serves every step in a process of its own, until Ctrl-C or SIGTERM.
pub async fn up(args: UpArgs, logs: LogFormat) -> Result<Exit, Fault> {
    // Wrong options are told once, here, and not by every server.
    args.env.open()?;
    let mut stop = std::pin::pin!(asked_to_stop(false));
    let steps = registry();
    let fleet = tokio::select! {
        fleet = Fleet::start(&steps, &args.env, logs) => fleet?,
        () = &mut stop => return Ok(Exit::Done),
    };
    let servers = fleet.servers();
    if args.json {
        let shown = servers.iter().map(|one| json!({"step": one.step, "address": one.address, "pid": one.pid()}));
        print_json(&json!({"servers": shown.collect::<Vec<_>>()}))?;
    } else {
        for server in servers {
            println!("{:<16} {}", server.step, server.address);
        }
        let addresses: Vec<&str> = servers.iter().map(|server| server.address.as_str()).collect();
        println!("\nquiver run FILE --connect {}\nCtrl-C ends them.", addresses.join(","));
    }
    stop.await;
    fleet.stop().await;
    Ok(Exit::Done)
}
