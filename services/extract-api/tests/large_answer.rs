//! An answer many times larger than the memory that there is. It has a process to itself, whose memory is looked at.

use extract_api::ExtractApi;
use flight_common::testing::Bench;
use flight_common::{Registry, compute};
use futures::StreamExt;
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

const LIMIT: usize = 4 << 20;
const ROWS: usize = 600_000;
const BLOCK: usize = 1000;

/// A server that gives the same thousand rows over and over, about 85 MB in all. None but these are kept.
fn server() -> String {
    let rows: String = (0..BLOCK)
        .map(|id| {
            let user = json!({"name": format!("user {id}"), "zip": format!("{id:05}")});
            format!("{}\n", json!({"id": id, "user": user, "tags": ["a", "b"], "note": "x".repeat(60)}))
        })
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let request = BufReader::new(socket.try_clone().expect("a socket")).lines().map_while(Result::ok);
            request.take_while(|line| !line.is_empty()).for_each(drop);
            let length = rows.len() * (ROWS / BLOCK);
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ncontent-length: {length}\r\n\r\n");
            let sent = socket.write_all(head.as_bytes());
            // Whoever only plans has seen enough after the first rows.
            let _ = (0..ROWS / BLOCK).fold(sent, |sent, _| sent.and_then(|()| socket.write_all(rows.as_bytes())));
        }
    });
    format!("http://{address}/")
}

/// The most memory that this process has had.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

#[tokio::test]
async fn an_answer_of_twenty_times_the_memory_streams_through() {
    let bench = Bench::new().http_allow("127.0.0.1".parse().expect("a list")).memory(LIMIT);
    let registry = Registry::new().with(ExtractApi::default());
    let step = registry.find("extract-api").expect("it is there");
    let before = peak();
    let (_, mut driven) = bench.start(&*step, &json!({"url": server()}), Vec::new()).await.expect("planned");
    let mut output = driven.outputs.remove(0).expect("a main output");
    let rows = compute::spawn(async move {
        let mut rows = 0;
        while let Some(batch) = output.next().await {
            rows += batch?.num_rows();
        }
        Ok::<_, flight_common::Fault>(rows)
    });
    assert_eq!(rows.await.expect("no panic").expect("a normal end"), ROWS);
    let booked = bench.env.space.budget().peak();
    assert!(booked > 0 && booked <= 2 * LIMIT, "{booked} bytes booked");
    let grown = peak() - before;
    assert!(grown < 32 << 20, "{grown} bytes more than before");
}
