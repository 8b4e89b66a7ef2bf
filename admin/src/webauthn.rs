//! What a relying party checks of a passkey (Web Authentication Level 3, §7.1 and §7.2), for ES256 alone.
//!
//! Every authenticator has ES256, and no other algorithm is offered. Attestation is not asked for, so
//! nothing of a statement is read: who adds a passkey has given their password, and says which key is
//! theirs. What is signed is checked: what for, which challenge, which origin, which server, that somebody
//! was there and was verified.

use belfry_protocol::id::UserId;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// ES256 (RFC 9053 §2.1).
const ES256: i32 = -7;
/// How long a browser may ask the person for it: as long as its challenge is good.
const TIMEOUT_MS: u32 = 300_000;
/// Flags of authenticator data (§6.1): somebody was there, was verified, and a credential follows.
const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;
/// Authenticator data before the credential: the hash of the server's name, flags, and the count.
const HEAD_BYTES: usize = 37;
/// The longest id of a credential (§6.5.1).
const ID_BYTES_MAX: usize = 1_023;
/// A count, and an uncompressed point.
const KEPT_BYTES: usize = 4 + 65;

/// Bytes in base64url.
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let bytes = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes());
        bytes.map(Self).map_err(serde::de::Error::custom)
    }
}

/// As `PublicKeyCredential.toJSON()` has one that is new.
#[derive(Deserialize)]
pub(crate) struct NewCredential {
    #[serde(rename = "rawId")]
    pub(crate) raw_id: Bytes,
    response: NewResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: Bytes,
    authenticator_data: Bytes,
    public_key: Bytes,
}

/// As `PublicKeyCredential.toJSON()` has one that signs in.
#[derive(Deserialize)]
pub(crate) struct UsedCredential {
    #[serde(rename = "rawId")]
    pub(crate) raw_id: Bytes,
    response: UsedResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsedResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: Bytes,
    authenticator_data: Bytes,
    signature: Bytes,
    #[serde(default)]
    user_handle: Option<Bytes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

/// What is kept of a credential: how often it signed, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    count: u32,
    key: Vec<u8>,
}

impl Kept {
    fn to_bytes(&self) -> Vec<u8> {
        [&self.count.to_be_bytes()[..], &self.key].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (count, key) = bytes.split_first_chunk::<4>()?;
        let count = u32::from_be_bytes(*count);
        (bytes.len() == KEPT_BYTES).then(|| Self {
            count,
            key: key.to_vec(),
        })
    }
}

/// This server, as browsers know it.
pub(crate) struct RelyingParty<'a> {
    origin: &'a str,
}

impl<'a> RelyingParty<'a> {
    /// The one whose pages are at this origin.
    pub(crate) fn at(origin: &'a str) -> Self {
        Self { origin }
    }

    /// The name that passkeys belong to: the host. One that is a number is none to browsers.
    fn id(&self) -> &'a str {
        let host = self.origin.split("://").nth(1).unwrap_or_default();
        host.split(':').next().unwrap_or_default()
    }

    /// What a browser makes a credential by.
    pub(crate) fn creation(
        &self,
        challenge: &str,
        (user, name): (UserId, &str),
        known: &[Vec<u8>],
    ) -> Value {
        json!({
            "rp": { "id": self.id(), "name": "Belfry" },
            "user": { "id": text(user.as_bytes()), "name": name, "displayName": name },
            "challenge": challenge,
            "pubKeyCredParams": [{ "type": "public-key", "alg": ES256 }],
            "timeout": TIMEOUT_MS,
            "excludeCredentials": listed(known),
            "authenticatorSelection": {
                "residentKey": "required", "requireResidentKey": true, "userVerification": "required",
            },
            "attestation": "none",
        })
    }

    /// What a browser signs by; of any credential that it has where none is named.
    pub(crate) fn request(&self, challenge: &str, known: &[Vec<u8>]) -> Value {
        json!({
            "rpId": self.id(),
            "challenge": challenge,
            "timeout": TIMEOUT_MS,
            "allowCredentials": listed(known),
            "userVerification": "required",
        })
    }

    /// What is to be kept of a credential that was made for this challenge; none where it was not.
    pub(crate) fn made(&self, challenge: &str, new: &NewCredential) -> Option<Vec<u8>> {
        let response = &new.response;
        self.judge_client(&response.client_data.0, "webauthn.create", challenge)?;
        let data = &response.authenticator_data.0;
        let (flags, count) = self.judge_head(data)?;
        // A GUID of the authenticator's make, and then the id with its length before it.
        let rest = data
            .get(HEAD_BYTES + 16..)
            .filter(|_| flags & ATTESTED != 0)?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let id = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
        if id != new.raw_id.0 || id.is_empty() || id.len() > ID_BYTES_MAX {
            return None;
        }
        let key = VerifyingKey::from_public_key_der(&response.public_key.0).ok()?;
        let key = key.to_encoded_point(false).as_bytes().to_vec();
        Some(Kept { count, key }.to_bytes())
    }

    /// What is to be kept from now on of a credential that signed this challenge; none where it did not.
    pub(crate) fn signed(
        &self,
        challenge: &str,
        used: &UsedCredential,
        (user, kept): (UserId, &[u8]),
    ) -> Option<Vec<u8>> {
        let response = &used.response;
        let handle = response.user_handle.as_ref();
        if handle.is_some_and(|handle| handle.0 != user.as_bytes()) {
            return None;
        }
        self.judge_client(&response.client_data.0, "webauthn.get", challenge)?;
        let data = &response.authenticator_data.0;
        let (_, count) = self.judge_head(data)?;
        let kept = Kept::read(kept)?;
        // One that counts and does not go on was copied (§7.2, step 22); most do not count.
        if (count, kept.count) != (0, 0) && count <= kept.count {
            return None;
        }
        let key = VerifyingKey::from_sec1_bytes(&kept.key).ok()?;
        let signature = Signature::from_der(&response.signature.0).ok()?;
        let hash = Sha256::digest(&response.client_data.0);
        let signed = [&data[..], &hash].concat();
        key.verify(&signed, &signature).ok()?;
        let key = kept.key;
        Some(Kept { count, key }.to_bytes())
    }

    fn judge_client(&self, bytes: &[u8], kind: &str, challenge: &str) -> Option<()> {
        let client: ClientData = serde_json::from_slice(bytes).ok()?;
        let right = client.kind == kind
            && client.challenge == challenge
            && client.origin == self.origin
            && !client.cross_origin;
        right.then_some(())
    }

    /// The flags and the count, where it is for this server and somebody was there and verified.
    fn judge_head(&self, data: &[u8]) -> Option<(u8, u32)> {
        let (server, rest) = data.split_first_chunk::<32>()?;
        let (flags, rest) = rest.split_first()?;
        let (count, _) = rest.split_first_chunk::<4>()?;
        let right = server[..] == Sha256::digest(self.id())[..]
            && flags & PRESENT != 0
            && flags & VERIFIED != 0;
        right.then_some((*flags, u32::from_be_bytes(*count)))
    }
}

fn text(bytes: &[u8]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(bytes)
}

fn listed(known: &[Vec<u8>]) -> Vec<Value> {
    let known = known.iter();
    known
        .map(|id| json!({ "type": "public-key", "id": text(id) }))
        .collect()
}
