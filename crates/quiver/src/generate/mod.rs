//! placeholder by the lead so that the command compiles; overwrite it
use std::io;
/// d
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Dataset {
    /// h
    Hr,
    /// e
    Ecommerce,
}
/// w
pub fn write(_dataset: Dataset, _rows: u64, _seed: u64, _out: &mut impl io::Write) -> io::Result<()> {
    Ok(())
}
