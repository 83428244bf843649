//! Where connections come in: a socket or memory, behind one seam.

use std::{future::Future, io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
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
    socket: Socket,
}

/// The door's socket. One that is bound and does not listen refuses connections, and nobody else
/// can take its port; a port that were given up could even be taken by a client that connects to
/// it, since the system may choose it as that client's own.
#[derive(Debug)]
enum Socket {
    Bound(TcpSocket),
    Listening(TcpListener),
    /// Between the two, or lost on the way.
    Neither,
}

/// How many connections wait to be accepted, as many as Linux lets wait unless it is told
/// otherwise. What one says that comes when they are all there is said again much later, and a
/// stream would seem to be late that is not.
const BACKLOG: u32 = 4_096;

impl TcpDoor {
    /// Listens on an address; port 0 is any that is free.
    pub fn listen(address: SocketAddr) -> io::Result<Self> {
        Self::new(bind(address)?.listen(BACKLOG)?)
    }

    /// Takes over a listener.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        Ok(Self { address: listener.local_addr()?, socket: Socket::Listening(listener) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Door for TcpDoor {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let Socket::Listening(listener) = &self.socket else { return std::future::pending().await };
        let (stream, _) = listener.accept().await?;
        // Each event of a stream is a write of its own and must not wait for the next one. Only a
        // connection that is already dead refuses this: the door is as good as before.
        let _dead = stream.set_nodelay(true).is_err();
        Ok(stream)
    }

    async fn refuse(&mut self, refusing: bool) -> io::Result<()> {
        self.socket = match (std::mem::replace(&mut self.socket, Socket::Neither), refusing) {
            (Socket::Listening(listener), true) => {
                drop(listener);
                Socket::Bound(bind(self.address)?)
            }
            (Socket::Bound(socket), false) => Socket::Listening(socket.listen(BACKLOG)?),
            // An earlier attempt failed, for want of a descriptor; this one may not.
            (Socket::Neither, true) => Socket::Bound(bind(self.address)?),
            (Socket::Neither, false) => Socket::Listening(bind(self.address)?.listen(BACKLOG)?),
            (socket, _) => socket,
        };
        Ok(())
    }
}

/// A socket that has the port and does not listen.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // The connections that are already there do not stand in the way.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
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
