//! `quiver serve`: steps behind Flight.

use crate::cli::ServeArgs;
use crate::exit::Exit;
use crate::registry;
use flight_common::Fault;

/// Serves some steps behind one address.
pub async fn serve(args: ServeArgs) -> Result<Exit, Fault> {
    let steps = match args.names.is_empty() {
        true => registry(),
        false => registry().only(&args.names)?,
    };
    flight_common::serve::serve(steps, args.env.open()?, &args.listen).await?;
    Ok(Exit::Done)
}
