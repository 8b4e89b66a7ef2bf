//! Packets over a stream, plain or in WebSocket frames, without buffers while nothing is under way.
//!
//! Reading goes through an array on the stack of the poll, and only what is left of an incomplete
//! packet is kept; what is to be written is kept until it is written. So a connection that waits
//! holds neither.

use crate::wire::websocket::{self, Control, FrameDecoder};
use crate::wire::{self, ClientPacket, ProtocolVersion, ServerPacket, WireError};
use bytes::{Buf, BytesMut};
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Read at once: more than most packets of a device, little enough for a stack.
const READ_BYTES: usize = 8 * 1024;

/// What waits to be written before nothing more is added: one page of the mailbox may be on top.
pub(crate) const WRITE_BYTES_MAX: usize = 64 * 1024;

/// Read of a client that was refused, so that what was said is not lost on the way.
const DISCARDED_BYTES_MAX: usize = 512 * 1024;

/// A connection's bytes.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How packets lie in the stream.
pub(crate) enum Framing {
    /// As they are.
    Plain,
    /// In binary messages (RFC 6455).
    WebSocket(Box<FrameDecoder>),
}

/// Something came of waiting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There are new bytes to look at.
    Received,
    /// All that was to be written is.
    Written,
    /// The stream ended or failed.
    Ended,
}

pub(crate) struct Transport {
    stream: Box<dyn Stream>,
    framing: Framing,
    /// Frame bytes that are not a whole header or control frame yet: fewer than 140.
    frames: BytesMut,
    packets: BytesMut,
    out: BytesMut,
    taken: u64,
    packet_bytes_max: u32,
    /// What a WebSocket client is told at the end (RFC 6455 §7.4.1).
    close_code: u16,
    /// A WebSocket client sent its close frame: nothing follows.
    closed: bool,
}

impl Transport {
    /// A stream of which nothing was read yet.
    pub(crate) fn new(stream: Box<dyn Stream>, framing: Framing, packet_bytes_max: u32) -> Self {
        Self {
            stream,
            framing,
            frames: BytesMut::new(),
            packets: BytesMut::new(),
            out: BytesMut::new(),
            taken: 0,
            packet_bytes_max,
            close_code: 1000,
            closed: false,
        }
    }

    /// The bytes that wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.out.len()
    }

    /// The bytes that were read and are not a whole packet yet.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn held(&self) -> usize {
        self.frames.len() + self.packets.len()
    }

    /// The bytes that the client has taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// The WebSocket frames that came since this was last asked and held nothing of a packet.
    pub(crate) fn take_empty_frames(&mut self) -> u32 {
        match &mut self.framing {
            Framing::Plain => 0,
            Framing::WebSocket(decoder) => decoder.take_empty().into(),
        }
    }

    /// The next whole packet that was received.
    pub(crate) fn next_packet(
        &mut self,
        version: Option<ProtocolVersion>,
    ) -> Result<Option<ClientPacket>, WireError> {
        if self.packets.is_empty() {
            return Ok(None);
        }
        let packet = wire::decode(&mut self.packets, version, self.packet_bytes_max);
        let packet = packet.inspect_err(|error| {
            if *error == WireError::PacketTooLarge {
                self.close_code = websocket::TOO_LARGE;
            }
        })?;
        if self.packets.is_empty() {
            self.packets = BytesMut::new();
        }
        Ok(packet)
    }

    /// Adds a packet to what is to be written.
    pub(crate) fn write(&mut self, packet: &ServerPacket, version: ProtocolVersion) {
        if let Framing::WebSocket(_) = self.framing {
            let bytes = wire::encoded_len(packet, version);
            self.out.extend_from_slice(&websocket::binary_header(bytes));
        }
        wire::encode(packet, version, &mut self.out);
    }

    /// Writes what waits; when nothing does, reads. Resolves at the first progress.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, reading: bool) -> Poll<Progress> {
        if !self.out.is_empty() {
            match self.poll_write(context) {
                Poll::Ready(Ok(())) => return Poll::Ready(Progress::Written),
                Poll::Ready(Err(_)) => return Poll::Ready(Progress::Ended),
                Poll::Pending => {}
            }
        }
        if !reading {
            return Poll::Pending;
        }
        if self.closed {
            return Poll::Ready(Progress::Ended);
        }
        match ready!(self.poll_read(context)) {
            Ok(true) => Poll::Ready(Progress::Received),
            Ok(false) | Err(_) => Poll::Ready(Progress::Ended),
        }
    }

    /// Writes all that waits and closes the stream.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        if let Framing::WebSocket(_) = self.framing {
            self.out
                .extend_from_slice(&websocket::close_frame(self.close_code));
        }
        std::future::poll_fn(|context| self.poll_write(context)).await?;
        std::future::poll_fn(|context| Pin::new(&mut self.stream).poll_shutdown(context)).await
    }

    /// Reads what still comes until the stream ends, and keeps none of it. Not for ever: a socket holds
    /// less than this on its way.
    pub(crate) async fn discard(&mut self) {
        let mut left = DISCARDED_BYTES_MAX;
        let mut read = |context: &mut Context<'_>| {
            let mut scratch = [MaybeUninit::uninit(); READ_BYTES];
            let mut read = ReadBuf::uninit(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
            Poll::Ready(io::Result::Ok(read.filled().len()))
        };
        while let Ok(bytes @ 1..) = std::future::poll_fn(&mut read).await
            && left > bytes
        {
            left -= bytes;
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.out))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(written);
            self.taken += written as u64;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.out = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Reads once. False at the end of the stream.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut scratch = [MaybeUninit::uninit(); READ_BYTES];
        let mut read = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
        let bytes = read.filled();
        if bytes.is_empty() {
            return Poll::Ready(Ok(false));
        }
        match &mut self.framing {
            Framing::Plain => self.packets.extend_from_slice(bytes),
            Framing::WebSocket(_) => {
                self.frames.extend_from_slice(bytes);
                return Poll::Ready(self.read_frames());
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Takes the packets' bytes out of their frames. False where the peer closes.
    fn read_frames(&mut self) -> io::Result<bool> {
        let Framing::WebSocket(decoder) = &mut self.framing else {
            return Ok(true);
        };
        loop {
            match decoder.decode(&mut self.frames, &mut self.packets) {
                Ok(Some(Control::Ping(payload))) => {
                    // A client that pings without reading is owed no pong.
                    if self.out.len() < WRITE_BYTES_MAX {
                        self.out.extend_from_slice(&websocket::pong(&payload));
                    }
                }
                // It may have sent a DISCONNECT before.
                Ok(Some(Control::Close)) => {
                    self.closed = true;
                    return Ok(!self.packets.is_empty());
                }
                Ok(None) => {
                    if self.frames.is_empty() {
                        self.frames = BytesMut::new();
                    }
                    return Ok(true);
                }
                Err(error) => {
                    self.close_code = error.code();
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
        }
    }
}
