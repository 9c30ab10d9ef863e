//! The origin double: raw TCP on port 0, that keeps every request byte for byte.
//!
//! A test gives it a function from request to [`Answer`], or, to act in the middle of a message, one
//! that is handed each [`Connection`]. A panic in either fails the test, when the double is dropped.

mod answer;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

pub(crate) use self::answer::Answer;
use self::answer::Step;

/// The double. Its connections end with it.
pub(crate) struct Origin {
    address: SocketAddr,
    seen: Arc<Seen>,
    accepting: JoinHandle<()>,
}

/// A request as it came over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawRequest {
    /// Request line and field lines, with the empty line at their end.
    pub(crate) head: Vec<u8>,
    pub(crate) method: String,
    pub(crate) target: String,
    /// The field lines in their order; names lower-cased.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// The body with its framing: chunk sizes, trailers.
    pub(crate) framed: Vec<u8>,
    /// The body itself.
    pub(crate) body: Vec<u8>,
}

/// One connection, for a test that acts in the middle of a message.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Read, and not looked at yet.
    buffer: Vec<u8>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<RawRequest>>,
    connections: AtomicUsize,
    panicked: AtomicBool,
}

/// Notices that the task it lives in panics.
struct PanicWatch(Arc<Seen>);

// === impl Origin ===

impl Origin {
    /// An origin that reads whole requests and answers each as `handler` says.
    pub(crate) async fn start(
        handler: impl Fn(&RawRequest) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let handler = Arc::new(handler);
        Self::start_raw(move |mut connection| {
            let handler = Arc::clone(&handler);
            async move {
                while let Some(request) = connection.request().await {
                    for step in handler(&request).steps() {
                        match step {
                            Step::Send(bytes) => connection.send(&bytes).await,
                            Step::Wait(time) => tokio::time::sleep(time).await,
                            Step::Close => return,
                            Step::Reset => return connection.reset(),
                            Step::Stall => connection.gone().await,
                        }
                    }
                }
            }
        })
        .await
    }

    /// An origin that leaves each connection to `handler`. What that has not read is not kept.
    pub(crate) async fn start_raw<F>(handler: impl Fn(Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(listener, handler)
    }

    /// The same, with the kernel told to keep only `kept` bytes in either direction.
    pub(crate) fn start_narrow<F>(
        kept: u32,
        handler: impl Fn(Connection) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(kept).unwrap();
        socket.set_send_buffer_size(kept).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self::serve(socket.listen(64).unwrap(), handler)
    }

    fn serve<F>(listener: TcpListener, handler: impl Fn(Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let accepting = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                let mut connections = tokio::task::JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    seen.connections.fetch_add(1, Ordering::SeqCst);
                    let watch = PanicWatch(Arc::clone(&seen));
                    let seen = Arc::clone(&seen);
                    let serving = handler(Connection {
                        stream,
                        buffer: Vec::new(),
                        seen,
                    });
                    connections.spawn(async move {
                        let _watch = watch;
                        serving.await;
                    });
                }
            }
        });
        Self {
            address,
            seen,
            accepting,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All whole requests so far, in the order in which their last bytes came.
    pub(crate) fn requests(&self) -> Vec<RawRequest> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// The only request so far.
    #[track_caller]
    pub(crate) fn request(&self) -> RawRequest {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.remove(0)
    }

    /// How many connections were opened so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
        let panicked = self.seen.panicked.load(Ordering::SeqCst);
        assert!(
            !panicked || std::thread::panicking(),
            "the origin double panicked"
        );
    }
}

// === impl RawRequest ===

impl RawRequest {
    /// The values of all lines of `name` (lower case), in their order.
    pub(crate) fn lines(&self, name: &str) -> Vec<&[u8]> {
        let lines = self.fields.iter().filter(|(field, _)| field == name);
        lines.map(|(_, value)| value.as_slice()).collect()
    }

