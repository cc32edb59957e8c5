//! A real HTTP server on this machine that speaks the chat completions API, also in ways in which no good server would.

use arrow::array::RecordBatch;
use flight_common::Fault;
use flight_common::testing::{Bench, Ran};
use futures::future::{BoxFuture, FutureExt};
use llm_complete::{Hidden, LlmComplete, Operator};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as the server got it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The path with its query.
    pub path: String,
    /// Headers by their names in lower case.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: Value,
}

impl Request {
    /// The last message.
    pub fn prompt(&self) -> String {
        let messages = self.body["messages"].as_array().expect("messages");
        messages.last().expect("a message")["content"].as_str().expect("a text").to_owned()
    }
}

/// What the server answers.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    /// Bytes of the body after which the connection is cut.
    cut: Option<usize>,
    /// Whether the length is told; else the end of the connection is the end of the body.
    length: bool,
}

impl Reply {
    /// A completion with these words: ten tokens for the prompt and one for each word.
    pub fn words(words: &str) -> Self {
        let usage =
            json!({"prompt_tokens": 10, "completion_tokens": words.split_whitespace().count(), "total_tokens": 0});
        let choice = json!({"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"});
        Self::json(json!({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}))
    }

    /// This JSON.
    pub fn json(body: Value) -> Self {
        Self::text(200, body.to_string())
    }

    /// A complaint, as the API has it.
    pub fn complaint(status: u16, message: &str, code: &str) -> Self {
        Self::text(status, json!({"error": {"message": message, "code": code, "type": "x"}}).to_string())
    }

    /// Any status and body.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: None, length: true }
    }

    /// With this header too.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With the connection cut after this many bytes of the body.
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// Without its length.
    pub fn without_length(mut self) -> Self {
        self.length = false;
        self
    }

    async fn send(self, socket: &mut TcpStream) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Whatever\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        match self.length {
            true => head += &format!("content-length: {}\r\n", self.body.len()),
            false => head += "connection: close\r\n",
        }
        let sent = self.cut.unwrap_or(self.body.len()).min(self.body.len());
        // In one piece: two small ones would wait for each other.
        let reply = [head.as_bytes(), b"\r\n", &self.body.as_bytes()[..sent]].concat();
        socket.write_all(&reply).await?;
        match self.cut.is_some() || !self.length {
            true => socket.shutdown().await,
            false => Ok(()),
        }
    }
}

type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Reply> + Send + Sync>;

/// A server. It ends with the test.
pub struct Server {
    port: u16,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Request>>,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// One that answers like this.
    pub async fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_async(move |request| futures::future::ready(answer(&request)).boxed()).await
    }

    /// One that answers in its time.
    pub async fn start_async(answer: impl Fn(Request) -> BoxFuture<'static, Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (answer, seen): (Handler, Arc<Seen>) = (Arc::new(answer), Arc::default());
        let noted = seen.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, answer.clone(), noted.clone()));
            }
        });
        Self { port, seen, task }
    }

    /// One that answers the n-th request with the n-th reply, and all that follow with the last.
    pub async fn in_turn(replies: Vec<Reply>) -> Self {
        let number = AtomicUsize::new(0);
        Self::start(move |_| {
            let number = number.fetch_add(1, Ordering::SeqCst);
            replies[number.min(replies.len() - 1)].clone()
        })
        .await
    }

    /// Where its API begins.
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// An operator who has set it.
    pub fn operator(&self) -> Operator {
        Operator { base_url: Some(self.base()), api_key: None, model: Some("tiny".to_owned()) }
    }

    /// The step of an operator who has set it.
    pub fn step(&self) -> LlmComplete {
        LlmComplete::new(self.operator())
    }

    /// The step with a key.
    pub fn step_with_key(&self, key: &str) -> LlmComplete {
        LlmComplete::new(Operator { api_key: Some(Hidden::from(key)), ..self.operator() })
    }

    /// Runs the step on these rows.
    pub async fn run(&self, params: Value, rows: &RecordBatch) -> Result<Ran, Fault> {
        Bench::new().run(self.step(), params, std::slice::from_ref(rows)).await
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().expect("no panic").clone()
    }

    /// The most requests that were under way at once.
    pub fn most_at_once(&self) -> usize {
        self.seen.most.load(Ordering::SeqCst)
    }
}

async fn serve(socket: TcpStream, answer: Handler, seen: Arc<Seen>) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    while let Some(request) = read(&mut socket).await? {
        seen.requests.lock().expect("no panic").push(request.clone());
        let now = seen.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most.fetch_max(now, Ordering::SeqCst);
        let reply = answer(request).await;
        seen.under_way.fetch_sub(1, Ordering::SeqCst);
        reply.send(socket.get_mut()).await?;
    }
    Ok(())
}

async fn read(socket: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if socket.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        socket.read_line(&mut line).await?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await?;
    Ok(Some(Request { path, headers, body: serde_json::from_slice(&body).unwrap_or_default() }))
}
