//! `POST /push/{secret}` (RFC 8030 §5) and `DELETE` of what came of it (§7.3).

use crate::headers::Headers;
use crate::limits::{Poster, Sender};
use crate::posting::{Created, Item, in_force};
use crate::prefer::Preferences;
use crate::receipts::PREFERENCE_APPLIED;
use crate::receipts::link::RELATION;
use crate::vapid::{NotProven, SiteKey};
use crate::{Bridge, Inner, unifiedpush};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use belfry_edge::{ApiError, ClientAddress, Path, RateProblem, random, read_body};
use belfry_protocol::body::aes128gcm;
use belfry_protocol::problem::Problem;
use belfry_protocol::push::{BODY_BYTES_MAX, ContentEncoding, Urgency};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::Endpoint;
use belfry_store::mailbox::{Command, Mailbox as _, Message, Outcome, Owner, Receipts, Refusal};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The endpoints and what came of posts to them.
pub(crate) fn router() -> OpenApiRouter<Bridge> {
    OpenApiRouter::new()
        .routes(routes!(push, unifiedpush::discover))
        .routes(routes!(withdraw))
}

/// Sends an encrypted notification (RFC 8030 §5).
///
/// Answers 201 only after the notification is on stable storage.
#[utoipa::path(
    post, path = "/push/{secret}", tag = "Publishing",
    params(
        ("secret" = String, Path, description = "The endpoint that the user gave the site"),
        ("TTL" = u32, Header, format = "delta-seconds", description = "Seconds that it may wait (RFC 8030 §5.2); capped. 0: once, to devices connected now, never stored"),
        ("Content-Encoding" = ContentEncoding, Header, description = "How the body is encrypted: aes128gcm is RFC 8291"),
        ("Urgency" = Option<Urgency>, Header, description = "RFC 8030 §5.3; normal if not given"),
        ("Topic" = Option<String>, Header, description = "Replaces one of the same topic that still waits (RFC 8030 §5.4)", min_length = 1, max_length = 32, pattern = "^[A-Za-z0-9_-]+$"),
        ("Prefer" = Option<String>, Header, description = "`respond-async` (RFC 7240): to hear what becomes of it, where the user allows that"),
        ("Link" = Option<String>, Header, description = "With it, the receipt subscription of an earlier answer, as `<URL>; rel=\"urn:ietf:params:push:receipt\"`; a new one if none is named"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body within a day have the first answer again and cost nothing", min_length = 1, max_length = 64, pattern = "^[!-~]+$"),
    ),
    request_body(content_type = "application/octet-stream", description = "1 to 4096 encrypted bytes, of whatever Content-Type"),
    responses(
        (status = 201, description = "It is on stable storage, or, with TTL: 0, on its way", headers(
            ("Location" = String, description = "The message's URL, for DELETE"),
            ("TTL" = u32, description = "The seconds in force"),
        )),
        (status = 202, description = "It is on stable storage, and what becomes of it is told (RFC 8030 §5.1)", headers(
            ("Location" = String, description = "The message's URL, for DELETE"),
            ("TTL" = u32, description = "The seconds in force"),
            ("Link" = String, description = "The receipt subscription, as `<URL>; rel=\"urn:ietf:params:push:receipt\"`"),
            ("Preference-Applied" = String, description = "`respond-async`"),
        )),
        (status = 400, description = "A malformed header or body, a header given twice, or no such receipt subscription", body = Problem),
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
    let message = message.filter(|message: &Message| message.expires > now);
    let Some(Message { user, seq, .. }) = message else {
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
        let endpoint = self.any_endpoint(secret).await?;
        let answer = self.push_to(&endpoint, request).await;
        if answer.is_err() {
            self.directory.note_post(&endpoint.site, false);
        }
        answer
    }

    async fn push_to(&self, endpoint: &Endpoint, request: Request) -> Result<Response, ApiError> {
        in_force(endpoint)?;
        let now = (self.clock)();
        self.not_banned(endpoint, now)?;
        let (parts, body) = request.into_parts();
        let headers = Headers::read(&parts.headers)?;
        let receipts = self.receipts_asked_for(&parts.headers)?;
        let key = self.prove(endpoint, &parts.headers, now)?;
        let sender = self.post_by(key.as_ref(), endpoint, &parts);
        // Whoever is one too many anyway is refused before the body is read; only a repeat may pass, and
        // which that is the body says.
        if !headers.is_named() {
            self.rates.look(sender, now).map_err(|over| over.error)?;
        }
        let body = read_body(body, BODY_BYTES_MAX, "shorten what you encrypt").await?;
        let item = headers.with(body, receipts);
        item.check()?;
        if let Some(SiteKey(key)) = &key {
            not_reused(&item, key)?;
        }
        let now = (self.clock)();
        // Of the site and the user the mailbox knows it; the body may have been held back.
        if let Some(SiteKey(key)) = &key
            && self.directory.bans().vapid(key, now).is_some()
        {
            return Err(Refusal::Blocked.into());
        }
        let admitted = self.admit(endpoint, &item, sender, now).await?;
        let mut answers = self.send(vec![admitted], now).await;
        let answer = answers.pop();
        let answer = answer.unwrap_or_else(|| Err(ApiError::unavailable()))?;
        if let Some(SiteKey(key)) = &key {
            let restricted = endpoint.application_server_key.as_ref() == Some(key);
            self.directory
                .note_vapid(&endpoint.site, key, restricted, now);
        }
        created(&answer)
    }

    /// Who posts, and by which limits.
    fn post_by(&self, key: Option<&SiteKey>, endpoint: &Endpoint, parts: &Parts) -> Sender {
        let Some(SiteKey(key)) = key else {
            let trusted = &self.settings.trusted_proxies;
            let address = ClientAddress::of(&parts.extensions, &parts.headers, trusted);
            return self.sender(endpoint, Poster::Unproven(address.key()), false);
        };
        // Only where the user gave the endpoint to this key it is known to be the site's.
        let known = endpoint.application_server_key.as_ref() == Some(key);
        let poster = Poster::Proven(*SecretHash::of(key).as_bytes());
        self.sender(endpoint, poster, known)
    }

    /// Where the sender wants to hear what becomes of its post.
    fn receipts_asked_for(&self, headers: &HeaderMap) -> Result<Option<Receipts>, ApiError> {
        let named = self.named_receipts(headers)?;
        if !Preferences::of(headers).respond_async {
            return Ok(None);
        }
        Ok(Some(match named {
            Some(owner) => Receipts::Named(owner),
            None => Receipts::New(Owner::receipts(random()?)),
        }))
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
        let proven = self.proofs.verify(text, &self.audiences, now);
        let key = proven.map_err(|error| match error {
            NotProven::Scheme => unproven(&error.to_string()),
            error => forbidden(error.to_string()),
        })?;
        match restricted {
            Some(only) if *only != key.0 => Err(forbidden(
                "this permission is for another VAPID key".to_owned(),
            )),
            _ if self.directory.bans().vapid(&key.0, now).is_some() => Err(Refusal::Blocked.into()),
            _ => Ok(Some(key)),
        }
    }

    pub(crate) fn not_draining(&self) -> Result<(), ApiError> {
        if *self.draining.borrow() {
            return Err(ApiError::unavailable());
        }
        Ok(())
    }

    pub(crate) async fn command(&self, command: Command) -> Result<Outcome, ApiError> {
        let mut outcomes = self.mailbox.apply(vec![command]).await;
        Ok(outcomes.pop().unwrap_or(Err(Refusal::Unavailable))?)
    }
}

/// 201, with the message URL and the seconds that the message may wait; or 202, with where it is told
/// what becomes of it (RFC 8030 §5.1).
fn created(created: &Created) -> Result<Response, ApiError> {
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| ApiError::unavailable());
    let ttl = HeaderValue::from(created.ttl_secs);
    let headers = [
        (header::LOCATION, value(&created.location)?),
        (HeaderName::from_static("ttl"), ttl),
    ];
    let Some(receipts) = &created.receipts else {
        return Ok((StatusCode::CREATED, headers).into_response());
    };
    let link = format!("<{receipts}>; rel=\"{RELATION}\"");
    let told = [
        (header::LINK, value(&link)?),
        (PREFERENCE_APPLIED, value("respond-async")?),
    ];
    Ok((StatusCode::ACCEPTED, headers, told).into_response())
}

/// Refuses a key that both signs and agrees on keys (RFC 8292 §3.2): who uses one for the other gives
/// it away in each body.
fn not_reused(item: &Item, key: &[u8]) -> Result<(), ApiError> {
    let encrypts = aes128gcm::sender_key(&item.body) == Some(key);
    if item.encoding == ContentEncoding::Aes128gcm && encrypts {
        let detail = "the body's key id is the VAPID key; encrypt with a key pair made for this message alone (RFC 8292 §3.2)";
        return Err(ApiError::malformed("body", detail));
    }
    Ok(())
}
