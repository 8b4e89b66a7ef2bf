//! A line between a device and the server that is far, narrow, stalls or breaks.
//!
//! What TCP does with a lost packet looks from above like this too: everything behind it comes late,
//! in one piece.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// Bytes that move at once, and pieces that are on the line at a time.
const PIECE: usize = 256;
const PIECES: usize = 128;
/// A line breaks in one direction this much before the other, or no acknowledgement would ever get
/// through where a burst of messages is what breaks it.
const BREAKING: Duration = Duration::from_millis(100);
/// The system's buffer on the relay's side, so that what the line does not take, the server keeps.
const BUFFER: u32 = 4_096;

/// What a line does to what goes over it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Line {
    /// All comes this much later, in both directions.
    pub(crate) delay: Duration,
    /// No more comes in a second, in each direction.
    pub(crate) bytes_per_second: Option<u32>,
    /// After so many bytes to the device nothing moves for a while, again and again.
    pub(crate) stall: Option<(usize, Duration)>,
    /// It breaks after about so many bytes to the device, wherever in a packet that is.
    pub(crate) break_after: Option<usize>,
}

/// A relay to the server. What goes through it ends when it is dropped.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    held: watch::Sender<bool>,
    _accepting: AbortOnDropHandle<()>,
}

impl Relay {
    pub(crate) async fn to(server: SocketAddr, line: Line) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (held, hold) = watch::channel(false);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (device, _) = listener.accept().await.expect("a connection");
                connections.spawn(relay(device, server, line, number, hold.clone()));
            }
        });
        Self {
            address,
            held,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    /// Nothing moves any more, in either direction.
    pub(crate) fn hold(&self) {
        self.held.send_replace(true);
    }

    /// It moves on.
    pub(crate) fn release(&self) {
        self.held.send_replace(false);
    }
}

/// Both directions of one connection, until one of them ends.
async fn relay(
    device: TcpStream,
    server: SocketAddr,
    line: Line,
    number: usize,
    hold: watch::Receiver<bool>,
) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(BUFFER)?;
    let server = socket.connect(server).await?;
    server.set_nodelay(true)?;
    device.set_nodelay(true)?;
    let (from_device, to_device) = device.into_split();
    let (from_server, to_server) = server.into_split();
    let upwards = Line {
        stall: None,
        break_after: None,
        ..line
    };
    let downwards = Line {
        // Not always at the same place.
        break_after: line.break_after.map(|bytes| bytes + number * 97 % 801),
        ..line
    };
    tokio::select! {
        ended = carry(from_device, to_server, upwards, hold.clone()) => ended,
        ended = carry(from_server, to_device, downwards, hold) => ended,
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    line: Line,
    mut hold: watch::Receiver<bool>,
) -> io::Result<()> {
    let (put, mut on_the_line) = mpsc::channel::<(Instant, Arc<[u8]>)>(PIECES);
    let taking = async {
        let mut piece = [0; PIECE];
        loop {
            let read = from.read(&mut piece).await?;
            let due = Instant::now() + line.delay;
            // The other half ends only with this one.
            let _ = put.send((due, piece[..read].into())).await;
            if read == 0 {
                return std::future::pending::<io::Result<()>>().await;
            }
        }
    };
    let giving = async {
        let mut given = 0;
        while let Some((due, mut piece)) = on_the_line.recv().await {
            tokio::time::sleep_until(due).await;
            if let Some(rate) = line.bytes_per_second {
                let bytes = u32::try_from(piece.len()).expect("a piece is short");
                tokio::time::sleep(Duration::from_secs(1) * bytes / rate).await;
            }
            if let Some((every, pause)) = line.stall
                && given / every != (given + piece.len()) / every
            {
                tokio::time::sleep(pause).await;
            }
            let held = hold.wait_for(|held| !held).await;
            held.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            let left = line.break_after.map_or(usize::MAX, |bytes| bytes - given);
            let breaks = piece.is_empty() || piece.len() >= left;
            if piece.len() > left {
                piece = piece[..left].into();
            }
            to.write_all(&piece).await?;
            given += piece.len();
            if breaks {
                tokio::time::sleep(BREAKING).await;
                return Ok(());
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = taking => ended,
        ended = giving => ended,
    }
}
