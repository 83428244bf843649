//! Where connections come in: a socket or memory, behind one seam.

use std::{future::Future, io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

use crate::memory::{MemoryListener, MemoryStream};

/// Accepts connections, or refuses them as if nothing listened.
pub trait Door: Send + 'static {
    /// What it accepts.
    type Stream: Stream;

    /// The next connection. Dropping the future loses none.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Refuses new connections, or stops refusing them.
    fn refuse(&mut self, refusing: bool) -> impl Future<Output = io::Result<()>> + Send;
}

/// A connection that can be reset.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Makes the next drop a RST instead of a FIN.
    fn reset(&mut self);
}

/// A TCP port that keeps its number while it refuses.
#[derive(Debug)]
pub struct TcpDoor {
    address: SocketAddr,
    listener: Option<TcpListener>,
}

impl TcpDoor {
    /// Takes over a listener.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        Ok(Self { address: listener.local_addr()?, listener: Some(listener) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Door for TcpDoor {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let Some(listener) = &self.listener else { return std::future::pending().await };
        let (stream, _) = listener.accept().await?;
        // Each event of a stream is a write of its own and must not wait for the next one.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn refuse(&mut self, refusing: bool) -> io::Result<()> {
        match (refusing, &self.listener) {
            (true, Some(_)) => self.listener = None,
            (false, None) => self.listener = Some(TcpListener::bind(self.address).await?),
            _ => {}
        }
        Ok(())
    }
}

impl Stream for TcpStream {
    fn reset(&mut self) {
        // Only a socket that is already dead refuses this, and that one needs no reset.
        let _dead = self.set_zero_linger().is_err();
    }
}

impl Door for MemoryListener {
    type Stream = MemoryStream;

    async fn accept(&mut self) -> io::Result<MemoryStream> {
        Ok(Self::accept(self).await)
    }

    async fn refuse(&mut self, refusing: bool) -> io::Result<()> {
        Self::refuse(self, refusing);
        Ok(())
    }
}

impl Stream for MemoryStream {
    fn reset(&mut self) {
        Self::reset(self);
    }
}
