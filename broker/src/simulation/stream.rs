//! A byte stream between a simulated device and the broker: it comes in pieces, stalls and breaks.
//! What the broker writes is kept with its time, whether or not the device ever reads it.

use super::chance::Chance;
use super::time::{Millis, look, millis};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// Bytes of a piece where a stream comes in small ones.
const PIECE_BYTES_MAX: u64 = 24;

/// The device's end. Cheap to clone.
#[derive(Clone)]
pub(super) struct DeviceEnd(Arc<Mutex<Line>>);

/// The broker's end.
pub(super) struct BrokerEnd(Arc<Mutex<Line>>);

/// Bytes that the broker wrote at once.
#[derive(Debug, Clone)]
pub(super) struct Written {
    /// Since when it had been trying to write without a pause.
    pub(super) since: Millis,
    pub(super) at: Millis,
    pub(super) bytes: Bytes,
}

struct Line {
    chance: Chance,
    in_pieces: bool,
    up: VecDeque<u8>,
    up_stalled: bool,
    up_ended: bool,
    /// Bytes that the broker has read in all.
    read: u64,
    down: VecDeque<u8>,
    down_max: usize,
    written: Vec<Written>,
    writing_since: Option<Millis>,
    broken: bool,
    /// The broker's process is gone: its end never does anything again.
    frozen: bool,
    broker_ended: bool,
    /// Whether the broker once could not write all that it had.
    held_up: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Told of all that the broker does.
    stir: Arc<Notify>,
}

/// A stream of which the broker can write `down_max` bytes that are not read yet.
pub(super) fn stream(
    chance: Chance,
    in_pieces: bool,
    down_max: usize,
    stir: Arc<Notify>,
) -> (DeviceEnd, BrokerEnd) {
    let line = Arc::new(Mutex::new(Line {
        chance,
        in_pieces,
        up: VecDeque::new(),
        up_stalled: false,
        up_ended: false,
        read: 0,
        down: VecDeque::new(),
        down_max,
        written: Vec::new(),
        writing_since: None,
        broken: false,
        frozen: false,
        broker_ended: false,
        held_up: false,
        reader: None,
        writer: None,
        stir,
    }));
    (DeviceEnd(Arc::clone(&line)), BrokerEnd(line))
}

impl Line {
    fn piece(&mut self, bytes: usize) -> usize {
        match self.in_pieces {
            true => bytes.min(self.chance.within(1, PIECE_BYTES_MAX) as usize),
            false => bytes,
        }
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }
}

impl DeviceEnd {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap()
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        let mut line = self.line();
        line.up.extend(bytes);
        line.wake();
    }

    /// Nothing follows what was sent.
    pub(super) fn finish(&self) {
        let mut line = self.line();
        line.up_ended = true;
        line.wake();
    }

    pub(super) fn stall(&self, stalled: bool) {
        let mut line = self.line();
        line.up_stalled = stalled;
        line.wake();
    }

    /// What was on its way is lost, in both directions.
    pub(super) fn break_off(&self) {
        let mut line = self.line();
        line.broken = true;
        line.up.clear();
        line.down.clear();
        line.wake();
    }

    /// As seen from the device when the broker's machine is gone.
    pub(super) fn freeze(&self) {
        let mut line = self.line();
        line.frozen = true;
        line.down.clear();
    }

    /// What has arrived; at most `max` bytes.
    pub(super) fn receive(&self, max: usize) -> Vec<u8> {
        let mut line = self.line();
        let bytes = max.min(line.down.len());
        let received = line.down.drain(..bytes).collect();
        if bytes > 0 {
            line.wake();
        }
        received
    }

    /// What the broker wrote since this was last asked.
    pub(super) fn written(&self) -> Vec<Written> {
        std::mem::take(&mut self.line().written)
    }

    /// Bytes that the broker has read in all.
    pub(super) fn read(&self) -> u64 {
        self.line().read
    }

    /// Whether the broker may have had to write what it could not.
    pub(super) fn cut_short(&self) -> bool {
        let line = self.line();
        line.broken || line.held_up
    }

    /// Whether the broker ended it in order.
    pub(super) fn was_left(&self) -> bool {
        let line = self.line();
        line.broker_ended && !line.broken && !line.frozen
    }

    pub(super) fn has_unread(&self) -> bool {
        !self.line().down.is_empty()
    }

    /// Whether nothing will come any more.
    pub(super) fn ended(&self) -> bool {
        let line = self.line();
        line.broken || line.frozen || line.broker_ended && line.down.is_empty()
    }
}

impl BrokerEnd {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap()
    }
}

impl Drop for BrokerEnd {
    fn drop(&mut self) {
        let mut line = self.line();
        line.broker_ended = true;
        line.stir.notify_one();
    }
}

impl AsyncRead for BrokerEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        look();
        let mut line = self.line();
        if line.broken && !line.frozen {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let waits = line.up_stalled || line.up.is_empty() && !line.up_ended;
        if line.frozen || waits {
            line.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let bytes = line.up.len().min(into.remaining());
        let bytes = line.piece(bytes);
        let read: Vec<u8> = line.up.drain(..bytes).collect();
        into.put_slice(&read);
        line.read += bytes as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BrokerEnd {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        look();
        let mut line = self.line();
        if line.broken && !line.frozen {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let since = *line.writing_since.get_or_insert_with(millis);
        let room = line.down_max.saturating_sub(line.down.len());
        if line.frozen || room == 0 {
            line.held_up = true;
            line.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let bytes = line.piece(room.min(from.len()));
        line.down.extend(&from[..bytes]);
        line.written.push(Written {
            since,
            at: millis(),
            bytes: Bytes::copy_from_slice(&from[..bytes]),
        });
        line.stir.notify_one();
        Poll::Ready(Ok(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line().writing_since = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = self.line();
        line.broker_ended = true;
        line.stir.notify_one();
        Poll::Ready(Ok(()))
    }
}
