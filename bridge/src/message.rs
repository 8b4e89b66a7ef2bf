//! Message URLs: (user, seq, expiry) sealed under a key of the server, so that withdrawing needs no
//! table and the URL tells a site nothing. The URLs of receipt subscriptions are sealed likewise.

use aes_gcm_siv::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_protocol::id::UserId;
use belfry_protocol::time::Timestamp;
use belfry_store::mailbox::{Accepted, Message, Owner, Seq};

/// Keeps receipt subscriptions apart from messages, which are sealed with nothing beside them.
const RECEIPTS: &[u8] = b"receipts";
const RECEIPTS_CHARS: usize = 43;

/// The key of all message URLs. Losing it only ends withdrawing what was posted before.
pub struct SealingKey(Aes256GcmSiv);

impl SealingKey {
    /// From 32 random bytes that the directory keeps.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Aes256GcmSiv::new(&key.into()))
    }

    /// What follows `/push/message/` for what was accepted. A `TTL: 0` message cannot be withdrawn:
    /// its URL stands for nothing, and is made of its id, since a (user, 0, time) would be the same
    /// for two endpoints of one user and link them.
    pub(crate) fn url_of(&self, user: UserId, accepted: &Accepted) -> Option<String> {
        let user = match accepted.seq {
            Seq(0) => UserId::from_bytes(*accepted.id.as_bytes()),
            _ => user,
        };
        self.seal(Message {
            user,
            seq: accepted.seq,
            expires: accepted.expires,
        })
    }

    /// 64 characters: user (16 bytes), seq (8), expiry (8) and the tag (16), in base64url. The nonce is
    /// fixed: what is sealed is never the same twice, and with a synthetic IV (RFC 8452) a repetition
    /// would show only that it is one.
    pub(crate) fn seal(&self, message: Message) -> Option<String> {
        let mut plain = [0; 32];
        plain[..16].copy_from_slice(message.user.as_bytes());
        plain[16..24].copy_from_slice(&message.seq.0.to_be_bytes());
        plain[24..].copy_from_slice(&message.expires.as_millis().to_be_bytes());
        let sealed = self.0.encrypt(&Nonce::default(), &plain[..]).ok()?;
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// `None` for whatever this key did not seal.
    pub(crate) fn open(&self, text: &str) -> Option<Message> {
        if text.len() != 64 {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let plain: [u8; 32] = self
            .0
            .decrypt(&Nonce::default(), &sealed[..])
            .ok()?
            .try_into()
            .ok()?;
        let (user, rest) = plain.split_at(16);
        let (seq, expires) = rest.split_at(8);
        Some(Message {
            user: UserId::try_from(user).ok()?,
            seq: Seq(u64::from_be_bytes(seq.try_into().ok()?)),
            expires: Timestamp::from_millis(u64::from_be_bytes(expires.try_into().ok()?)),
        })
    }
}

impl SealingKey {
    /// What follows `/push/receipts/` for a receipt subscription: 43 characters, its 16 bytes and the
    /// tag. Whoever knows the 16 bytes and not the key knows no URL; and whoever has the key can say a
    /// URL again, which an idempotent repeat asks for and a hash would not allow.
    pub(crate) fn receipts_url(&self, owner: Owner) -> Option<String> {
        let plain = Payload {
            msg: owner.as_bytes(),
            aad: RECEIPTS,
        };
        let sealed = self.0.encrypt(&Nonce::default(), plain).ok()?;
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// `None` for whatever this key did not seal.
    pub(crate) fn receipts(&self, text: &str) -> Option<Owner> {
        if text.len() != RECEIPTS_CHARS {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let sealed = Payload {
            msg: &sealed,
            aad: RECEIPTS,
        };
        let plain = self.0.decrypt(&Nonce::default(), sealed).ok()?;
        let owner = Owner::from_bytes(plain.try_into().ok()?);
        Some(owner).filter(|owner| !owner.is_site())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_opens_under_its_key_alone_and_only_whole() {
        let key = SealingKey::new([1; 32]);
        let message = Message {
            user: UserId::from_bytes([2; 16]),
            seq: Seq(3),
            expires: Timestamp::from_millis(4),
        };
        let url = key.seal(message).expect("sealed");
        assert_eq!(url.len(), 64);
        assert_eq!(key.open(&url), Some(message));
        assert_eq!(SealingKey::new([9; 32]).open(&url), None);
        for at in 0..url.len() {
            let other = if &url[at..=at] == "A" { "B" } else { "A" };
            let changed = format!("{}{other}{}", &url[..at], &url[at + 1..]);
            assert_eq!(key.open(&changed), None, "{at}");
        }
        assert_eq!(key.open(""), None);
        let next = key
            .seal(Message {
                seq: Seq(4),
                ..message
            })
            .expect("sealed");
        assert!(
            url[..8] != next[..8],
            "two messages of one user share nothing"
        );
    }

    #[test]
    fn a_receipts_url_opens_under_its_key_alone_and_only_whole() {
        let key = SealingKey::new([1; 32]);
        let owner = Owner::receipts([2; 16]);
        let url = key.receipts_url(owner).expect("sealed");
        assert_eq!(key.receipts(&url), Some(owner));
        assert_eq!(SealingKey::new([9; 32]).receipts(&url), None);
        for at in 0..url.len() {
            let other = if &url[at..=at] == "A" { "B" } else { "A" };
            let changed = format!("{}{other}{}", &url[..at], &url[at + 1..]);
            assert_eq!(key.receipts(&changed), None, "{at}");
        }
        let site = "https://news.example".parse().expect("an origin");
        let site = key.receipts_url(Owner::site(&site)).expect("sealed");
        assert_eq!(key.receipts(&site), None, "nor a site's log");
    }
}
