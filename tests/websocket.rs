//! A stream of packets in WebSocket frames, as small as a test's client needs it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf,
};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::task::AbortOnDropHandle;

/// Bytes that are between the client and its frames at a time.
const BETWEEN: usize = 16 * 1024;

/// What goes in and comes out is the content of binary frames.
pub(crate) struct WebSocket {
    content: DuplexStream,
    _framing: AbortOnDropHandle<()>,
}

impl WebSocket {
    /// Upgrades a connection at `/mqtt`.
    ///
    /// # Errors
    /// The connection ended, or was not upgraded.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = "GET /mqtt HTTP/1.1\r\nHost: belfry\r\nConnection: Upgrade\r\n\
                       Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Protocol: mqtt\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        if !head.starts_with(b"HTTP/1.1 101 ") {
            let head = String::from_utf8_lossy(&head).into_owned();
            return Err(io::Error::other(head));
        }
        let (content, inside) = tokio::io::duplex(BETWEEN);
        let framing = tokio::spawn(async move {
            let (from_server, to_server) = stream.into_split();
            let (from_client, to_client) = tokio::io::split(inside);
            // The client sees the end of its stream when either is done.
            tokio::select! {
                _ = unframe(from_server, to_client) => {}
                _ = frame(from_client, to_server) => {}
            }
        });
        Ok(Self {
            content,
            _framing: AbortOnDropHandle::new(framing),
        })
    }
}

async fn unframe(mut from: OwnedReadHalf, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    loop {
        let first = from.read_u8().await?;
        let length = match from.read_u8().await? {
            126 => from.read_u16().await?.into(),
            short => usize::from(short),
        };
        let mut content = vec![0; length];
        from.read_exact(&mut content).await?;
        if first != 0x82 {
            return Ok(());
        }
        to.write_all(&content).await?;
    }
}

async fn frame(mut from: impl AsyncRead + Unpin, mut to: OwnedWriteHalf) -> io::Result<()> {
    let mut content = [0; 125];
    loop {
        let length = from.read(&mut content).await?;
        if length == 0 {
            return Ok(());
        }
        // A mask of zeros: RFC 6455 asks for one, and this one changes nothing.
        let mut frame = vec![0x82, 0x80 | u8::try_from(length).expect("at most 125")];
        frame.extend([0; 4]);
        frame.extend(&content[..length]);
        to.write_all(&frame).await?;
    }
}

impl AsyncRead for WebSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.content).poll_read(context, into)
    }
}

impl AsyncWrite for WebSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.content).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.content).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.content).poll_shutdown(context)
    }
}
