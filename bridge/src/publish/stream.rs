//! NDJSON both ways: items come one a line and are answered one a line, in their order.
//!
//! It is driven by the answer being read. Who does not read it is sent no more of it, and no more of
//! their items is read: what waits is a group of them and the connection's own buffers. Nothing runs
//! beside it, so it ends with its connection, and what then has no answer may be sent again.

use super::lines::Lines;
use super::{AtPace, GROUP_MAX, Parsed, PublishResult};
use crate::Bridge;
use crate::caller::Caller;
use crate::seats::Seat;
use axum::body::Body;
use axum::http::StatusCode;
use belfry_edge::ApiError;
use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use http_body_util::BodyExt as _;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a stream may go without a whole line: a site with nothing to say for longer does better to
/// come back, and half a line for so long has no other half.
const LINE_TIMEOUT: Duration = Duration::from_secs(60);

/// A stream that goes on.
pub(super) struct Streaming {
    bridge: Bridge,
    caller: Caller,
    _seat: Seat,
    draining: watch::Receiver<bool>,
    body: Body,
    lines: Lines,
    /// Read, and not sent yet.
    items: VecDeque<Parsed>,
    /// What comes after them, once nothing more is read.
    last: Option<Last>,
}

/// How a stream ends.
enum Last {
    /// With the last answer.
    InOrder,
    /// With an answer that no item has got, since it never came whole.
    Refusal(ApiError),
}

/// A piece of the request; nothing at its end.
type Piece = Option<Result<http_body::Frame<Bytes>, axum::Error>>;

/// What a stream waited for.
enum Came {
    Frame(Piece),
    End,
    TooLate,
}

impl Streaming {
    pub(super) fn new(bridge: Bridge, caller: Caller, seat: Seat, body: Body) -> Self {
        let draining = bridge.0.draining.subscribe();
        Self {
            bridge,
            caller,
            _seat: seat,
            draining,
            body,
            lines: Lines::default(),
            items: VecDeque::new(),
            last: None,
        }
    }

    /// The answers as they come.
    pub(super) fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(self, |mut streaming| async move {
            let answers = streaming.answers().await?;
            Some((Ok::<_, Infallible>(answers), streaming))
        }))
    }

    /// The answers to the next items; nothing at the end.
    async fn answers(&mut self) -> Option<Bytes> {
        loop {
            if self.items.is_empty() && self.last.is_none() {
                self.read().await;
            }
            if self.items.is_empty() {
                return match self.last.replace(Last::InOrder) {
                    Some(Last::Refusal(error)) => Some(written([Err(error).into()])),
                    _ => None,
                };
            }
            // An item without an answer was not sent: there is no more time for these.
            if *self.draining.borrow() {
                return None;
            }
            match self.bridge.0.still(&self.caller).await {
                Ok(caller) => self.caller = caller,
                Err(error) => {
                    // Nor would it be another answer for those that follow.
                    self.items.clear();
                    self.last = Some(Last::InOrder);
                    return Some(written([Err(error).into()]));
                }
            }
            let inner = &self.bridge.0;
            let group = inner
                .group(&self.caller, &mut self.items, AtPace::Wait)
                .await;
            if !group.outcomes.is_empty() {
                return Some(written(group.outcomes.into_iter().map(PublishResult::from)));
            }
            if let Some(wait) = group.wait {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = drains(&mut self.draining) => {}
                }
            }
        }
    }

    /// Waits for items, and takes as many as make a group where they are there already.
    async fn read(&mut self) {
        let until = Instant::now() + LINE_TIMEOUT;
        while self.items.is_empty() && self.last.is_none() {
            let came = tokio::select! {
                biased;
                () = drains(&mut self.draining) => Came::End,
                frame = self.body.frame() => Came::Frame(frame),
                () = tokio::time::sleep_until(until) => Came::TooLate,
            };
            match came {
                Came::Frame(frame) => self.take(frame),
                Came::End => self.last = Some(Last::InOrder),
                Came::TooLate => self.last = Some(self.too_late()),
            }
        }
        while self.items.len() < GROUP_MAX && self.last.is_none() {
            // The connection is read by the task that runs this, between two turns of it.
            tokio::task::yield_now().await;
            let Some(frame) = self.body.frame().now_or_never() else {
                break;
            };
            self.take(frame);
        }
    }

    fn take(&mut self, frame: Piece) {
        match frame {
            Some(Ok(frame)) => {
                if let Some(piece) = frame.data_ref() {
                    self.lines.take(piece, &mut self.items);
                }
            }
            Some(Err(_)) => {
                // Whether the line that was begun was whole cannot be known.
                self.last = Some(match self.lines.has_begun() {
                    true => Last::Refusal(ApiError::malformed("item", "the stream broke off")),
                    false => Last::InOrder,
                });
            }
            None => {
                self.items.extend(self.lines.end());
                self.last = Some(Last::InOrder);
            }
        }
    }

    fn too_late(&self) -> Last {
        if !self.lines.has_begun() {
            return Last::InOrder;
        }
        let detail = format!(
            "the end of this line did not come within {} s",
            LINE_TIMEOUT.as_secs()
        );
        let late = ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail);
        Last::Refusal(late.at("item"))
    }
}

/// Resolves when the server is about to stop.
async fn drains(draining: &mut watch::Receiver<bool>) {
    // A sender that is gone says the same.
    let _ = draining.wait_for(|draining| *draining).await;
}

fn written(results: impl IntoIterator<Item = PublishResult>) -> Bytes {
    let mut lines = Vec::new();
    for result in results {
        // Its parts are text and numbers, which have a JSON form.
        if serde_json::to_writer(&mut lines, &result).is_ok() {
            lines.push(b'\n');
        }
    }
    lines.into()
}
