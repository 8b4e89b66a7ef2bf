//! Passkeys, with an authenticator of the test's own.

use super::*;
use data_encoding::BASE64URL_NOPAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::EncodePublicKey as _;
use sha2::{Digest as _, Sha256};

/// An authenticator, and what it may do wrong.
struct Authenticator {
    key: SigningKey,
    id: Vec<u8>,
    count: u32,
    origin: String,
    host: String,
    flags: u8,
}

fn text(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

impl Authenticator {
    fn new(seed: u8) -> Self {
        Self {
            key: SigningKey::from_slice(&[seed; 32]).unwrap(),
            id: vec![seed; 20],
            count: 0,
            origin: URL.to_owned(),
            host: "push.example".to_owned(),
            flags: 0x05,
        }
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        let client = json!({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false});
        client.to_string().into_bytes()
    }

    fn head(&self, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(&self.host).to_vec();
        data.push(self.flags | flags);
        data.extend(self.count.to_be_bytes());
        data
    }

    fn make(&self, challenge: &str) -> Value {
        let mut data = self.head(0x40);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        let public = self.key.verifying_key().to_public_key_der().unwrap();
        json!({
            "id": text(&self.id), "rawId": text(&self.id), "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": text(&self.client_data("webauthn.create", challenge)),
                "authenticatorData": text(&data),
                "publicKey": text(public.as_bytes()),
            },
        })
    }

    fn sign(&self, challenge: &str, user: Option<UserId>) -> Value {
        let client = self.client_data("webauthn.get", challenge);
        let data = self.head(0);
        let signed = [&data[..], &Sha256::digest(&client)].concat();
        let signature: Signature = self.key.sign(&signed);
        json!({
            "id": text(&self.id), "rawId": text(&self.id), "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": text(&client),
                "authenticatorData": text(&data),
                "signature": text(signature.to_der().as_bytes()),
                "userHandle": user.map(|user| text(user.as_bytes())),
            },
        })
    }
}

impl Server {
    async fn add(&self, browser: &mut Browser, make: impl Fn(&str) -> Value) -> Answer {
        let options = "/account/passkeys/options";
        let offered = self.ask(browser, "POST", options, json!({})).await;
        assert_eq!(offered.status, 200, "{}", offered.json);
        let challenge = offered.json["challenge"].as_str().unwrap();
        assert_eq!(offered.json["passkey"]["challenge"], challenge);
        assert_eq!(offered.json["passkey"]["rp"]["id"], "push.example");
        let body = json!({"challenge": challenge, "name": "laptop", "credential": make(challenge)});
        self.ask(browser, "POST", "/account/passkeys", body).await
    }

    async fn challenge(&self, browser: &mut Browser) -> String {
        let offered = self.ask(browser, "POST", "/sign-in/passkey/options", json!({}));
        let offered = offered.await;
        assert_eq!(offered.status, 200, "{}", offered.json);
        offered.json["challenge"].as_str().unwrap().to_owned()
    }

    async fn give(&self, browser: &mut Browser, challenge: &str, credential: Value) -> Answer {
        let body = json!({"challenge": challenge, "credential": credential});
        self.ask(browser, "POST", "/sign-in/passkey", body).await
    }
}

#[tokio::test]
async fn a_passkey_signs_in_alone_and_is_the_second_half_of_a_password() {
    let server = Server::new().await;
    let user = server.account("ada", Role::Admin).await;
    let mut ada = server.signed_in("ada").await;
    let mut key = Authenticator::new(1);
    let added = server.add(&mut ada, |challenge| key.make(challenge)).await;
    assert_eq!(added.status, 201, "{}", added.json);
    let again = server.add(&mut ada, |challenge| key.make(challenge)).await;
    assert_eq!(again.kind(), (409, "taken"));

    let mut other = server.browser();
    let challenge = server.challenge(&mut other).await;
    let used = key.sign(&challenge, Some(user));
    let answer = server.give(&mut other, &challenge, used.clone()).await;
    assert_eq!(answer.status, 204, "{}", answer.json);
    assert_eq!(
        server.get(&mut other, "/session").await.json["username"],
        "ada"
    );
    let mut thief = server.browser();
    let replayed = server.give(&mut thief, &challenge, used).await;
    assert_eq!(replayed.kind(), (410, "expired"));

    let half = server.sign_in(&mut thief, "ada", PASSWORD).await;
    assert_eq!(half.json["needs"], json!(["passkey"]));
    assert_eq!(thief.cookie, None);
    let challenge = half.json["challenge"].as_str().unwrap();
    let allowed = &half.json["passkey"]["allowCredentials"];
    assert_eq!(allowed[0]["id"], text(&key.id));
    key.count = 7;
    let answer = server
        .give(&mut thief, challenge, key.sign(challenge, None))
        .await;
    assert_eq!(answer.status, 204, "{}", answer.json);

    // One that counts and does not go on was copied.
    let challenge = server.challenge(&mut other).await;
    let copied = server
        .give(&mut other, &challenge, key.sign(&challenge, None))
        .await;
    assert_eq!(copied.kind(), (401, "wrong-credentials"));

    let own = server.get(&mut ada, "/account").await;
    let path = format!(
        "/account/passkeys/{}",
        own.json["passkeys"][0]["id"].as_str().unwrap()
    );
    assert_eq!(
        server
            .ask(&mut ada, "DELETE", &path, Value::Null)
            .await
            .status,
        204
    );
    server.signed_in("ada").await;
}

