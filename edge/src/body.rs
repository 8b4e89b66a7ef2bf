//! Reading a request's body: bounded in bytes and in time.

use crate::ApiError;
use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use std::time::Duration;

/// How long a body may take from its first byte to its last: 256 KiB on a slow phone.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// Reads a body of at most `bytes_max`; what is longer is refused without reading on.
///
/// # Errors
/// 413 for one that is longer, with `remedy` as what to do; 408 for one that takes too long; 400 for
/// one that breaks off.
pub async fn read_body(body: Body, bytes_max: usize, remedy: &str) -> Result<Bytes, ApiError> {
    let too_large = || {
        let detail = format!("the body is more than {bytes_max} bytes; {remedy}");
        let large = ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail);
        large.at("body")
    };
    // What Content-Length announces need not come.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let reading = Limited::new(body, bytes_max).collect();
    let Ok(read) = tokio::time::timeout(BODY_TIMEOUT, reading).await else {
        let detail = format!("the body took more than {} s", BODY_TIMEOUT.as_secs());
        let late = ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail);
        return Err(late.at("body"));
    };
    match read {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(ApiError::malformed("body", "the body broke off")),
    }
}

/// What Content-Type says of a body, in lower case and without its parameters; nothing where it is
/// missing or no text, and of several the first.
pub fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    let media = value.and_then(|value| value.split(';').next());
    media.unwrap_or_default().trim().to_ascii_lowercase()
}

/// 415 for a body that is to be JSON and does not say so.
pub fn not_json() -> ApiError {
    let detail = "the body is JSON: send Content-Type: application/json";
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", detail).at("Content-Type")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse as _;
    use futures_util::{Stream, stream};
    use http_body::{Body as HttpBody, Frame, SizeHint};
    use http_body_util::Full;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    type Piece = std::io::Result<Bytes>;

    async fn check(pieces: impl Stream<Item = Piece> + Send + 'static, status: u16) {
        let read = read_body(Body::from_stream(pieces), 4, "send less").await;
        let answer = read.map_or_else(|error| error.into_response().status(), |_| StatusCode::OK);
        assert_eq!(answer.as_u16(), status);
    }

    /// A body of an announced length of which nothing comes.
    struct Announced(u64);

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
            SizeHint::with_exact(self.0)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_announced_as_too_large_is_not_waited_for() {
        let began = tokio::time::Instant::now();
        let read = read_body(Body::new(Announced(5)), 4, "send less").await;
        let status = read.expect_err("too large").into_response().status();
        assert_eq!((status.as_u16(), began.elapsed()), (413, Duration::ZERO));
        let read = read_body(Body::new(Announced(4)), 4, "send less").await;
        let status = read.expect_err("too late").into_response().status();
        assert_eq!((status.as_u16(), began.elapsed()), (408, BODY_TIMEOUT));
        let whole = Body::new(Full::from("1234"));
        let read = read_body(whole, 4, "send less").await.expect("small");
        assert_eq!(read, "1234");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_bounded_in_bytes_and_in_time() {
        let piece = |bytes: &'static [u8]| Ok(Bytes::from_static(bytes));
        let broken = || Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        check(stream::iter([piece(b"12"), piece(b"34")]), 200).await;
        check(stream::iter([piece(b"12"), broken()]), 400).await;
        check(stream::iter([piece(b"1234"), piece(b"5"), broken()]), 413).await;
        check(stream::pending(), 408).await;
        let drip = stream::unfold((), async |()| {
            tokio::time::sleep(BODY_TIMEOUT / 3).await;
            Some((Ok(Bytes::from_static(b"1")), ()))
        });
        check(Box::pin(drip), 408).await;
    }
}
