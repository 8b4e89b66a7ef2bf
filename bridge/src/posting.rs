//! What becomes of a notification that a site wants sent, however it came: as a post of its own or as
//! one item of many. The rules are here once; who may send it has been settled before.

use crate::Inner;
use crate::limits::{Over, Poster, Sender};
use crate::under_way::Turn;
use belfry_acl::limit::Name;
use belfry_edge::{ApiError, random};
use belfry_protocol::body::check_structure;
use belfry_protocol::envelope::Envelope;
use belfry_protocol::id::NotificationId;
use belfry_protocol::push::{
    BODY_BYTES_MAX, CollapseKey, ContentEncoding, IdempotencyKey, Ttl, Urgency,
};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{Endpoint, PermissionState};
use belfry_store::mailbox::command::Idempotency;
use belfry_store::mailbox::{Accept, Command, Mailbox as _, Outcome, Receipts, Refusal};
use bytes::Bytes;
use std::time::Duration;

/// A notification as its site wants it sent, each part well-formed by itself.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) ttl: Ttl,
    pub(crate) urgency: Urgency,
    pub(crate) collapse: Option<CollapseKey>,
    pub(crate) idempotency: Option<IdempotencyKey>,
    pub(crate) encoding: ContentEncoding,
    pub(crate) body: Bytes,
    /// Where its site wants to hear what becomes of it.
    pub(crate) receipts: Option<Receipts>,
}

/// One that may be sent, and was counted.
pub(crate) struct Admitted<'a> {
    sender: Sender,
    turn: Turn<'a>,
    accept: Accept,
}

/// Why one may not be sent now.
pub(crate) enum NotAdmitted {
    /// It is one too many.
    Over(Over),
    /// Whatever else.
    Refused(ApiError),
}

/// What its site is told of one that was accepted.
#[derive(Debug)]
pub(crate) struct Created {
    /// The message URL.
    pub(crate) location: String,
    /// The seconds in force.
    pub(crate) ttl_secs: u64,
    /// The receipt subscription in which it is told what becomes of it, where it is.
    pub(crate) receipts: Option<String>,
}

impl Item {
    /// Whether the body can be what the encoding says.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        if self.body.is_empty() {
            return Err(ApiError::malformed(
                "body",
                "the body is empty; send the encrypted notification",
            ));
        }
        if self.body.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        check_structure(self.encoding, &self.body)
            .map_err(|problem| ApiError::malformed("body", problem.to_string()))
    }

    fn idempotency(&self) -> Option<Idempotency> {
        self.idempotency.as_ref().map(|key| Idempotency {
            key: *SecretHash::of(key.as_str().as_bytes()).as_bytes(),
            digest: *SecretHash::of(&self.body).as_bytes(),
        })
    }
}

impl From<NotAdmitted> for ApiError {
    fn from(not: NotAdmitted) -> Self {
        match not {
            NotAdmitted::Over(over) => over.error,
            NotAdmitted::Refused(error) => error,
        }
    }
}

impl From<ApiError> for NotAdmitted {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl Inner {
    /// The endpoint with this secret, where it is in force.
    pub(crate) async fn endpoint(&self, secret: &str) -> Result<Endpoint, ApiError> {
        let endpoint = self.any_endpoint(secret).await?;
        in_force(&endpoint)?;
        Ok(endpoint)
    }

    /// The endpoint with this secret.
    pub(crate) async fn any_endpoint(&self, secret: &str) -> Result<Endpoint, ApiError> {
        let hash = SecretHash::of(secret.as_bytes());
        let endpoint = self.directory.endpoint(hash).await?;
        endpoint.ok_or_else(no_endpoint)
    }

    /// Refuses where the site, the key that alone may post, or the user is kept out: which of them is not
    /// said, since whose mailbox it is is nobody's to know.
    pub(crate) fn not_banned(&self, endpoint: &Endpoint, now: Timestamp) -> Result<(), ApiError> {
        let bans = self.directory.bans();
        let only = endpoint.application_server_key.as_ref();
        let banned = bans.site(&endpoint.site, now).is_some()
            || bans.user(endpoint.user, now).is_some()
            || only.is_some_and(|key| bans.vapid(key, now).is_some());
        if banned {
            return Err(Refusal::Blocked.into());
        }
        Ok(())
    }

    /// Who posts, by the limits in force. `known` says that the poster is proven to be the endpoint's site.
    pub(crate) fn sender(&self, endpoint: &Endpoint, poster: Poster, known: bool) -> Sender {
        let (user, permission) = (endpoint.user, endpoint.permission);
        let limits = self.directory.limits();
        let limits = self
            .settings
            .limits
            .in_force(&limits, &endpoint.site, user, known);
        Sender {
            user,
            permission,
            poster,
            limits,
        }
    }

    /// The longest TTL now.
    pub(crate) fn ttl_max(&self) -> Duration {
        let limits = self.directory.limits();
        let configured = self.settings.ttl_max.as_secs();
        Duration::from_secs(limits.for_all(Name::TtlMax, configured))
    }

