//! The wire by itself, for the benchmark: an echo server, and a client that drives it.
//!
//! `wire serve [--unix PATH]` prints the address it got. `wire drive ADDRESS|PATH` sends 5M rows × 8 columns there and
//! back and prints a JSON line for each round, with GB/s of Arrow arrays one way; then the latency of small exchanges.

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use flight_common::client::StepClient;
use flight_common::serve::{ListenOptions, runtime, serve};
use flight_common::wire::{Decoder, FrameStream, Gather, encode_stream};
use flight_common::{
    BatchStream, DataRoot, Effects, Fault, INPUT, InputSchemas, Inputs, OUTPUT, Outputs, Parcel, Planned, Registry,
    SpillSpace, Step, StepCommand, StepContext, StepEnv, StepKind, StepSpec,
};
use futures::StreamExt;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: flight_common::serve::Allocator = flight_common::serve::Allocator;

/// Gives back what it gets.
struct Echo;

/// It has no knobs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoParams {}

impl Step for Echo {
    type Params = NoParams;
    type Run = ();

    fn spec(&self) -> StepSpec {
        StepSpec {
            name: "echo",
            version: "1",
            kind: StepKind::Transform,
            summary: "Gives back what it gets.",
            manual: "",
            inputs: INPUT,
            outputs: OUTPUT,
            effects: Effects::None,
            keeps_order: true,
            aliases: &[],
            examples: &[],
        }
    }

    async fn plan(&self, _params: NoParams, inputs: &InputSchemas, _env: &StepEnv) -> Result<Planned<()>, Fault> {
        Ok(Planned::new(inputs.only().clone(), ()))
    }

    fn process(&self, (): (), inputs: Inputs, _context: &StepContext) -> Result<Outputs, Fault> {
        Ok(Outputs::main(inputs.only()?))
    }
}

fn main() -> Result<(), Fault> {
    let mut args = std::env::args().skip(1);
    let (word, rest) = (args.next().unwrap_or_default(), args.collect::<Vec<_>>());
    match (word.as_str(), &rest[..]) {
        ("serve", [.., socket]) if socket.starts_with('/') => runtime()?.block_on(echo_server(Some(socket.into()))),
        ("serve", _) => runtime()?.block_on(echo_server(None)),
        ("drive", [address]) => driver()?.block_on(drive(address)),
        _ => Err(Fault::bad_params("wire serve [--unix PATH] | wire drive ADDRESS")),
    }
}

/// A driver has one connection: beside the thread that makes and checks the rows, one moves them.
fn driver() -> Result<tokio::runtime::Runtime, Fault> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    built.map_err(Fault::internal)
}

async fn echo_server(socket: Option<PathBuf>) -> Result<(), Fault> {
    let env = StepEnv { data_root: DataRoot::open(".")?, space: SpillSpace::default(), http_allow: Default::default() };
    let listen = "127.0.0.1:0".parse().map_err(Fault::internal)?;
    let options = ListenOptions { listen, socket, max_exchanges: 64, drain_seconds: 1, tethered: true };
    serve(Registry::new().with(Echo), env, &options).await
}

async fn drive(address: &str) -> Result<(), Fault> {
    let client = match address.starts_with('/') {
        true => StepClient::unix(address.as_ref())?,
        false => StepClient::tcp(address)?,
    };
    let batches = large();
    let payload: usize = batches.iter().map(Parcel::bytes).sum();
    for round in 0..6 {
        let begun = Instant::now();
        let rows = exchange(&client, &batches).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let gbps = payload as f64 / seconds / 1e9;
        println!(r#"{{"round": {round}, "rows": {rows}, "seconds": {seconds:.4}, "gb_per_s": {gbps:.3}}}"#);
    }
    let small = [small()];
    let mut micros = Vec::new();
    for _ in 0..2000 {
        let begun = Instant::now();
        exchange(&client, &small).await?;
        micros.push(begun.elapsed().as_micros());
    }
    micros.drain(..200);
    micros.sort_unstable();
    println!(r#"{{"p50_us": {}, "p99_us": {}}}"#, micros[micros.len() / 2], micros[micros.len() * 99 / 100]);
    Ok(())
}

/// Sends the batches, decodes what comes back, and counts its rows.
async fn exchange(client: &StepClient, batches: &[RecordBatch]) -> Result<u64, Fault> {
    let schema = batches[0].schema();
    let source = BatchStream::from_batches(schema.clone(), batches.to_vec());
    let frames = FrameStream::new(schema.clone(), encode_stream(source, false));
    let command = StepCommand { step: "echo".to_owned(), ..StepCommand::default() };
    let exchange = client.exchange(&command, Some(frames), Gather::Aligned, None).await?;
    let mut decoder = Decoder::new(schema);
    let mut frames = exchange.frames;
    let mut rows = 0;
    while let Some(frame) = frames.next().await {
        if let Some(batch) = decoder.decode(frame?)? {
            rows += batch.num_rows() as u64;
        }
    }
    Ok(rows)
}

/// 5M rows × (5 int64, 1 float64, 2 short strings), in batches of 64 Ki rows.
fn large() -> Vec<RecordBatch> {
    const ROWS: i64 = 5_000_000;
    const BATCH: i64 = 64 * 1024;
    let words = ["alpha", "beta", "gamma", "delta", "eps", "zeta-long", "eta", "theta"];
    let batch = |from: i64| {
        let range = from..(from + BATCH).min(ROWS);
        let ints = |step: i64| -> ArrayRef {
            Arc::new(range.clone().map(|n| n.wrapping_mul(step) % 1_000_003).collect::<Int64Array>())
        };
        let floats: ArrayRef = Arc::new(range.clone().map(|n| (n % 100_000) as f64 / 100.0).collect::<Float64Array>());
        let short: ArrayRef = Arc::new(StringArray::from_iter_values(range.clone().map(|n| words[(n % 8) as usize])));
        let ids: ArrayRef =
            Arc::new(StringArray::from_iter_values(range.clone().map(|n| format!("id{:06}", n % 1_000_000))));
        let columns = [("a", ints(1)), ("b", ints(7919)), ("c", ints(104_729)), ("d", ints(31)), ("e", floats.clone())];
        RecordBatch::try_from_iter(columns.into_iter().chain([("f", floats), ("g", short), ("h", ids)]))
    };
    (0..ROWS).step_by(BATCH as usize).map(batch).collect::<Result<_, _>>().expect("columns of one length")
}

/// 500 rows × 10 columns.
fn small() -> RecordBatch {
    let column = |place: i64| -> ArrayRef {
        match place % 3 {
            2 => Arc::new(StringArray::from_iter_values((0..500).map(|n| format!("v{n}")))),
            _ => Arc::new((0..500).map(|n| n * place).collect::<Int64Array>()),
        }
    };
    RecordBatch::try_from_iter((0..10).map(|place| (format!("c{place}"), column(place))))
        .expect("columns of one length")
}
