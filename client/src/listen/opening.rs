//! From the payload of a PUBLISH to a notification that may be shown, or the reason why not.

use super::Received;
use crate::keyring::KeptPermission;
use crate::keys::Unopened;
use crate::recent::Recent;
use crate::state::{KeyFile, StateError};
use belfry_protocol::body::{Content, unrepeatable};
use belfry_protocol::envelope::Notification;
use belfry_protocol::id::{NotificationId, PermissionId};
use belfry_protocol::site::Origin;
use std::collections::HashMap;

/// Notifications remembered to drop repetitions: four full mailboxes.
const RECENT_MAX: usize = 4096;

/// Why a notification is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Hidden {
    /// This device has no keys for the permission.
    #[error("this device has no keys for its permission")]
    NoKeys,
    /// The server names another site than the one that was approved.
    #[error("the server says that it is from another site than was approved")]
    OtherSite,
    /// The body was delivered before, under another id: somebody repeats it.
    #[error("a repetition of an earlier message")]
    Repeated,
    /// The body is not what it should be, or not for these keys.
    #[error(transparent)]
    Unopened(#[from] Unopened),
    /// The body is not base64url.
    #[error("its body is not base64url")]
    Encoding,
}

/// How many notifications went which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Opened and given to the program.
    pub opened: u64,
    /// Delivered once more by the server, and dropped.
    pub redelivered: u64,
    /// Hidden, for whatever reason.
    pub hidden: u64,
    /// Payloads that are no notification at all.
    pub malformed: u64,
}

pub(super) enum Opened {
    Notification(Box<Received>),
    Hidden {
        id: NotificationId,
        permission: PermissionId,
        reason: Hidden,
    },
    Ignored,
}

pub(super) struct Opener {
    file: KeyFile,
    permissions: HashMap<PermissionId, KeptPermission>,
    ids: Recent<NotificationId>,
    /// Salts and nonces of what was opened.
    used: Recent<(PermissionId, Vec<u8>)>,
    counts: Counts,
}

impl Opener {
    pub(super) fn new(file: KeyFile) -> Result<Self, StateError> {
        Ok(Self {
            permissions: file.permissions()?,
            file,
            ids: Recent::new(RECENT_MAX),
            used: Recent::new(RECENT_MAX),
            counts: Counts::default(),
        })
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether a notification's permission is one that the local copy does not have either. It is
    /// then worth a look at the server's keyring before it is opened.
    pub(super) fn is_unknown(&mut self, payload: &[u8]) -> bool {
        let Ok(envelope) = serde_json::from_slice::<Notification>(payload) else {
            return false;
        };
        if self.permissions.contains_key(&envelope.permission) {
            return false;
        }
        self.read_again();
        !self.permissions.contains_key(&envelope.permission)
    }

    /// Takes what the local copy has now. A file that cannot be read changes nothing: what was known
    /// before stays in use.
    pub(super) fn read_again(&mut self) {
        if let Ok(permissions) = self.file.permissions() {
            self.permissions = permissions;
        }
    }

    pub(super) fn open(&mut self, payload: &[u8]) -> Opened {
        let Ok(envelope) = serde_json::from_slice::<Notification>(payload) else {
            self.counts.malformed += 1;
            return Opened::Ignored;
        };
        if !self.ids.insert(envelope.id) {
            self.counts.redelivered += 1;
            return Opened::Ignored;
        }
        match self.content(&envelope) {
            Ok((site, content)) => {
                self.counts.opened += 1;
                Opened::Notification(Box::new(Received {
                    envelope,
                    site,
                    content,
                }))
            }
            Err(reason) => {
                self.counts.hidden += 1;
                Opened::Hidden {
                    id: envelope.id,
                    permission: envelope.permission,
                    reason,
                }
            }
        }
    }

    fn content(&mut self, envelope: &Notification) -> Result<(Origin, Content), Hidden> {
        let body = envelope.body_bytes().map_err(|_| Hidden::Encoding)?;
        let kept = self
            .permissions
            .get(&envelope.permission)
            .ok_or(Hidden::NoKeys)?;
        if kept.site != envelope.site {
            return Err(Hidden::OtherSite);
        }
        let plaintext = kept
            .keys
            .open(envelope.encoding, &body, kept.site_key.as_ref())?;
        // Only after it opened, so that a forged body cannot use up a nonce.
        let nonce = unrepeatable(envelope.encoding, &body).unwrap_or_default();
        if !self.used.insert((envelope.permission, nonce.to_vec())) {
            return Err(Hidden::Repeated);
        }
        Ok((kept.site.clone(), Content::from_plaintext(&plaintext)))
    }
}
