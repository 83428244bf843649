//! A transport inside the process, with everything that a socket does to a client: refusal,
//! back-pressure, FIN, half-close, and RST.
//!
//! Under a paused clock it makes an hour of outage take milliseconds.
//! A reset behaves as on Linux: the peer still reads what had arrived, then gets
//! `ConnectionReset`.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};

/// The side that connects; clones connect to the same listener.
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    backlog: mpsc::Sender<MemoryStream>,
    refusing: Arc<Mutex<bool>>,
}

/// The side that accepts.
#[derive(Debug)]
pub struct MemoryListener {
    backlog: mpsc::Receiver<MemoryStream>,
    refusing: Arc<Mutex<bool>>,
}

/// One end of a connection.
#[derive(Debug)]
pub struct MemoryStream {
    incoming: Arc<Mutex<Pipe>>,
    outgoing: Arc<Mutex<Pipe>>,
}

/// How many bytes one direction holds before a writer must wait, as a loopback socket would.
const PIPE_BYTES_MAX: usize = 64 << 10;

/// How many connections wait to be accepted before a further one is refused.
const BACKLOG_MAX: usize = 4_096;

/// One direction of a connection.
#[derive(Debug, Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    /// The writer is done: a reader gets the rest and then the end.
    finished: bool,
    /// The connection was reset: a reader gets the rest and then an error, a writer the error.
    reset: bool,
    /// The reader is gone: what is written goes nowhere.
    unread: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// A listener and the connector to it.
pub fn listen() -> (MemoryListener, MemoryConnector) {
    let (sender, backlog) = mpsc::channel(BACKLOG_MAX);
    let refusing = Arc::new(Mutex::new(false));
    let listener = MemoryListener { backlog, refusing: Arc::clone(&refusing) };
    (listener, MemoryConnector { backlog: sender, refusing })
}

impl MemoryConnector {
    /// Connects, or is refused as by a port where nothing listens.
    pub fn connect(&self) -> io::Result<MemoryStream> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        if *self.refusing.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(refused());
        }
        let (here, there) = (Arc::default(), Arc::default());
        let mine = MemoryStream { incoming: Arc::clone(&here), outgoing: Arc::clone(&there) };
        let theirs = MemoryStream { incoming: there, outgoing: here };
        self.backlog.try_send(theirs).map_err(|_| refused())?;
        Ok(mine)
    }
}

impl MemoryListener {
    /// The next connection; it never comes once every connector is gone.
    pub async fn accept(&mut self) -> MemoryStream {
        match self.backlog.recv().await {
            Some(stream) => stream,
            None => std::future::pending().await,
        }
    }

    /// Refuses new connections, or stops refusing them. Those that wait to be accepted are reset,
    /// as they are when a port is closed.
    pub fn refuse(&mut self, refusing: bool) {
        *self.refusing.lock().unwrap_or_else(PoisonError::into_inner) = refusing;
        while refusing && let Ok(mut stream) = self.backlog.try_recv() {
            stream.reset();
        }
    }
}

impl MemoryStream {
    /// Resets the connection: the peer reads what had arrived, and then gets an error.
    pub fn reset(&mut self) {
        for pipe in [&self.incoming, &self.outgoing] {
            let mut pipe = lock(pipe);
            pipe.reset = true;
            pipe.wake();
        }
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.incoming);
        if pipe.bytes.is_empty() {
            if pipe.reset {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if pipe.finished {
                return Poll::Ready(Ok(()));
            }
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (front, _) = pipe.bytes.as_slices();
        let count = front.len().min(buffer.remaining());
        buffer.put_slice(&front[..count]);
        pipe.bytes.drain(..count);
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = lock(&self.outgoing);
        if pipe.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if pipe.unread || pipe.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = PIPE_BYTES_MAX - pipe.bytes.len();
        if room == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = bytes.len().min(room);
        pipe.bytes.extend(&bytes[..count]);
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.outgoing);
        pipe.finished = true;
        pipe.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        let mut outgoing = lock(&self.outgoing);
        outgoing.finished = true;
        outgoing.wake();
        drop(outgoing);
        let mut incoming = lock(&self.incoming);
        incoming.unread = true;
        incoming.wake();
    }
}

impl Pipe {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

/// A pipe holds plain bytes: a panic elsewhere leaves it as good as it was.
fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn pair() -> (MemoryStream, MemoryStream) {
        let (mut listener, connector) = listen();
        let client = connector.connect().unwrap();
        (client, listener.accept().await)
    }

    #[tokio::test]
    async fn a_close_ends_reading_after_what_was_sent() {
        let (mut client, mut server) = pair().await;
        server.write_all(b"all of it").await.unwrap();
        drop(server);
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "all of it");
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_half_close_leaves_the_other_direction_open() {
        let (mut client, mut server) = pair().await;
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
        server.write_all(b"still here").await.unwrap();
        drop(server);
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "still here");
    }

    #[tokio::test]
    async fn a_reset_is_an_error_and_not_an_end() {
        let (mut client, mut server) = pair().await;
        server.write_all(b"half").await.unwrap();
        server.reset();
        drop(server);
        let mut text = [0; 4];
        client.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"half");
        assert_eq!(
            client.read(&mut text).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_writer_waits_for_a_slow_reader() {
        let (mut client, mut server) = pair().await;
        let bytes = vec![7; PIPE_BYTES_MAX + 1];
        let (written, read) = tokio::join!(
            async {
                client.write_all(&bytes).await.unwrap();
                drop(client);
            },
            async {
                let mut all = Vec::new();
                server.read_to_end(&mut all).await.unwrap();
                all.len()
            }
        );
        assert_eq!(((), read), (written, PIPE_BYTES_MAX + 1));
    }

    #[tokio::test]
    async fn a_refused_connection_looks_like_a_closed_port() {
        let (mut listener, connector) = listen();
        let mut waiting = connector.connect().unwrap();
        listener.refuse(true);
        let reset = waiting.read(&mut [0; 1]).await.unwrap_err().kind();
        assert_eq!(reset, io::ErrorKind::ConnectionReset);
        let refused = connector.connect().unwrap_err().kind();
        assert_eq!(refused, io::ErrorKind::ConnectionRefused);
        listener.refuse(false);
        assert!(connector.connect().is_ok());
        drop(listener);
        assert_eq!(connector.connect().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
