//! `quiver serve`: steps behind Flight.

use crate::cli::ServeArgs;
use crate::exit::Exit;
use crate::registry;
use flight_common::Fault;

/// What telemetry calls a process that serves these steps: as one that was built to serve just one is called.
pub fn name(args: &ServeArgs) -> String {
    match &args.names[..] {
        [step] => step.clone(),
        _ => "quiver".to_owned(),
    }
}

/// Serves some steps behind one address.
pub async fn serve(args: ServeArgs) -> Result<Exit, Fault> {
    let steps = match args.names.is_empty() {
        true => registry(),
        false => registry().only(&args.names)?,
    };
    flight_common::serve::serve(steps, args.env.open()?, &args.listen).await?;
    Ok(Exit::Done)
}
