//! The store of this machine, opened by the command itself.

use flight_common::{Fault, RootOptions};
use orchestrator::serve::{default_store, has_default_store};
use orchestrator::store::{Store, check_file, file_of};

/// The store at this address, else that of the data root. It is made if it is a file that is not there.
pub async fn open(url: Option<&str>, root: &RootOptions) -> Result<Store, Fault> {
    let url = match url {
        Some(url) => url.to_owned(),
        None => default_store(&root.open()?)?,
    };
    Ok(Store::open(&url).await?)
}

/// The same; nothing, where it would be made.
///
/// # Errors
/// Also that it could not be, for want of a folder.
pub async fn open_made(url: Option<&str>, root: &RootOptions) -> Result<Option<Store>, Fault> {
    let made = match url {
        Some(url) => {
            check_file(url)?;
            file_of(url).is_none_or(|file| file.exists())
        }
        None => has_default_store(&root.open()?),
    };
    match made {
        true => open(url, root).await.map(Some),
        false => Ok(None),
    }
}
