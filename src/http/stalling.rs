//! A stream whose peer must go on reading: one that takes nothing of what waits for it ends.
//!
//! hyper has limits for a client that sends slowly, and none for one that reads nothing, whose answer
//! would be kept for as long as it likes. No timer runs while nothing waits.
//!
//! And one that is closed with care where it was answered before it had sent all: what it still sends
//! would meet a closed socket, whose reset may overtake the answer (RFC 9112 §9.6).

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long, and how much, is read and forgotten after the answer of one that had not sent all.
const LINGER_MAX: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Read at once then.
const LINGER_READ_BYTES: usize = 8 * 1024;

pub(super) struct Stalling<S> {
    stream: S,
    timeout: Duration,
    /// Runs while something waits to be taken.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Whether the peer may still be sending when its answer is written.
    lingers: Arc<AtomicBool>,
    /// Runs once that is so and the stream is shut down, with what may still be read.
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Stalling<S> {
    /// Fails writing once the peer has taken nothing for `timeout`.
    pub(super) fn new(stream: S, timeout: Duration, lingers: Arc<AtomicBool>) -> Self {
        Self {
            stream,
            timeout,
            deadline: None,
            lingers,
            lingering: None,
        }
    }

    fn unless_stalled<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let timeout = self.timeout;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> Stalling<S> {
    /// Reads until the peer has sent all, for a while.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (deadline, left) = self.lingering.get_or_insert_with(|| {
            let deadline = Box::pin(tokio::time::sleep(LINGER_MAX));
            (deadline, LINGER_BYTES_MAX)
        });
        while *left > 0 && deadline.as_mut().poll(context).is_pending() {
            let mut scratch = [MaybeUninit::uninit(); LINGER_READ_BYTES];
            let mut read = ReadBuf::uninit(&mut scratch);
            let ended = ready!(Pin::new(&mut self.stream).poll_read(context, &mut read)).is_err();
            if ended || read.filled().is_empty() {
                break;
            }
            *left = left.saturating_sub(read.filled().len());
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalling<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stalling<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.unless_stalled(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.unless_stalled(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.unless_stalled(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            let shut = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.unless_stalled(context, shut))?;
        }
        if self.lingers.load(Ordering::Relaxed) {
            ready!(self.poll_linger(context));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    const TIMEOUT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_ends_and_a_slow_one_does_not() {
        let (ours, mut theirs) = duplex(4);
        let mut stream = Stalling::new(ours, TIMEOUT, Arc::default());
        let slow = tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(TIMEOUT / 2).await;
                theirs.read_exact(&mut [0; 4]).await.expect("four bytes");
            }
            theirs
        });
        stream.write_all(&[1; 20]).await.expect("taken bit by bit");
        let _reads_nothing = slow.await.expect("it read");
        let began = Instant::now();
        let stalled = stream.write_all(&[1; 20]).await.expect_err("nobody reads");
        assert_eq!(stalled.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_still_sends_is_read_for_a_while_and_no_longer() {
        let check = async |lingers: bool, sends: bool, expected: Duration| {
            let (ours, mut theirs) = duplex(64);
            let mut stream = Stalling::new(ours, TIMEOUT, Arc::new(lingers.into()));
            let sending = tokio::spawn(async move {
                while sends && theirs.write_all(&[0; 16]).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
            let began = Instant::now();
            stream.shutdown().await.expect("it is shut down");
            assert_eq!(began.elapsed().as_secs(), expected.as_secs());
            drop(stream);
            sending.await.expect("it ends");
        };
        check(false, true, Duration::ZERO).await;
        check(true, true, LINGER_MAX).await;
        check(true, false, Duration::ZERO).await;
    }
}
