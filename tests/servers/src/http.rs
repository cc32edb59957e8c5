//! The least of HTTP: one question, one answer, for servers on this machine.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Below it are the ports of well-known servers.
const LOWEST: u16 = 12_000;

/// The body of the answer to a `GET`; nothing if there was none, or it was not 200.
pub fn get(address: &str, path: &str) -> Option<String> {
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    // 1.0: the answer comes in one piece, and its end is the end of the connection.
    write!(socket, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200").then(|| body.to_owned())
}

/// A value as it stands in a URL.
pub fn escaped(value: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(byte).collect()
}

/// Addresses on loopback where nobody listens now, all different.
///
/// The system gives these ports to nobody: one of its own choice could be that of somebody's connection by the time
/// that the server listens, or listens again.
pub fn free_addresses<const N: usize>() -> [String; N] {
    // All are held before the first is let go.
    let held = [(); N].map(|()| bound());
    held.map(|listener| listener.local_addr().expect("an address").to_string())
}

fn bound() -> TcpListener {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let given = range.split_whitespace().next().and_then(|first| first.parse().ok()).filter(|first| *first > LOWEST);
    let ports = u64::from(given.unwrap_or(32_768) - LOWEST);
    // Each hasher has a seed of its own.
    let random = || u16::try_from(RandomState::new().build_hasher().finish() % ports).expect("less than a port");
    let mut tried = (0..100).filter_map(|_| TcpListener::bind(("127.0.0.1", LOWEST + random())).ok());
    tried.next().expect("a free port")
}
