//! How fast a file is read, beside the CSV reader of arrow on one thread: `cargo run --release --example speed FILE [alone]`.
//!
//! Not a test: figures are for people.

use arrow::csv::{ReaderBuilder, reader::Format};
use extract_csv::ExtractCsv;
use flight_common::drive::drive;
use flight_common::registry::erase;
use flight_common::serve::Allocator;
use flight_common::testing::Bench;
use flight_common::{Fault, InputSchemas, compute};
use futures::TryStreamExt;
use serde_json::json;
use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const ROUNDS: usize = 7;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(path) = std::env::args().nth(1) else { anyhow::bail!("name a CSV file") };
    let alone = std::env::args().nth(2).is_some_and(|word| word == "alone");
    let path = PathBuf::from(path).canonicalize()?;
    let megabytes = std::fs::metadata(&path)?.len() as f64 / 1e6;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let rows = read(&path).await?;
        ours.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let other_rows = if alone { 0 } else { read_with_arrow(&path).unwrap_or_default() };
        theirs.push(begun.elapsed().as_secs_f64());
        println!("{rows} rows, {other_rows} by arrow-csv");
    }
    for (name, times) in [("extract-csv", &mut ours), ("arrow-csv", &mut theirs)] {
        times.sort_by(f64::total_cmp);
        let (best, median) = (times[0], times[ROUNDS / 2]);
        println!("{name}: best {best:.3} s, median {median:.3} s, {:.0} MB/s", megabytes / median);
    }
    Ok(())
}

async fn read(path: &Path) -> Result<u64, Fault> {
    let env = Bench::at(path.parent().unwrap_or(Path::new("/"))).env;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let planned = erase(ExtractCsv).plan(&json!({"file_path": name}), &InputSchemas::default(), &env).await?;
    let driven = drive(planned, Vec::new(), &env, "speed", &[])?;
    let counted = compute::spawn(async move {
        let mut rows = 0;
        for output in driven.outputs.into_iter().flatten() {
            rows += output.try_fold(0, |rows, batch| async move { Ok(rows + batch.num_rows() as u64) }).await?;
        }
        Ok(rows)
    });
    counted.await.map_err(Fault::internal)?
}

fn read_with_arrow(path: &Path) -> anyhow::Result<usize> {
    let mut file = File::open(path)?;
    let (schema, _) = Format::default().with_header(true).infer_schema(BufReader::new(&file), Some(10_000))?;
    file.rewind()?;
    let reader = ReaderBuilder::new(Arc::new(schema)).with_header(true).with_batch_size(32 * 1024).build(file)?;
    let mut rows = 0;
    for batch in reader {
        rows += batch?.num_rows();
    }
    Ok(rows)
}