    /// Reads a head; the body comes after.
    fn parse(head: Vec<u8>) -> Self {
        let text: Vec<&[u8]> = head
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .collect();
        let line = String::from_utf8_lossy(text[0]).into_owned();
        let [method, target, _version] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("not a request line: {line:?}");
        };
        let fields = text[1..]
            .iter()
            .filter(|line| !line.is_empty())
            .map(|line| {
                let colon = line
                    .iter()
                    .position(|byte| *byte == b':')
                    .expect("a field has a colon");
                let name = str::from_utf8(&line[..colon]).unwrap().to_ascii_lowercase();
                (name, line[colon + 1..].trim_ascii().to_vec())
            });
        let (method, target, fields) = (method.to_owned(), target.to_owned(), fields.collect());
        Self {
            head,
            method,
            target,
            fields,
            framed: Vec::new(),
            body: Vec::new(),
        }
    }
}

// === impl Connection ===

impl Connection {
    /// Reads a whole request and keeps it; `None` at the end of the connection.
    pub(crate) async fn request(&mut self) -> Option<RawRequest> {
        let mut request = self.head().await?;
        let chunked = request
            .lines("transfer-encoding")
            .contains(&&b"chunked"[..]);
        let length = request.lines("content-length").first().copied();
        if chunked {
            while let Some(chunk) = self.chunk(&mut request.framed).await? {
                request.body.extend(chunk);
            }
        } else if let Some(length) = length {
            let length = str::from_utf8(length).unwrap().parse().unwrap();
            request.body = self.read_exact(length).await?;
            request.framed.clone_from(&request.body);
        }
        self.seen.requests.lock().unwrap().push(request.clone());
        Some(request)
    }

    /// Reads a head only; it is not kept.
    pub(crate) async fn head(&mut self) -> Option<RawRequest> {
        Some(RawRequest::parse(self.read_through(b"\r\n\r\n").await?))
    }

    /// Reads `length` bytes; `None` if the connection ends before.
    pub(crate) async fn body(&mut self, length: usize) -> Option<Vec<u8>> {
        self.read_exact(length).await
    }

    /// Says that nothing more comes from here, and goes on reading.
    pub(crate) async fn end(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Reads a chunk, adding its bytes to `framed`. The inner `None` is the last one, with the
    /// trailers behind it.
    pub(crate) async fn chunk(&mut self, framed: &mut Vec<u8>) -> Option<Option<Vec<u8>>> {
        let line = self.read_through(b"\r\n").await?;
        framed.extend_from_slice(&line);
        let size = str::from_utf8(line.trim_ascii()).unwrap();
        let size = usize::from_str_radix(size, 16).expect("a chunk starts with its size");
        if size > 0 {
            let mut chunk = self.read_exact(size + 2).await?;
            framed.extend_from_slice(&chunk);
            chunk.truncate(size);
            return Some(Some(chunk));
        }
        loop {
            let line = self.read_through(b"\r\n").await?;
            framed.extend_from_slice(&line);
            if line == b"\r\n" {
                return Some(None);
            }
        }
    }

    /// What has come and was not looked at, or else what comes next; `None` at the end of the
    /// connection.
    pub(crate) async fn some(&mut self) -> Option<Vec<u8>> {
        if self.buffer.is_empty() {
            self.fill().await?;
        }
        Some(std::mem::take(&mut self.buffer))
    }

    /// Writes `bytes`. A connection that is gone is no error: the test says what it expects.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Waits until the other side closes, reading what it says until then.
    pub(crate) async fn gone(&mut self) {
        while self.fill().await.is_some() {}
    }

    /// How much was read and not looked at.
    pub(crate) fn taken(&self) -> usize {
        self.buffer.len()
    }

    /// The connection, for a test that minds each byte.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Ends the connection with an RST.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    async fn read_through(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self
                .buffer
                .windows(end.len())
                .position(|window| window == end);
            if let Some(at) = found {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            self.fill().await?;
        }
    }

    async fn read_exact(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Some(self.buffer.drain(..length).collect())
    }

    /// Reads some more; `None` at the end of the connection.
    async fn fill(&mut self) -> Option<()> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }
}

// === impl PanicWatch ===

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked.store(true, Ordering::SeqCst);
        }
    }
}
