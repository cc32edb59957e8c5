//! `quiver generate`: example data of any size.

use super::file::check_target;
use crate::cli::GenerateArgs;
use crate::exit::Exit;
use crate::generate::write;
use flight_common::{Fault, RootOptions};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Makes example data.
pub fn generate(args: &GenerateArgs) -> Result<Exit, Fault> {
    let Some(path) = &args.output else {
        let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
        return match write(args.dataset, args.rows, args.seed, &mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Fault::io("standard output", &error)),
            _ => Ok(Exit::Done),
        };
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| Fault::bad_params(format!("{} is no file name", path.display())))?;
    let root = RootOptions::at(folder);
    if !root.is_bucket() && !folder.is_dir() {
        let message = format!("{} cannot be written: there is no folder {}", path.display(), folder.display());
        return Err(Fault::not_found(message).help("make the folder first, or choose another one"));
    }
    check_target(path)?;
    let shown = path.display().to_string();
    // Seen whole or not at all, like everything that is written here.
    let mut file = BufWriter::with_capacity(1 << 20, root.open()?.new_file(Path::new(name))?);
    write(args.dataset, args.rows, args.seed, &mut file).map_err(|error| Fault::io(&shown, &error))?;
    file.into_inner().map_err(|error| Fault::io(&shown, error.error()))?.commit()?;
    Ok(Exit::Done)
}
