//! Measures a join: `cargo bench -p join --bench join -- ROWS [MEMORY_MIB [ROUNDS [TYPE [SPREAD]]]]`.
//!
//! Both sides have so many rows, with a key (a shuffled integer, times SPREAD: dense keys are easier) and two numbers,
//! and are made while they are read, so that the process holds no more than the join does. Prints seconds for making
//! the rows alone and for the join, and the peak of the process's memory.

use arrow::array::{Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use flight_common::testing::make_batch;
use flight_common::{
    BATCH_ROWS, BatchStream, DataRoot, Fault, InputSchemas, MemoryBudget, Registry, SpillSpace, StepEnv, compute,
    drive::drive,
};
use futures::{StreamExt, stream};
use join::Join;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: flight_common::serve::Allocator = flight_common::serve::Allocator;

/// The keys of a side: a number for each row. `factor` and `rows` share no divisor, so that each comes once.
#[derive(Clone, Copy)]
struct Keys {
    rows: i64,
    factor: i64,
    spread: i64,
}

/// Rows `from..to` of a side.
fn part(names: [&str; 2], keys: Keys, from: i64, to: i64) -> RecordBatch {
    let numbers = || from..to;
    make_batch(vec![
        (
            "id",
            Arc::new(Int64Array::from_iter_values(numbers().map(|row| row * keys.factor % keys.rows * keys.spread))),
        ),
        (names[0], Arc::new(Int64Array::from_iter_values(numbers()))),
        (names[1], Arc::new(Float64Array::from_iter_values(numbers().map(|row| row as f64 / 7.0)))),
    ])
}

fn side(names: [&'static str; 2], keys: Keys) -> BatchStream {
    let schema: SchemaRef = part(names, keys, 0, 0).schema();
    let starts = stream::iter((0..keys.rows).step_by(BATCH_ROWS));
    let batches = starts.map(move |from| Ok(part(names, keys, from, keys.rows.min(from + BATCH_ROWS as i64))));
    BatchStream::new(schema, batches)
}

/// 2^31 - 1 and 10^9 + 7 are primes.
fn sides(rows: i64, spread: i64) -> [BatchStream; 2] {
    let keys = |factor| Keys { rows, factor, spread };
    [side(["a", "b"], keys(2_147_483_647)), side(["c", "d"], keys(1_000_000_007))]
}

async fn count(mut stream: BatchStream) -> Result<usize, Fault> {
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        rows += batch?.num_rows();
    }
    Ok(rows)
}

async fn make_only(rows: i64, spread: i64) -> Result<Duration, Fault> {
    let begun = Instant::now();
    for side in sides(rows, spread) {
        compute::spawn(count(side)).await.map_err(Fault::internal)??;
    }
    Ok(begun.elapsed())
}

async fn join(rows: i64, spread: i64, join_type: &str, env: &StepEnv) -> Result<(Duration, String), Fault> {
    let inputs = sides(rows, spread);
    let schemas = InputSchemas::new(inputs.iter().map(BatchStream::schema).collect());
    let params = json!({"join_key": "id", "join_type": join_type});
    let planned = Registry::new().with(Join).find("join")?.plan(&params, &schemas, env).await?;
    let begun = Instant::now();
    let mut driven = drive(planned, inputs.into(), env, "bench", &[])?;
    let output = driven.outputs.remove(0).ok_or_else(|| Fault::internal("no output"))?;
    let rows_out = compute::spawn(count(output)).await.map_err(Fault::internal)??;
    let took = begun.elapsed();
    let report = driven.gauge.report();
    let strategy = &report.details["strategy"];
    Ok((took, format!("{rows_out} rows, {strategy}, {} MiB spilled", report.bytes_spilled >> 20)))
}

/// The peak resident memory of this process, from the kernel.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown").trim().to_owned()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |place: usize, default: i64| words.get(place).and_then(|word| word.parse().ok()).unwrap_or(default);
    let (rows, memory, rounds, spread) = (number(0, 1_000_000), number(1, 256), number(2, 5), number(4, 1));
    let join_type = words.get(3).map_or("inner", String::as_str);
    let budget = MemoryBudget::new(usize::try_from(memory << 20).map_err(Fault::internal)?);
    let space = SpillSpace::new(budget, std::env::temp_dir(), u64::MAX);
    let env = StepEnv { data_root: DataRoot::open(".")?, space, http_allow: Default::default() };
    for _round in 0..rounds {
        let making = make_only(rows, spread).await?;
        let (took, what) = join(rows, spread, join_type, &env).await?;
        println!("join {:.3} s (making the rows {:.3} s): {what}", took.as_secs_f64(), making.as_secs_f64());
    }
    println!("peak: process {}, budget {} MiB", peak_memory(), env.space.budget().peak() >> 20);
    Ok(())
}
