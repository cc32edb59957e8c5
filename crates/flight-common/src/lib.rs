//! The kit: everything that a step shares with all the others. A step's author reads this crate only.
//!
//! | where | what |
//! |---|---|
//! | [`Step`], [`StepSpec`] | what an author writes |
//! | [`BatchStream`] | what flows between steps |
//! | [`Fault`] | what goes wrong |
//! | [`DataRoot`], [`MemoryBudget`], [`spool`] | files, memory and disk, each with its bounds |
//! | [`params`], [`report`] | knobs in, figures out |
//! | [`wire`], [`server`], [`client`] | Arrow Flight, which no step sees |
//! | [`outbound`] | requests to addresses that somebody else has chosen |
//! | `values` (feature `values`) | texts that are numbers, dates, nulls: guessed and read |
//! | [`farewell`] | what is to be said elsewhere before the process ends |
//! | [`panics`] | libraries that panic over damaged bytes |
//! | [`registry`], [`drive`] | how a step is called, in this process or behind a server |

pub mod arguments;
pub mod cells;
pub mod client;
pub mod columns;
pub mod command;
pub mod compute;
mod data_root;
mod dataset;
pub mod describe;
pub mod digits;
pub mod drive;
pub mod farewell;
mod fault;
mod identity;
mod idle;
mod memory;
pub mod outbound;
pub mod panics;
pub mod params;
mod parcel;
pub mod passwords;
mod permission;
pub mod queue;
pub mod registry;
pub mod report;
pub mod serve;
pub mod server;
pub mod signals;
pub mod spool;
mod step;
mod stream;
pub mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(feature = "files")]
mod uncompressed;
#[cfg(feature = "values")]
pub mod values;
pub mod variables;
pub mod wire;

pub use command::StepCommand;
pub use data_root::{
    AwsSettings, DataFile, DataRoot, FileEntry, LEGACY_ROOT, NewFile, OWN_FOLDER, OpenDatabase, RootOptions,
};
pub use dataset::{Dataset, FilePattern, ReadFile, Written};
pub use describe::{ANY_INPUTS, Effects, INPUT, OUTPUT, StepDescription, StepKind, StepSpec, canonical_name};
pub use fault::{Fault, FaultKind, TextPlace, Violation};
pub use identity::{FileIdentity, files_of};
pub use memory::{MemoryBudget, Reservation, Share};
pub use parcel::Parcel;
pub use permission::{Holds, Permission};
pub use registry::Registry;
pub use report::{Meter, StepReport};
pub use spool::{SpillSpace, Spool, SpoolWriter};
pub use step::{InputSchemas, Inputs, Outputs, Planned, Step, StepContext, StepEnv};
pub use stream::{BATCH_ROWS, BatchStream, EdgeStream, sparse_rows, until_closed};
#[cfg(feature = "files")]
pub use uncompressed::{DamagedData, peek, uncompressed};

/// The messages of `proto/quiver/v1`.
pub mod proto {
    #![expect(missing_docs, reason = "documented in proto/quiver/v1/step.proto")]
    include!(concat!(env!("OUT_DIR"), "/quiver.v1.rs"));
}
