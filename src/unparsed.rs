//! Problem details for requests that reach no route: hyper answers what it cannot parse with a status
//! and nothing else, and leaves no way to say more. So its answer is completed where it is written.
//!
//! Every answer of a route has a body where it has an error status, so an error without one, written
//! whole and by itself, is hyper's.

use belfry_protocol::problem::{PROBLEM_CONTENT_TYPE, Problem};
use hyper::StatusCode;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection on which such answers are completed.
pub(crate) struct Explaining<S> {
    stream: S,
    /// What is still to be written in the place of hyper's answer.
    answer: Vec<u8>,
}

impl<S> Explaining<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            answer: Vec::new(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Explaining<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        read: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, read)
    }
}

/// Without vectored writes, so that an answer comes in one piece.
impl<S: AsyncWrite + Unpin> AsyncWrite for Explaining<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, answer } = &mut *self;
        if answer.is_empty() {
            match completed(bytes) {
                Some(completed) => *answer = completed,
                None => return Pin::new(stream).poll_write(context, bytes),
            }
        }
        while !answer.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(context, answer))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            answer.drain(..written);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The answer with a problem in it, where these bytes are the head of one without.
fn completed(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(b"HTTP/1.1 4") || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let line = lines.next()?;
    let headers: Vec<_> = lines
        .filter(|header| *header != "content-length: 0")
        .collect();
    if headers.len() + 2 != head.split("\r\n").count() {
        return None;
    }
    let status: StatusCode = line.split(' ').nth(1)?.parse().ok()?;
    let (kind, detail) = match status {
        StatusCode::URI_TOO_LONG => ("uri-too-long", "the request's target is too long"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
            "headers-too-large",
            "the request's head is too long, or has too many headers",
        ),
        _ => (
            "malformed",
            "the request cannot be read: its first line or a header is malformed (RFC 9112)",
        ),
    };
    let title = status.canonical_reason().unwrap_or("Error");
    let problem = Problem::new(status.as_u16(), kind, title, detail);
    let body = serde_json::to_string(&problem).ok()?;
    let mut answer = format!(
        "{line}\r\ncontent-type: {PROBLEM_CONTENT_TYPE}\r\ncontent-length: {}\r\n",
        body.len()
    );
    for header in headers {
        answer.push_str(header);
        answer.push_str("\r\n");
    }
    answer.push_str("\r\n");
    answer.push_str(&body);
    Some(answer.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[test]
    fn only_an_error_without_a_body_is_completed() {
        for other in [
            "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\nmore",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 4",
            "",
        ] {
            assert_eq!(completed(other.as_bytes()), None, "{other}");
        }
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        let answer = String::from_utf8(completed(bare.as_bytes()).expect("completed"));
        let answer = answer.expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert_eq!(
            head.split("\r\n").collect::<Vec<_>>(),
            [
                "HTTP/1.1 431 Request Header Fields Too Large",
                "content-type: application/problem+json",
                &format!("content-length: {}", body.len()),
                "date: now",
            ]
        );
        let problem: Problem = serde_json::from_str(body).expect("a problem");
        assert_eq!(problem.status, 431);
    }

    #[tokio::test]
    async fn an_answer_goes_out_whole_through_a_narrow_stream() {
        let (ours, mut theirs) = tokio::io::duplex(7);
        let writing = tokio::spawn(async move {
            let mut stream = Explaining::new(ours);
            let bare = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(bare).await.expect("written");
            stream.write_all(b"after").await.expect("written");
        });
        let mut read = String::new();
        theirs.read_to_string(&mut read).await.expect("text");
        writing.await.expect("ended");
        assert!(read.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{read}");
        assert!(read.ends_with("}after"), "{read}");
    }
}