    /// Counts an item that repeats no other, and makes what is asked of the mailbox.
    pub(crate) async fn admit(
        &self,
        endpoint: &Endpoint,
        item: &Item,
        sender: Sender,
        now: Timestamp,
    ) -> Result<Admitted<'_>, NotAdmitted> {
        let (user, permission) = (endpoint.user, endpoint.permission);
        let idempotency = item.idempotency();
        let turn = self.turn(sender, idempotency, now).await?;
        let ttl = item.ttl.capped(self.ttl_max());
        let envelope = Envelope {
            id: NotificationId::from_bytes(random()?),
            permission,
            site: endpoint.site.clone(),
            sent: now,
            expires: now.plus(ttl.as_duration()),
            urgency: item.urgency,
            collapse: item.collapse.clone(),
            encoding: item.encoding,
            body: item.body.clone(),
        };
        Ok(Admitted {
            sender,
            turn,
            accept: Accept {
                user,
                envelope,
                idempotency,
                receipts: item.receipts,
            },
        })
    }

    /// Sends what was admitted, in its order; each answer comes after all are on stable storage.
    pub(crate) async fn send(
        &self,
        admitted: Vec<Admitted<'_>>,
        now: Timestamp,
    ) -> Vec<Result<Created, ApiError>> {
        let mut counted = Vec::with_capacity(admitted.len());
        let mut commands = Vec::with_capacity(admitted.len());
        for Admitted {
            sender,
            turn,
            accept,
        } in admitted
        {
            counted.push((sender, turn, accept.envelope.site.clone()));
            commands.push(Command::Accept(Box::new(accept)));
        }
        let mut outcomes = self.mailbox.apply(commands).await;
        outcomes.resize_with(counted.len(), || Err(Refusal::Unavailable));
        let answers = counted.into_iter().zip(outcomes);
        answers
            .map(|((sender, turn, site), outcome)| self.settle(sender, &turn, &site, outcome, now))
            .collect()
    }

    fn settle(
        &self,
        sender: Sender,
        turn: &Turn<'_>,
        site: &Origin,
        outcome: Result<Outcome, Refusal>,
        now: Timestamp,
    ) -> Result<Created, ApiError> {
        let Outcome::Accepted(accepted) = outcome? else {
            return Err(ApiError::unavailable());
        };
        // Of posts with one name the mailbox takes the one that reaches it first, whichever was
        // counted.
        match (turn, accepted.repeated) {
            (Turn::Counted(_), true) => self.rates.refund(sender, now),
            (Turn::Repeat, false) => self.rates.charge(sender, now),
            (Turn::Counted(_), false) | (Turn::Repeat, true) => {}
        }
        if !accepted.repeated {
            metrics::counter!("belfry_accepted_total").increment(1);
            self.directory
                .note_use(sender.user, sender.permission, site, now);
            self.directory.note_post(site, true);
        }
        let url = self.sealing.url_of(sender.user, &accepted);
        let url = url.ok_or_else(ApiError::unavailable)?;
        let receipts = accepted.receipts.map(|owner| self.receipts_url(owner));
        Ok(Created {
            location: format!("{}/push/message/{url}", self.settings.public_url),
            ttl_secs: accepted.expires.since(accepted.sent).as_secs(),
            receipts: receipts.transpose()?,
        })
    }

    /// Counts a post that repeats no other.
    async fn turn(
        &self,
        sender: Sender,
        idempotency: Option<Idempotency>,
        now: Timestamp,
    ) -> Result<Turn<'_>, NotAdmitted> {
        let count = || self.rates.count(sender, now);
        let Some(idempotency) = idempotency else {
            return match count() {
                Ok(()) => Ok(Turn::Counted(None)),
                Err(over) => Err(NotAdmitted::Over(over)),
            };
        };
        if self.remembers(sender, idempotency).await? {
            return Ok(Turn::Repeat);
        }
        let name = (sender.permission, idempotency.key);
        match self.under_way.enter(name, count) {
            Ok(turn) => Ok(turn),
            // The first may have been answered between the two looks.
            Err(_) if self.remembers(sender, idempotency).await? => Ok(Turn::Repeat),
            Err(over) => Err(NotAdmitted::Over(over)),
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
}

/// Refuses one that was revoked.
pub(crate) fn in_force(endpoint: &Endpoint) -> Result<(), ApiError> {
    match endpoint.state {
        PermissionState::Allowed | PermissionState::Muted => Ok(()),
        PermissionState::Revoked => Err(Refusal::Revoked.into()),
    }
}

pub(crate) fn no_endpoint() -> ApiError {
    ApiError::not_found("there is no such endpoint; drop the subscription")
}

/// As [`belfry_edge::read_body`] says it of a body that is a request's.
fn too_large() -> ApiError {
    let detail = format!("the body is more than {BODY_BYTES_MAX} bytes; shorten what you encrypt");
    let status = axum::http::StatusCode::PAYLOAD_TOO_LARGE;
    ApiError::new(status, "too-large", detail).at("body")
}
