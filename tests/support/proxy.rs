//! A proxy between the engine and a step's server that does harm: real HTTP/2 on real sockets, and no cooperation from
//! either side.
//!
//! It reads the frames of HTTP/2 as they pass (their nine bytes of header, RFC 9113 section 4.1) and strikes the first call
//! of a run to a step, at a point of that call, once. Each call of a run has a connection of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Both connections are closed: what was on its way is lost.
    Cut,
    /// The call is refused by `RST_STREAM`; the connection stays.
    Reset,
    /// Nothing passes any more in either direction, and nobody is told.
    Hang,
    /// Nothing is lost; when the call has ended, the server gets all of it once more.
    Repeat,
}

/// When it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Before the server has heard of the call.
    Begin,
    /// When the caller has got the first message.
    Midway,
    /// When the server has done all of it, and nothing of what it said after the end of its input has got through.
    End,
}

/// Where to strike.
#[derive(Clone, Debug)]
pub struct Strike {
    /// The step whose call is struck.
    pub step: String,
    /// At which point.
    pub point: Point,
    /// With what.
    pub harm: Harm,
}

/// A proxy at work; it ends when dropped.
pub struct Proxy {
    /// Where it listens.
    pub address: String,
    struck: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// A proxy before `server`.
    pub async fn start(server: SocketAddr, strike: Strike) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (chosen, struck) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let shared = struck.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let Ok(callee) = TcpStream::connect(server).await else { continue };
                let (strike, chosen, struck) = (strike.clone(), chosen.clone(), shared.clone());
                tokio::spawn(pass(caller, callee, server, strike, chosen, struck));
            }
        });
        Self { address, struck, accepting }
    }

    /// Waits until it has done its harm.
    pub async fn struck(&self) {
        while !self.struck.load(Ordering::SeqCst) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

const PREFACE: usize = 24;
const HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const REFUSED: u32 = 7;

/// One frame, with its header.
struct Frame(Vec<u8>);

impl Frame {
    fn kind(&self) -> u8 {
        self.0[3]
    }

    fn ends_stream(&self) -> bool {
        matches!(self.kind(), DATA | HEADERS) && self.0[4] & END_STREAM != 0
    }

    fn stream(&self) -> u32 {
        u32::from_be_bytes([self.0[5], self.0[6], self.0[7], self.0[8]]) & 0x7fff_ffff
    }

    fn holds(&self, text: &str) -> bool {
        self.0.windows(text.len()).any(|window| window == text.as_bytes())
    }

    fn refusal(stream: u32) -> Self {
        let mut bytes = vec![0, 0, 4, RST_STREAM, 0];
        bytes.extend(stream.to_be_bytes());
        bytes.extend(REFUSED.to_be_bytes());
        Self(bytes)
    }
}

/// What a caller has said: how it greets, and what it then asks for. Answers to pings, and ends of anything, are left out.
struct Said {
    greeting: Vec<u8>,
    rest: Vec<u8>,
}

impl Said {
    fn add(&mut self, frame: &Frame) {
        match frame.kind() {
            SETTINGS => self.greeting.extend(&frame.0),
            DATA | HEADERS | WINDOW_UPDATE | CONTINUATION => self.rest.extend(&frame.0),
            _ => {}
        }
    }
}

/// The frames of one direction, read by a task of their own: so that waiting for one direction keeps up neither.
fn frames(mut from: OwnedReadHalf) -> mpsc::Receiver<Frame> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(frame) = frame(&mut from).await {
            if sender.send(frame).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next frame; nothing at the end.
async fn frame(from: &mut OwnedReadHalf) -> Option<Frame> {
    let mut bytes = vec![0; HEADER];
    from.read_exact(&mut bytes).await.ok()?;
    let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
    bytes.resize(HEADER + length, 0);
    from.read_exact(&mut bytes[HEADER..]).await.ok()?;
    Some(Frame(bytes))
}

/// Passes frames on until one side ends, or until it strikes.
async fn pass(
    caller: TcpStream,
    callee: TcpStream,
    server: SocketAddr,
    strike: Strike,
    chosen: Arc<AtomicBool>,
    struck: Arc<AtomicBool>,
) {
    let ((mut from_caller, mut to_caller), (from_callee, mut to_callee)) = (caller.into_split(), callee.into_split());
    let mut preface = vec![0; PREFACE];
    if from_caller.read_exact(&mut preface).await.is_err() || to_callee.write_all(&preface).await.is_err() {
        return;
    }
    let (mut from_caller, mut from_callee) = (frames(from_caller), frames(from_callee));
    let mut said = Said { greeting: preface, rest: Vec::new() };
    // The stream that is to be struck, and what is held back from the caller.
    let (mut target, mut held) = (None, Vec::new());
    let mut input_ended = false;
    // A step that commits asks at its end whether it may.
    let mut asks = false;
    loop {
        tokio::select! {
            frame = from_callee.recv() => {
                let Some(frame) = frame else { return };
                let of_target = target == Some(frame.stream());
                let over = of_target && frame.ends_stream();
                if of_target && strike.point == Point::End && strike.harm != Harm::Repeat && input_ended && !asks {
                    held.push(frame);
                    if over {
                        struck.store(true, Ordering::SeqCst);
                        return harm(strike.harm, target, &mut to_caller, from_caller).await;
                    }
                    continue;
                }
                let first = of_target && frame.kind() == DATA;
                if to_caller.write_all(&frame.0).await.is_err() {
                    return;
                }
                if first && strike.point == Point::Midway && strike.harm != Harm::Repeat {
                    struck.store(true, Ordering::SeqCst);
                    return harm(strike.harm, target, &mut to_caller, from_caller).await;
                }
                if over && strike.harm == Harm::Repeat && !struck.load(Ordering::SeqCst) {
                    let answered = repeat(server, &said, frame.stream()).await;
                    struck.store(answered, Ordering::SeqCst);
                }
            }
            frame = from_caller.recv() => {
                let Some(frame) = frame else { return };
                let begins = target.is_none()
                    && frame.kind() == DATA
                    && frame.holds("\"run_id\":\"")
                    && frame.holds(&format!("\"step\":\"{}\"", strike.step))
                    && !chosen.swap(true, Ordering::SeqCst);
                if begins {
                    target = Some(frame.stream());
                    asks = frame.holds("\"ask_before_commit\":true");
                    if strike.point == Point::Begin && strike.harm != Harm::Repeat {
                        struck.store(true, Ordering::SeqCst);
                        return harm(strike.harm, target, &mut to_caller, from_caller).await;
                    }
                }
                // The answer.
                asks &= !frame.holds("\"ask\":");
                input_ended |= target == Some(frame.stream()) && frame.ends_stream();
                if strike.harm == Harm::Repeat && !struck.load(Ordering::SeqCst) {
                    said.add(&frame);
                }
                if to_callee.write_all(&frame.0).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn harm(harm: Harm, target: Option<u32>, to_caller: &mut OwnedWriteHalf, mut from_caller: mpsc::Receiver<Frame>) {
    match harm {
        Harm::Cut | Harm::Repeat => {}
        Harm::Reset => {
            let refusal = Frame::refusal(target.unwrap_or_default());
            // Whether the caller still listens is for it to say.
            let _ = to_caller.write_all(&refusal.0).await;
            while from_caller.recv().await.is_some() {}
        }
        // Until the caller gives up. The server is not told either: its connection is held by what called this.
        Harm::Hang => while from_caller.recv().await.is_some() {},
    }
}

/// Says the same to the server again, and waits for its answer. Whether it was answered to its end.
async fn repeat(server: SocketAddr, said: &Said, stream: u32) -> bool {
    let Ok(again) = TcpStream::connect(server).await else { return false };
    let (answers, mut words) = again.into_split();
    let (mut answers, mut rest) = (frames(answers), Some(&said.rest));
    let mut spoken = words.write_all(&said.greeting).await.is_ok();
    while let Some(frame) = answers.recv().await {
        match frame.kind() {
            // Only now may more be sent than a new connection takes.
            WINDOW_UPDATE if frame.stream() == 0 => {
                if let Some(rest) = rest.take() {
                    spoken &= words.write_all(rest).await.is_ok();
                }
            }
            // One that commits asks whether it may, and nobody says so.
            _ if frame.stream() == stream && (frame.ends_stream() || frame.holds("{\"ask\":")) => return spoken,
            _ => {}
        }
    }
    false
}
