//! Models that run where the step runs, from GGUF files under the data root.
//!
//! A file is looked at when it is planned, by its header alone, and loaded when it is first asked. Who asks later shares it.

mod counter;
mod mind;
mod options;
mod shelf;

pub use counter::Counter;
pub use mind::Local;
pub use shelf::Shelf;

use crate::params::Params;
use flight_common::{DataFile, DataRoot, Fault, FileIdentity, StepEnv, Violation, compute, params};
use local_model::{Card, Flaw, Manner};
use std::time::Duration;

const PARAM: &str = "model_file";

/// A model that was found to be good when the step was planned.
#[derive(Clone, Debug)]
pub struct Chosen {
    identity: FileIdentity,
    card: Card,
    manner: Manner,
    deadline: Duration,
}

impl Chosen {
    /// The file, as the user wrote it.
    pub fn path(&self) -> &str {
        self.identity.path()
    }

    /// What identifies the file.
    pub fn source(&self) -> String {
        self.identity.to_string()
    }

    /// Opens the file, if it is still the one that was planned with.
    fn open(&self, root: &DataRoot) -> Result<DataFile, Fault> {
        let file = root.open_file(self.path(), PARAM)?;
        self.identity.check(&file, "since it was planned")?;
        Ok(file)
    }
}

/// Looks at the model of these parameters.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for options that a local model does not have, for one that needs more memory
/// than there is, or whose kind is not known; [`flight_common::FaultKind::BadData`] for a file that is cut or contradicts
/// itself; otherwise why it cannot be opened.
pub async fn choose(path: &str, params: &Params, env: &StepEnv) -> Result<Chosen, Fault> {
    let manner = options::manner(params).map_err(params::bad_params)?;
    let (path, root, dry_run) = (path.to_owned(), env.data_root.clone(), params.dry_run);
    let limit = env.space.budget().limit();
    let deadline = Duration::from_secs(params.timeout_seconds);
    compute::run(move || {
        let file = root.open_file(&path, PARAM)?;
        let identity = FileIdentity::of(&file, &path)?;
        let card = Card::read(&mut file.into_std()).map_err(|flaw| at_its_place(fault(&path, &flaw)))?;
        let needed = match dry_run {
            true => card.tokenizer_memory(),
            false => card.memory().saturating_add(card.answer_memory(manner.max_tokens)),
        };
        if needed > limit {
            return Err(at_its_place(too_large(&path, needed, limit)));
        }
        Ok(Chosen { identity, card, manner, deadline })
    })
    .await
}

fn too_large(path: &str, needed: usize, limit: usize) -> Fault {
    let message = format!("{path} needs {} of memory, and there are {}", shown(needed), shown(limit));
    Fault::bad_params(message).help("set a larger --memory-limit where the step runs, or take a smaller model")
}

/// Bytes, for people.
fn shown(bytes: usize) -> String {
    const LARGE: usize = 10 << 20;
    match bytes {
        0..LARGE => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{} MiB", bytes.div_ceil(1 << 20)),
    }
}

fn at_its_place(fault: Fault) -> Fault {
    let violation = Violation::new(format!("/{PARAM}"), fault.message()).help(fault.help_text().map(str::to_owned));
    fault.with_violations(vec![violation])
}

/// What is wrong with this file.
fn fault(path: &str, flaw: &Flaw) -> Fault {
    let message = format!("{path}: {flaw}");
    match flaw {
        Flaw::Unreadable(_) => Fault::upstream(message).help("check the disk on which it lies"),
        Flaw::Malformed(_) => Fault::bad_data(message).help("it may have been copied in part: fetch it again"),
        Flaw::Unsupported(_) => {
            Fault::bad_params(message).help("take another model, or a server for this one: `base_url`")
        }
        Flaw::Prompt(_) => Fault::bad_data(message).help("look at what the prompt is for this row"),
        Flaw::Stopped => Fault::cancelled(message),
        Flaw::Failed(_) => Fault::bad_data(message).help("the file may be damaged: fetch it again"),
    }
}
