//! An object, fetched in pieces side by side.

use super::cache::unwritable;
use super::fault::{fault, replaced};
use super::version::etag;
use crate::fault::Fault;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of a piece: large enough that the time to ask for it does not matter.
const PIECE: u64 = 8 << 20;
/// Pieces under way at a time: one connection alone is often held to a part of what the network can do.
const AT_ONCE: usize = 4;

/// What is fetched, and what it is called in faults.
pub struct Source {
    pub store: Arc<AmazonS3>,
    pub object: ObjectMeta,
    pub url: String,
    pub shown: String,
    /// Where its copy is made.
    pub copies: PathBuf,
}

/// Writes all of an object to a file. It is the one that was asked for, or the fault says that it was replaced.
pub async fn download(source: Source, file: File) -> Result<(), Fault> {
    let size = source.object.size;
    let pieces = (0..size.div_ceil(PIECE)).map(|piece| piece * PIECE..((piece + 1) * PIECE).min(size));
    let fetched = stream::iter(pieces).map(|range| fetch(&source, range, &file)).buffer_unordered(AT_ONCE);
    fetched.try_collect().await
}

async fn fetch(source: &Source, range: Range<u64>, file: &File) -> Result<(), Fault> {
    let Source { store, object, url, shown, copies } = source;
    let failed = |error: object_store::Error| fault(url, shown, &error);
    let options = GetOptions {
        range: Some(GetRange::Bounded(range.clone())),
        if_match: etag(object).map(str::to_owned),
        ..GetOptions::default()
    };
    let answer = store.get_opts(&object.location, options).await.map_err(failed)?;
    // Not every server heeds the condition.
    if answer.meta.e_tag != object.e_tag || answer.meta.size != object.size || answer.range != range {
        return Err(replaced(shown));
    }
    let mut place = range.start;
    let mut bytes = answer.into_stream();
    while let Some(some) = bytes.next().await {
        let some = some.map_err(failed)?;
        file.write_all_at(&some, place).map_err(|error| unwritable(copies, &error))?;
        place += some.len() as u64;
    }
    if place != range.end {
        return Err(Fault::upstream(format!("{url} broke off, asked for {shown}")).help("run again"));
    }
    Ok(())
}
