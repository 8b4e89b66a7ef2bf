//! Which keyring of the server's a device takes, and which wrap: pure decisions on what the server
//! could have made up.

use super::{Keyring, KeyringKey, KeyringProblem};
use crate::keys::{BoxPublicKey, BoxSecretKey};
use crate::link::{Answer, Request};
use crate::recovery::{Phrase, RecoveryProblem};
use crate::wrap::{self, WrapProblem};
use belfry_protocol::id::UserId;

/// Why what the server serves is not taken. Nothing is uploaded then, and the local copy stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no keyring, or does not open.
    #[error(transparent)]
    Keyring(#[from] KeyringProblem),
    /// It names another user.
    #[error("the keyring is another account's")]
    OtherUser,
    /// It names another epoch than that of the key which opened it.
    #[error("the keyring names another epoch than its key's")]
    OtherEpoch,
    /// It is older than what this device has.
    #[error("the server serves an old keyring (generation {theirs}; this device has {ours})")]
    Older {
        /// The local copy's generation.
        ours: u64,
        /// The generation of what came.
        theirs: u64,
    },
    /// There is a new keyring key, and its wrap is not good.
    #[error("the keyring does not open with this device's key, and the new key is refused: {0}")]
    Wrap(#[from] WrapProblem),
    /// The wrap is from a key that is no trusted device's.
    #[error("the new keyring key is from a device that this one does not trust")]
    UnknownSender,
    /// The wrap is another account's.
    #[error("the new keyring key is another account's")]
    WrapOfOtherUser,
    /// The wrap is of an epoch that this device has or had.
    #[error("the keyring key that the server offers is an old one")]
    WrapOfOldEpoch,
    /// The answer at linking names another account or another new device.
    #[error("the answer is for another device or account")]
    AnswerForOther,
    /// The keyring does not have both devices of the linking.
    #[error("the keyring that the server serves does not have this device in its list")]
    NotListed,
    /// The wrap for recovery is not good.
    #[error(transparent)]
    Recovery(#[from] RecoveryProblem),
}

impl Refused {
    /// A short stable word, for programs and the shared vectors.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Keyring(KeyringProblem::TooLarge) => "too-large",
            Self::Keyring(KeyringProblem::Malformed(_)) => "malformed",
            Self::Keyring(KeyringProblem::NotOpening) => "does-not-open",
            Self::OtherUser => "other-user",
            Self::OtherEpoch => "other-epoch",
            Self::Older { .. } => "older",
            Self::Wrap(WrapProblem::Malformed) => "wrap-malformed",
            Self::Wrap(WrapProblem::NotOpening) => "wrap-does-not-open",
            Self::UnknownSender => "wrap-unknown-sender",
            Self::WrapOfOtherUser => "wrap-other-user",
            Self::WrapOfOldEpoch => "wrap-old-epoch",
            Self::AnswerForOther => "answer-for-other",
            Self::NotListed => "not-listed",
            Self::Recovery(RecoveryProblem::Wrap(WrapProblem::Malformed)) => "wrap-malformed",
            Self::Recovery(RecoveryProblem::Wrap(WrapProblem::NotOpening)) => "wrap-does-not-open",
            Self::Recovery(RecoveryProblem::Proof) => "wrap-without-proof",
            Self::Recovery(RecoveryProblem::OtherUser) => "wrap-other-user",
        }
    }
}

/// Opens what the server serves and judges it against the local copy and its key. `wrap` is the one
/// that the server has for this device; it is looked at only if the local key does not open.
/// Gives the keyring and the key that opened it.
///
/// # Errors
/// See [`Refused`].
pub fn take(
    local: &Keyring,
    local_key: &KeyringKey,
    device: &BoxSecretKey,
    sealed: &[u8],
    wrap: Option<&[u8]>,
) -> Result<(Keyring, KeyringKey), Refused> {
    let (opened, key, epoch) = match (Keyring::open(sealed, local_key), wrap) {
        (Err(KeyringProblem::NotOpening), Some(wrap)) => {
            let (key, epoch) = take_wrap(local, device, wrap)?;
            (Keyring::open(sealed, &key)?, key, epoch)
        }
        (opened, _) => (opened?, local_key.clone(), local.epoch),
    };
    check(&opened, local.user, epoch, local.generation)?;
    Ok((opened, key))
}

/// What a new device takes after the answer at linking: a wrap from the key in the answer alone, and
/// a keyring that is not older than the answer and has both devices.
///
/// # Errors
/// See [`Refused`].
pub fn take_linked(
    request: &Request,
    device: &BoxSecretKey,
    answer: &Answer,
    wrap: &[u8],
    sealed: &[u8],
) -> Result<(Keyring, KeyringKey), Refused> {
    if answer.user != request.user || answer.recipient != device.public() {
        return Err(Refused::AnswerForOther);
    }
    let (sender, payload) = wrap::open(wrap, device)?;
    if sender != answer.key {
        return Err(Refused::UnknownSender);
    }
    if payload.user != request.user {
        return Err(Refused::WrapOfOtherUser);
    }
    if payload.epoch < answer.epoch {
        return Err(Refused::WrapOfOldEpoch);
    }
    let opened = Keyring::open(sealed, &payload.key)?;
    check(&opened, request.user, payload.epoch, answer.generation)?;
    let has = |id, key: &BoxPublicKey| {
        let mut devices = opened.devices();
        devices.any(|device| device.id == id && device.key == *key)
    };
    if !has(request.device, &device.public()) || !has(answer.device, &answer.key) {
        return Err(Refused::NotListed);
    }
    Ok((opened, payload.key))
}

/// What a device takes that has the recovery phrase and nothing else: a keyring that is not older
/// than the wrap, which somebody made who knows the phrase's proof.
///
/// # Errors
/// See [`Refused`].
pub fn take_recovered(
    phrase: &Phrase,
    user: UserId,
    wrap: &[u8],
    sealed: &[u8],
) -> Result<(Keyring, KeyringKey), Refused> {
    let (_, payload) = phrase.open(wrap, user)?;
    let opened = Keyring::open(sealed, &payload.key)?;
    check(&opened, user, payload.epoch, payload.generation)?;
    Ok((opened, payload.key))
}

fn check(opened: &Keyring, user: UserId, epoch: u64, generation: u64) -> Result<(), Refused> {
    if opened.user != user {
        return Err(Refused::OtherUser);
    }
    if opened.epoch != epoch {
        return Err(Refused::OtherEpoch);
    }
    if opened.generation < generation {
        return Err(Refused::Older {
            ours: generation,
            theirs: opened.generation,
        });
    }
    Ok(())
}

/// The keyring key of a wrap that this device accepts, with its epoch: from itself or from a device
/// that its local copy trusts, for its own account, of a later epoch.
fn take_wrap(
    local: &Keyring,
    device: &BoxSecretKey,
    wrap: &[u8],
) -> Result<(KeyringKey, u64), Refused> {
    let (sender, payload) = wrap::open(wrap, device)?;
    if sender != device.public() && !local.trusts(&sender) {
        return Err(Refused::UnknownSender);
    }
    if payload.user != local.user {
        return Err(Refused::WrapOfOtherUser);
    }
    if payload.epoch <= local.epoch {
        return Err(Refused::WrapOfOldEpoch);
    }
    Ok((payload.key, payload.epoch))
}
