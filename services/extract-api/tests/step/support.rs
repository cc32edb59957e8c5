//! A real HTTP server on this machine that answers as a test wants it, also in ways in which no good server would.

use extract_api::ExtractApi;
use flight_common::Fault;
use flight_common::outbound::AllowList;
use flight_common::testing::{Bench, Ran};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as the server got it.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST`.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The query.
    pub query: HashMap<String, String>,
    /// Headers by their names in lower case.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: String,
}

/// What the server answers.
#[derive(Clone, Debug)]
pub struct Reply {
    status: &'static str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Bytes of the body after which the connection is cut.
    cut: Option<usize>,
    /// Whether the length is told.
    length: bool,
    /// Whether it says nothing any more, after what there is of the body.
    silent: bool,
}

impl Reply {
    /// This body of this type.
    pub fn new(content_type: &str, body: impl AsRef<[u8]>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status: "200 OK", headers, body: body.as_ref().to_vec(), cut: None, length: true, silent: false }
    }

    /// A JSON document.
    pub fn json(body: impl ToString) -> Self {
        Self::new("application/json; charset=utf-8", body.to_string())
    }

    /// No success.
    pub fn status(status: &'static str) -> Self {
        Self { status, ..Self::new("text/plain", "no") }
    }

    /// A redirect.
    pub fn redirect(status: &'static str, location: impl ToString) -> Self {
        Self::status(status).header("location", location)
    }

    /// With this header too.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// With the connection cut after this many bytes of the body.
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// Without its length: the end of the connection is its end.
    pub fn without_length(mut self) -> Self {
        self.length = false;
        self
    }

    /// Saying nothing any more after this many bytes.
    pub fn silent_after(mut self, bytes: usize) -> Self {
        self.silent = true;
        self.cut_after(bytes)
    }

    async fn send(self, socket: &mut TcpStream) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {}\r\nconnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if self.length {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        socket.write_all((head + "\r\n").as_bytes()).await?;
        let sent = self.cut.unwrap_or(self.body.len()).min(self.body.len());
        socket.write_all(&self.body[..sent]).await?;
        if self.silent {
            // Until the client has had enough.
            let _ = socket.read(&mut [0; 1]).await;
        }
        socket.shutdown().await
    }
}

/// A server. It ends with the test.
pub struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// One that answers each request so, on loopback.
    pub async fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer).await
    }

    /// One at this address.
    pub async fn start_at(address: &str, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (answer, noted) = (Arc::new(answer), seen.clone());
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, answer.clone(), noted.clone()));
            }
        });
        Self { port, seen, task }
    }

    /// The address of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it was asked so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("no panic").clone()
    }
}

async fn serve(
    socket: TcpStream,
    answer: Arc<impl Fn(&Request) -> Reply + Send + Sync + 'static>,
    seen: Arc<Mutex<Vec<Request>>>,
) {
    let mut reader = BufReader::new(socket);
    let Some(request) = read(&mut reader).await else { return };
    seen.lock().expect("no panic").push(request.clone());
    // The client may have left.
    let _ = answer(&request).send(reader.get_mut()).await;
}

async fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length: &String| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    Some(Request {
        method,
        path: path.to_owned(),
        query: query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// What tests may reach.
pub fn local() -> AllowList {
    "127.0.0.1".parse().expect("a list")
}

/// Surroundings in which tests' servers may be reached.
pub fn bench() -> Bench {
    Bench::new().http_allow(local())
}

/// Runs the step.
pub async fn run(params: Value) -> Result<Ran, Fault> {
    bench().run(ExtractApi::default(), params, &[]).await
}

/// Runs the step on what the server has at `/`, with these parameters too.
pub async fn read_with(server: &Server, more: Value) -> Result<Ran, Fault> {
    let mut params = json!({"url": server.url("/")});
    params.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
    run(params).await
}

/// Reads an answer of a server that always gives this one.
pub async fn read_reply(reply: Reply, more: Value) -> Result<Ran, Fault> {
    let server = Server::start(move |_| reply.clone()).await;
    read_with(&server, more).await
}

/// Reads a JSON document.
pub async fn read_json(document: Value, more: Value) -> Result<Ran, Fault> {
    read_reply(Reply::json(document), more).await
}
