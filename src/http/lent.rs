//! A request's body that comes back when nobody reads on. An answer may be there before the body is:
//! what is left of a small one is read, so that the connection can go on; of a larger one nothing is
//! waited for, and the connection ends with the answer (RFC 9112 §9.3).

use axum::body::HttpBody;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
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
pub(super) struct Rest<B>(Arc<Mutex<Option<B>>>);

impl<B> Lent<B> {
    pub(super) fn new(body: B) -> (Self, Rest<B>) {
        let left = Arc::new(Mutex::new(None));
        let lent = Self {
            body: Some(body),
            rest: Rest(Arc::clone(&left)),
        };
        (lent, Rest(left))
    }
}

impl<B> Drop for Lent<B> {
    fn drop(&mut self) {
        let mut rest = self.rest.0.lock().unwrap_or_else(PoisonError::into_inner);
        *rest = self.body.take();
    }
}

impl<B: HttpBody> Rest<B> {
    /// Reads what is left, and says whether that was all.
    pub(super) async fn read_out(self) -> bool {
        let Some(body) = self.take().filter(|body| !body.is_end_stream()) else {
            return true;
        };
        let small = body.size_hint().upper();
        if small.is_none_or(|bytes| bytes > REST_BYTES_MAX) {
            return false;
        }
        let read = tokio::time::timeout(REST_TIMEOUT, body.collect()).await;
        read.is_ok_and(|read| read.is_ok())
    }

    fn take(&self) -> Option<B> {
        let mut rest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rest.take()
    }
}

impl<B: HttpBody + Unpin> HttpBody for Lent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
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
        assert_eq!(rest.read_out().await, all);
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
