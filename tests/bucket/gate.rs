//! A door before a server that closes, or stands still, when a request comes that a test names.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// What is done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It passes.
    Pass,
    /// Its connection is closed.
    Cut,
    /// It passes, and its answer does not: the connection is closed when that comes.
    Deafen,
    /// Neither it nor anything after it on its connection passes, and nobody is told.
    Hold,
}

/// A door at work, until the test process ends.
pub struct Gate {
    /// Where it listens.
    pub address: String,
    seen: Arc<AtomicUsize>,
}

impl Gate {
    /// A door before `server`. `judge` sees the words of each request as they come, and whether it is the first, the second
    /// or which of those that hold `mark`.
    pub fn start(server: &str, mark: &'static str, judge: impl Fn(usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (server, judge, seen) = (server.to_owned(), Arc::new(judge), Arc::new(AtomicUsize::new(0)));
        let count = seen.clone();
        thread::spawn(move || {
            for caller in listener.incoming().map_while(Result::ok) {
                // A server that is gone closes the connection; so does this.
                let Ok(callee) = TcpStream::connect(&server) else { continue };
                let (judge, count) = (judge.clone(), count.clone());
                let deaf = Arc::new(AtomicBool::new(false));
                let is_deaf = deaf.clone();
                let (back, answers) = (caller.try_clone().expect("a socket"), callee.try_clone().expect("a socket"));
                thread::spawn(move || {
                    pass(answers, back, |_| if is_deaf.load(Ordering::SeqCst) { Act::Cut } else { Act::Pass });
                });
                thread::spawn(move || {
                    pass(caller, callee, |words| {
                        let act = match words.contains(mark) {
                            true => judge(count.fetch_add(1, Ordering::SeqCst) + 1),
                            false => Act::Pass,
                        };
                        deaf.fetch_or(act == Act::Deafen, Ordering::SeqCst);
                        act
                    });
                });
            }
        });
        Self { address, seen }
    }

    /// How many requests have come that hold the mark.
    pub fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, judge: impl Fn(&str) -> Act) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        match judge(&String::from_utf8_lossy(&bytes[..read])) {
            Act::Pass | Act::Deafen => {}
            Act::Cut => break,
            Act::Hold => loop {
                thread::park();
            },
        }
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    for socket in [from, to] {
        // The other direction may have closed it.
        let _ = socket.shutdown(Shutdown::Both);
    }
}
