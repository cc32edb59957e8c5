//! Lines that wait until it is known whether they are to be written: of a load whose step may have been called otherwise when an
//! earlier attempt wrote them. Which rows they are is only known when all have come, and they cannot be written on trial: a
//! unique index would refuse them.

use crate::ledger::Rows;
use crate::lines::Lines;
use flight_common::Fault;
use flight_common::spool::{ScratchFile, SpillSpace};
use futures::{Stream, StreamExt, stream};
use std::pin::pin;

/// All lines of a load, on the disk.
pub struct Waiting {
    file: ScratchFile,
    /// Bytes of each piece, and what is known of its rows.
    pieces: Vec<(usize, Rows)>,
    rows: Rows,
}

impl Waiting {
    /// Lets them wait.
    ///
    /// # Errors
    /// The input's, and [`flight_common::FaultKind::Busy`] when the disk cannot take them.
    pub async fn all(lines: impl Stream<Item = Result<Lines, Fault>>, space: &SpillSpace) -> Result<Self, Fault> {
        let mut lines = pin!(lines);
        let mut waiting = Self { file: ScratchFile::new(space)?, pieces: Vec::new(), rows: Rows::default() };
        while let Some(piece) = lines.next().await {
            let Lines { text, rows } = piece?;
            waiting.file.append(&text)?;
            waiting.pieces.push((text.len(), rows));
            waiting.rows.merge(rows);
        }
        Ok(waiting)
    }

    /// What is known of all rows.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The lines, as they came.
    pub fn lines(self) -> impl Stream<Item = Result<Lines, Fault>> + Send + 'static {
        let Self { file, pieces, .. } = self;
        let mut reader = file.reader();
        stream::iter(pieces).map(move |(length, rows)| {
            // Its room is booked for as long as it is read.
            let _booked = &file;
            Ok(Lines { text: reader.next(length)?.into(), rows })
        })
    }
}