#[tokio::test]
async fn what_is_not_signed_for_this_lets_nobody_in() {
    let server = Server::new().await;
    let ada = server.account("ada", Role::Admin).await;
    let bob = server.account("bob", Role::Admin).await;
    let (mut here, mut there) = (server.signed_in("ada").await, server.signed_in("bob").await);
    let (key, theirs) = (Authenticator::new(1), Authenticator::new(2));
    assert_eq!(
        server
            .add(&mut here, |challenge| key.make(challenge))
            .await
            .status,
        201
    );
    assert_eq!(
        server
            .add(&mut there, |challenge| theirs.make(challenge))
            .await
            .status,
        201
    );
    let mut thief = server.browser();
    let wrong = |change: &dyn Fn(&mut Authenticator)| {
        let mut key = Authenticator::new(1);
        change(&mut key);
        key
    };
    for (what, key) in [
        (
            "another page",
            wrong(&|key| key.origin = "https://evil.example".to_owned()),
        ),
        (
            "another server",
            wrong(&|key| key.host = "evil.example".to_owned()),
        ),
        ("nobody was there", wrong(&|key| key.flags = 0x04)),
        ("nobody was verified", wrong(&|key| key.flags = 0x01)),
        (
            "another key",
            wrong(&|key| key.key = Authenticator::new(3).key),
        ),
        (
            "a credential that is nobody's",
            wrong(&|key| key.id = vec![9; 20]),
        ),
    ] {
        let challenge = server.challenge(&mut thief).await;
        let answer = server
            .give(&mut thief, &challenge, key.sign(&challenge, None))
            .await;
        assert_eq!(answer.kind(), (401, "wrong-credentials"), "{what}");
    }
    let challenge = server.challenge(&mut thief).await;
    let former = server.challenge(&mut thief).await;
    for credential in [
        key.sign(&former, None),
        key.sign(&challenge, Some(bob)),
        key.make(&challenge),
    ] {
        let answer = server.give(&mut thief, &challenge, credential).await;
        assert!([401, 422].contains(&answer.status), "{}", answer.json);
    }
    // The password of one and the passkey of another.
    let half = server.sign_in(&mut thief, "ada", PASSWORD).await;
    let challenge = half.json["challenge"].as_str().unwrap();
    let answer = server
        .give(&mut thief, challenge, theirs.sign(challenge, None))
        .await;
    assert_eq!(answer.kind(), (401, "wrong-credentials"));
    // A challenge to make one is none to sign in by, nor by code.
    let offered = server
        .ask(&mut here, "POST", "/account/passkeys/options", json!({}))
        .await;
    let challenge = offered.json["challenge"].as_str().unwrap();
    let answer = server
        .give(&mut thief, challenge, key.sign(challenge, None))
        .await;
    assert_eq!(answer.kind(), (410, "expired"));
    let code = json!({"challenge": challenge, "code": "000000"});
    let answer = server.ask(&mut thief, "POST", "/sign-in/totp", code).await;
    assert_eq!(answer.kind(), (410, "expired"));
    assert_eq!(thief.cookie, None);
    // Who may not administer any more has a passkey for nothing.
    let none = (Role::None, &Actor::Operator);
    let set = server
        .admin
        .directory
        .set_role(ada, none.0, none.1, server.admin.now());
    assert!(set.await.unwrap());
    let challenge = server.challenge(&mut thief).await;
    let answer = server
        .give(&mut thief, &challenge, key.sign(&challenge, None))
        .await;
    assert_eq!(answer.kind(), (401, "wrong-credentials"));
}

#[tokio::test]
async fn only_what_was_made_for_this_is_added() {
    let server = Server::new().await;
    server.account("ada", Role::Admin).await;
    let mut ada = server.signed_in("ada").await;
    let key = Authenticator::new(1);
    let refused = async |ada: &mut Browser, make: &dyn Fn(&str) -> Value| {
        let answer = server.add(ada, make).await;
        assert_eq!(answer.status, 422, "{}", answer.json);
    };
    refused(&mut ada, &|_| key.make("another challenge")).await;
    refused(&mut ada, &|challenge| key.sign(challenge, None)).await;
    refused(&mut ada, &|_| json!({})).await;
    for (member, value) in [
        ("clientDataJSON", "!"),
        ("authenticatorData", ""),
        ("authenticatorData", "AAAA"),
        ("publicKey", "AAAA"),
    ] {
        refused(&mut ada, &|challenge| {
            let mut made = key.make(challenge);
            made["response"][member] = value.into();
            made
        })
        .await;
    }
    refused(&mut ada, &|challenge| {
        let mut made = key.make(challenge);
        made["rawId"] = text(b"another id").into();
        made
    })
    .await;
    server.later(601);
    let late = server
        .ask(&mut ada, "POST", "/account/passkeys/options", json!({}))
        .await;
    assert_eq!(late.kind(), (401, "sign-in-again"));
}
