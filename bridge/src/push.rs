//! `POST /push/{secret}` (RFC 8030 §5) and `DELETE` of what came of it (§7.3).

use crate::headers::Headers;
use crate::limits::{Poster, Sender};
use crate::message::MessageRef;
use crate::under_way::Turn;
use crate::vapid::{self, NotProven, SiteKey};
use crate::{Bridge, Inner, unifiedpush};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use belfry_edge::{ApiError, ClientAddress, Path, RateProblem, read_body};
use belfry_protocol::body::{aes128gcm, check_structure};
use belfry_protocol::envelope::Envelope;
use belfry_protocol::id::{NotificationId, UserId};
use belfry_protocol::problem::Problem;
use belfry_protocol::push::{BODY_BYTES_MAX, ContentEncoding, Urgency};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Endpoint, PermissionState};
use belfry_store::mailbox::command::Idempotency;
use belfry_store::mailbox::{Accept, Accepted, Command, Mailbox as _, Outcome, Refusal};
use std::sync::atomic::Ordering;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of the bridge.
pub fn router(bridge: Bridge) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(push, unifiedpush::discover))
        .routes(routes!(withdraw))
        .with_state(bridge)
}

/// Sends an encrypted notification (RFC 8030 §5).
///
/// Answers 201 only after the notification is on stable storage.
#[utoipa::path(
    post, path = "/push/{secret}", tag = "Publishing",
    params(
        ("secret" = String, Path, description = "The endpoint that the user gave the site"),
        ("TTL" = u32, Header, description = "Seconds that it may wait (RFC 8030 §5.2); capped. 0: once, to devices connected now, never stored"),
        ("Content-Encoding" = ContentEncoding, Header, description = "How the body is encrypted: aes128gcm is RFC 8291"),
        ("Urgency" = Option<Urgency>, Header, description = "RFC 8030 §5.3; normal if not given"),
        ("Topic" = Option<String>, Header, description = "Replaces one of the same topic that still waits (RFC 8030 §5.4)", min_length = 1, max_length = 32, pattern = "^[A-Za-z0-9_-]+$"),
        ("Authorization" = Option<String>, Header, description = "`vapid t=…, k=…` (RFC 8292): required by some endpoints, verified wherever it stands"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body within a day have the first answer again and cost nothing", min_length = 1, max_length = 64, pattern = "^[!-~]+$"),
    ),
    request_body(content_type = "application/octet-stream", description = "1 to 4096 encrypted bytes, of whatever Content-Type"),
    responses(
        (status = 201, description = "It is on stable storage, or, with TTL: 0, on its way", headers(
            ("Location" = String, description = "The message's URL, for DELETE"),
            ("TTL" = u32, description = "The seconds in force"),
        )),
        (status = 400, description = "A malformed header or body, or a header given twice", body = Problem),
        (status = 401, description = "The endpoint asks for VAPID, or Authorization is something else", body = Problem),
        (status = 403, description = "The token does not prove the right key, or the site is blocked", body = Problem),
        (status = 404, description = "No such endpoint: drop the subscription", body = Problem),
        (status = 405, description = "Endpoints take POST, and GET for UnifiedPush", body = Problem, headers(("Allow" = String))),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 410, description = "The user revoked it: drop the subscription", body = Problem),
        (status = 413, description = "More than 4096 bytes", body = Problem),
        (status = 415, description = "Not one of the two encodings", body = Problem),
        (status = 422, description = "The idempotency key had another body", body = Problem),
        (status = 429, description = "Over a rate", body = RateProblem, headers(
            ("Retry-After" = u64, description = "Seconds until the next may come"),
        )),
        (status = 503, description = "It cannot be stored now; nothing was", body = Problem, headers(
            ("Retry-After" = u64, description = "Seconds to wait"),
        )),
    ),
    security((), ("vapid" = [])),
)]
async fn push(
    State(bridge): State<Bridge>,
    secret: Result<Path<String>, ApiError>,
    request: Request,
) -> Result<Response, ApiError> {
    // What is no text is as unknown as any other, and answered alike.
    let secret = secret.map_or_else(|_| String::new(), |Path(secret)| secret);
    let answer = bridge.0.push(&secret, request).await;
    if let Err(error) = &answer {
        metrics::counter!("belfry_refused_total", "reason" => error.kind().to_owned()).increment(1);
    }
    answer
}

