//! A request's body that comes back when nobody reads on. An answer may be there before the body is:
//! what is left of a small one is read, so that the connection can go on; of a larger one nothing is
//! waited for, and the connection ends with the answer (RFC 9112 §9.3).
//!
//! An answer may also be written while the body is still read. Where that answer ends first, its client
//! may go on sending, and only the connection's end is left to be made with care.

use axum::body::HttpBody;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What is read of a body that nobody wants: most are there already.
const REST_BYTES_MAX: u64 = 64 * 1024;
/// How long that may take.
const REST_TIMEOUT: Duration = Duration::from_secs(1);

/// A body on its way through the routes.
pub(super) struct Lent<B> {
    body: Option<B>,
    rest: Rest<B>,
}

/// Where what is left of it comes back to.
pub(super) struct Rest<B>(Arc<Mutex<Left<B>>>);

enum Left<B> {
    /// It is on its way, or it was taken.
    Nothing,
    Body(B),
    /// It is on its way while its answer is written: what is to be set if it comes back.
    Late(Arc<AtomicBool>),
}

impl<B> Lent<B> {
    pub(super) fn new(body: B) -> (Self, Rest<B>) {
        let left = Arc::new(Mutex::new(Left::Nothing));
        let lent = Self {
            body: Some(body),
            rest: Rest(Arc::clone(&left)),
        };
        (lent, Rest(left))
    }
}

impl<B> Drop for Lent<B> {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else {
            return;
        };
        let mut rest = self.rest.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*rest {
            Left::Late(unread) => unread.store(true, Ordering::Relaxed),
            Left::Nothing | Left::Body(_) => *rest = Left::Body(body),
        }
    }
}

impl<B: HttpBody> Rest<B> {
    /// Reads what is left, and says whether that was all. `unread` is set if it comes back only later,
    /// and not all of it was read.
    pub(super) async fn read_out(self, unread: &Arc<AtomicBool>) -> bool {
        let Some(body) = self.take(unread).filter(|body| !body.is_end_stream()) else {
            return true;
        };
        let small = body.size_hint().upper();
        if small.is_none_or(|bytes| bytes > REST_BYTES_MAX) {
            return false;
        }
        let read = tokio::time::timeout(REST_TIMEOUT, body.collect()).await;
        read.is_ok_and(|read| read.is_ok())
    }

    fn take(&self, unread: &Arc<AtomicBool>) -> Option<B> {
        let mut rest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *rest, Left::Late(Arc::clone(unread))) {
            Left::Body(body) => Some(body),
            Left::Nothing | Left::Late(_) => None,
        }
    }
}

impl<B: HttpBody + Unpin> HttpBody for Lent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if frame.is_none() {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.as_ref().map(HttpBody::size_hint);
        hint.unwrap_or_else(|| SizeHint::with_exact(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use bytes::Bytes;

    async fn check(body: Body, reads: bool, all: bool) {
        let (mut lent, rest) = Lent::new(body);
        if reads {
            while let Some(frame) = lent.frame().await {
                frame.expect("a frame");
            }
        }
        drop(lent);
        let unread = Arc::default();
        assert_eq!(rest.read_out(&unread).await, all);
        assert!(!unread.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_read_where_it_is_little() {
        let bytes = |count: usize| Body::from(vec![0; count]);
        check(Body::empty(), false, true).await;
        check(bytes(100_000), true, true).await;
        check(bytes(65_536), false, true).await;
        check(bytes(65_537), false, false).await;
        // One of unknown length, and one that does not come.
        check(Body::new(Announced(None)), false, false).await;
        check(Body::new(Announced(Some(10))), false, false).await;
    }

    #[tokio::test]
    async fn what_comes_back_after_its_answer_is_noted_unless_it_was_read() {
        for reads in [false, true] {
            let (mut lent, rest) = Lent::new(Body::from(vec![0; 10]));
            let unread = Arc::default();
            assert!(rest.read_out(&unread).await, "it is not back yet");
            while reads && let Some(frame) = lent.frame().await {
                frame.expect("a frame");
            }
            drop(lent);
            assert_eq!(unread.load(Ordering::Relaxed), !reads);
        }
    }

    /// A body of which nothing comes.
    struct Announced(Option<u64>);

    impl HttpBody for Announced {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> SizeHint {
            self.0.map_or_else(SizeHint::new, SizeHint::with_exact)
        }
    }
}
