//! The least of HTTP: one question, one answer, for servers on this machine.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

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
pub fn free_addresses<const N: usize>() -> [String; N] {
    // All are held before the first is let go.
    let held = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("an address").to_string())
}