/// Takes a notification back from every device that does not have it yet (RFC 8030 §7.3).
#[utoipa::path(
    delete, path = "/push/message/{message}", tag = "Publishing",
    params(("message" = String, Path, description = "The last part of the message URL")),
    responses(
        (status = 204, description = "Withdrawn, whether or not it was delivered; again and again until it expires"),
        (status = 404, description = "No such message, one with TTL: 0, or one that has expired", body = Problem),
        (status = 405, description = "Message URLs take DELETE alone", body = Problem, headers(("Allow" = String))),
        (status = 503, description = "Not now", body = Problem, headers(
            ("Retry-After" = u64, description = "Seconds to wait"),
        )),
    ),
    security(()),
)]
async fn withdraw(
    State(bridge): State<Bridge>,
    message: Result<Path<String>, ApiError>,
) -> Result<StatusCode, ApiError> {
    bridge.0.not_draining()?;
    let now = (bridge.0.clock)();
    let message = message.ok();
    let message = message.and_then(|Path(message)| bridge.0.sealing.open(&message));
    let message = message.filter(|message| message.expires > now);
    let Some(MessageRef { user, seq, .. }) = message else {
        return Err(ApiError::not_found(
            "there is no such message, or it has expired",
        ));
    };
    bridge.0.command(Command::Withdraw { user, seq }).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Inner {
    async fn push(&self, secret: &str, request: Request) -> Result<Response, ApiError> {
        self.not_draining()?;
        let endpoint = self.endpoint(secret).await?;
        let (parts, body) = request.into_parts();
        let headers = Headers::read(&parts.headers)?;
        let body = read_body(body, BODY_BYTES_MAX, "shorten what you encrypt").await?;
        if body.is_empty() {
            return Err(ApiError::malformed(
                "body",
                "the body is empty; send the encrypted notification",
            ));
        }
        check_structure(headers.encoding, &body)
            .map_err(|problem| ApiError::malformed("body", problem.to_string()))?;
        let now = (self.clock)();
        let poster = match self.prove(&endpoint, &parts.headers, now)? {
            Some(SiteKey(key)) => {
                not_reused(headers.encoding, &body, &key)?;
                Poster::Proven(*SecretHash::of(&key).as_bytes())
            }
            None => {
                let trusted = &self.settings.trusted_proxies;
                Poster::Unproven(
                    ClientAddress::of(&parts.extensions, &parts.headers, trusted).key(),
                )
            }
        };
        let ttl = headers.ttl.capped(self.settings.ttl_max);
        let idempotency = headers.idempotency.as_ref().map(|key| Idempotency {
            key: *SecretHash::of(key.as_str().as_bytes()).as_bytes(),
            digest: *SecretHash::of(&body).as_bytes(),
        });
        let (user, permission) = (endpoint.user, endpoint.permission);
        let sender = Sender {
            user,
            permission,
            poster,
        };
        let turn = self.turn(sender, idempotency, now).await?;
        let envelope = Envelope {
            id: NotificationId::from_bytes(random()?),
            permission,
            site: endpoint.site,
            sent: now,
            expires: now.plus(ttl.as_duration()),
            urgency: headers.urgency,
            collapse: headers.collapse,
            encoding: headers.encoding,
            body,
        };
        let accept = Accept {
            user,
            envelope,
            idempotency,
        };
        match self.command(Command::Accept(Box::new(accept))).await? {
            Outcome::Accepted(accepted) => {
                // Of posts with one name the mailbox takes the one that reaches it first, whichever
                // was counted.
                match (&turn, accepted.repeated) {
                    (Turn::Counted(_), true) => self.rates.refund(sender, now),
                    (Turn::Repeat, false) => self.rates.charge(sender, now),
                    (Turn::Counted(_), false) | (Turn::Repeat, true) => {}
                }
                if !accepted.repeated {
                    metrics::counter!("belfry_accepted_total").increment(1);
                    self.directory.note_use(user, permission, now);
                }
                self.created(user, &accepted)
            }
            _ => Err(ApiError::unavailable()),
        }
    }

    /// Counts a post that repeats no other.
    async fn turn(
        &self,
        sender: Sender,
        idempotency: Option<Idempotency>,
        now: Timestamp,
    ) -> Result<Turn<'_>, ApiError> {
        let count = || self.rates.count(sender, now);
        let Some(idempotency) = idempotency else {
            return count().map(|()| Turn::Counted(None));
        };
        if self.remembers(sender, idempotency).await? {
            return Ok(Turn::Repeat);
        }
        let name = (sender.permission, idempotency.key);
        match self.under_way.enter(name, count) {
            Ok(turn) => Ok(turn),
            // The first may have been answered between the two looks.
            Err(_) if self.remembers(sender, idempotency).await? => Ok(Turn::Repeat),
            Err(over) => Err(over),
        }
    }

    /// Whether a post of this name was accepted before; with which body, and whether it would be
    /// today, the mailbox says when it is asked to accept this one.
    async fn remembers(&self, sender: Sender, idempotency: Idempotency) -> Result<bool, ApiError> {
        let Sender {
            user, permission, ..
        } = sender;
        match self.mailbox.idempotent(user, permission, idempotency).await {
            Ok(first) => Ok(first.is_some()),
            Err(Refusal::IdempotencyMismatch) => Ok(true),
            Err(other) => Err(other.into()),
        }
    }

    async fn endpoint(&self, secret: &str) -> Result<Endpoint, ApiError> {
        let endpoint = self
            .directory
            .endpoint(SecretHash::of(secret.as_bytes()))
            .await?
            .ok_or_else(no_endpoint)?;
        match endpoint.state {
            PermissionState::Allowed | PermissionState::Muted => Ok(endpoint),
            PermissionState::Revoked => Err(Refusal::Revoked.into()),
        }
    }

    /// The key that the sender proves, where it proves one.
    fn prove(
        &self,
        endpoint: &Endpoint,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Option<SiteKey>, ApiError> {
        let restricted = endpoint.application_server_key.as_ref();
        let unproven = |detail: &str| {
            ApiError::new(StatusCode::UNAUTHORIZED, "vapid", detail)
                .at("Authorization")
                .asking_for("vapid")
        };
        let forbidden = |detail: String| {
            ApiError::new(StatusCode::FORBIDDEN, "vapid", detail).at("Authorization")
        };
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = match (values.next(), values.next()) {
            (None, _) if restricted.is_none() => return Ok(None),
            (None, _) => {
                let detail = "this permission takes posts of one VAPID key alone (RFC 8292 §4)";
                return Err(unproven(detail));
            }
            (Some(only), None) => only,
            (Some(_), Some(_)) => {
                let detail = "Authorization stands there more than once";
                return Err(ApiError::malformed("Authorization", detail));
            }
        };
        let text = value.to_str().unwrap_or_default();
        let key = vapid::verify(text, &self.audiences, now).map_err(|error| match error {
            NotProven::Scheme => unproven(&error.to_string()),
            error => forbidden(error.to_string()),
        })?;
        match restricted {
            Some(only) if *only != key.0 => Err(forbidden(
                "this permission is for another VAPID key".to_owned(),
            )),
            _ => Ok(Some(key)),
        }
    }

    /// 201, with the message URL and the seconds that the message may wait.
    fn created(&self, user: UserId, accepted: &Accepted) -> Result<Response, ApiError> {
        let url = self.sealing.url_of(user, accepted);
        let url = url.ok_or_else(ApiError::unavailable)?;
        let location = format!("{}/push/message/{url}", self.settings.public_url);
        let location = HeaderValue::from_str(&location).map_err(|_| ApiError::unavailable())?;
        let ttl = accepted.expires.since(accepted.sent).as_secs();
        let headers = [
            (header::LOCATION, location),
            (HeaderName::from_static("ttl"), HeaderValue::from(ttl)),
        ];
        Ok((StatusCode::CREATED, headers).into_response())
    }

    fn not_draining(&self) -> Result<(), ApiError> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(ApiError::unavailable());
        }
        Ok(())
    }

    async fn command(&self, command: Command) -> Result<Outcome, ApiError> {
        let mut outcomes = self.mailbox.apply(vec![command]).await;
        Ok(outcomes.pop().unwrap_or(Err(Refusal::Unavailable))?)
    }
}

/// Refuses a key that both signs and agrees on keys (RFC 8292 §3.2): who uses one for the other gives
/// it away in each body.
fn not_reused(encoding: ContentEncoding, body: &[u8], key: &[u8]) -> Result<(), ApiError> {
    if encoding == ContentEncoding::Aes128gcm && aes128gcm::sender_key(body) == Some(key) {
        let detail = "the body's key id is the VAPID key; encrypt with a key pair made for this message alone (RFC 8292 §3.2)";
        return Err(ApiError::malformed("body", detail));
    }
    Ok(())
}

fn no_endpoint() -> ApiError {
    ApiError::not_found("there is no such endpoint; drop the subscription")
}

fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| ApiError::unavailable())?;
    Ok(bytes)
}
