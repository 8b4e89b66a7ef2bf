//! The vectors that both SDKs are held to: `client/vectors/keys.json` is what this code makes of
//! fixed inputs, and the test fails while it is not. `BELFRY_WRITE_VECTORS=1` writes it anew.
//!
//! `sealed` keyrings are one-way: DEFLATE's output differs between programs, so another SDK opens
//! them and does not make the same bytes. All else is exact both ways.

#![allow(clippy::unwrap_used)]

mod judgements;
mod merges;

use crate::keyring::{Keyring, KeyringKey};
use crate::keys::{BoxSecretKey, encode};
use crate::link::{Answer, InvalidCode, LinkSecret, Request};
use crate::recovery::{self, Phrase};
use crate::wrap::{self, Payload};
use belfry_protocol::id::UserId;
use serde::Serialize;
use serde_json::{Value, json};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/keys.json");
const USER: &str = "aqrinn2i4oykrg3ewdkheyxcrq";
const OTHER_USER: &str = "bqrinn2i4oykrg3ewdkheyxcrq";
const PHONE: &str = "f6ytnvfr4khyti66woqnfh2ch4";
const LAPTOP: &str = "4s2ovhxhlnegnzheopaorsssnq";
const NEWS: &str = "aibaeaqcaibaeaqcaibaeaqcai";
const NOW: u64 = 1_795_600_000_000;

fn user() -> UserId {
    USER.parse().unwrap()
}

fn secret(byte: u8) -> BoxSecretKey {
    BoxSecretKey::from_bytes([byte; 32])
}

fn public(byte: u8) -> String {
    secret(byte).public().to_string()
}

fn ring_key(byte: u8) -> KeyringKey {
    KeyringKey::from_bytes([byte; 32])
}

fn bytes(byte: u8, count: usize) -> String {
    encode(&vec![byte; count])
}

fn device(id: &str, byte: u8, name: &str) -> Value {
    json!({"id": id, "key": public(byte), "name": name, "kind": "browser", "changed": NOW})
}

fn permission() -> Value {
    json!({
        "id": NEWS, "site": "https://news.example", "endpoint": "https://push.example.org/push/abc",
        "p256": bytes(5, 32), "auth": bytes(6, 16), "x25519": bytes(9, 32), "siteKey": public(7),
        "name": "Grüße", "changed": NOW,
    })
}

/// The keyring of the phone (its secret 32 bytes of 1) and the laptop (2).
fn keyring(epoch: u64, generation: u64) -> Value {
    json!({
        "user": USER, "epoch": epoch, "generation": generation,
        "devices": [device(LAPTOP, 2, "laptop"), device(PHONE, 1, "phone")],
        "permissions": [permission()],
        "settings": {"quietHours": {"value": {"from": "22:00", "to": "07:00"}, "changed": NOW}},
    })
}

fn read(keyring: &Value) -> Keyring {
    serde_json::from_value(keyring.clone()).unwrap()
}

fn seal(keyring: &Value, key: u8) -> String {
    encode(&read(keyring).seal(&ring_key(key), [3; 24]).unwrap())
}

fn keyrings() -> Value {
    let mut unknown = keyring(2, 18);
    unknown["epochs"] = json!({"fromTheFuture": [1, null, "x"]});
    unknown["permissions"][0]["colour"] = json!("#fff");
    unknown["settings"]["sounds"] = json!({"value": false, "volume": 3, "changed": NOW});
    unknown["recovery"] = json!({"key": public(8), "proof": bytes(4, 32), "changed": NOW});
    unknown["permissions"]
        .as_array_mut()
        .unwrap()
        .push(json!({"id": "fdixsuxy5oykjuo7wybaszdfn4", "removed": true, "changed": NOW + 1}));
    let empty = json!({"user": USER, "epoch": 1, "generation": 0, "devices": [], "permissions": [], "settings": {}});
    let cases = [
        ("two devices and a permission", keyring(1, 17)),
        (
            "fields, settings and items that a client may not know",
            unknown,
        ),
        ("an empty one", empty),
    ];
    let made = cases.iter().map(|(name, keyring)| {
        let sealed = read(keyring).seal(&ring_key(10), [3; 24]).unwrap();
        assert_eq!((sealed.len() - 1 - 24 - 16) % 1024, 0);
        let opened = Keyring::open(&sealed, &ring_key(10)).unwrap();
        assert_eq!(&serde_json::to_value(&opened).unwrap(), keyring, "{name}");
        json!({"name": name, "keyringKey": bytes(10, 32), "sealed": encode(&sealed), "keyring": keyring})
    });
    made.collect()
}

fn payload(epoch: u64, generation: u64, key: u8) -> Payload {
    Payload {
        user: user(),
        epoch,
        generation,
        key: ring_key(key),
    }
}

fn text(json: &[u8]) -> &str {
    std::str::from_utf8(json).unwrap()
}

fn wraps() -> Value {
    let payload = payload(2, 18, 10);
    let wrap = wrap::seal(&payload, &secret(1), &secret(2).public(), [3; 24]);
    assert_eq!(
        wrap::open(&wrap, &secret(2)),
        Ok((secret(1).public(), payload.clone()))
    );
    json!([{
        "name": "from the phone to the laptop",
        "senderSecret": bytes(1, 32), "senderKey": public(1),
        "recipientSecret": bytes(2, 32), "recipientKey": public(2),
        "nonce": bytes(3, 24),
        "user": USER, "epoch": 2, "generation": 18, "keyringKey": bytes(10, 32),
        "payload": text(&payload.to_json()), "wrap": encode(&wrap),
    }])
}

fn phrases() -> Value {
    let random: [u8; 16] = std::array::from_fn(|i| u8::try_from(i * 16 + 1).unwrap());
    let made = [[0; 16], [0xff; 16], random].map(|entropy| {
        let phrase = Phrase::from_bytes(entropy);
        let words = phrase.to_string();
        assert_eq!(words.parse(), Ok(phrase.clone()));
        let payload = payload(2, 18, 10);
        let (key, proof) = (phrase.key(), phrase.proof_key());
        let wrap = recovery::seal(&payload, &secret(1), &key.public(), &proof, [3; 24]);
        assert_eq!(
            phrase.open(&wrap, user()),
            Ok((secret(1).public(), payload.clone()))
        );
        let (_, plaintext) = wrap::open_bytes(&wrap, &key).unwrap();
        json!({
            "entropy": encode(&entropy), "words": words,
            "alsoRead": [format!("  {}\n", words.to_uppercase().replace(' ', "   "))],
            "recoverySecret": key.expose(), "recoveryKey": key.public(), "proofKey": encode(&proof),
            "wrap": {
                "senderSecret": bytes(1, 32), "senderKey": public(1), "nonce": bytes(3, 24),
                "user": USER, "epoch": 2, "generation": 18, "keyringKey": bytes(10, 32),
                "payload": text(&payload.to_json()), "proof": encode(&plaintext[..32]),
                "wrap": encode(&wrap),
            },
        })
    });
    let refused = [
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abuot",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art",
        "",
    ];
    for words in refused {
        assert!(words.parse::<Phrase>().is_err(), "{words}");
    }
    json!({"good": made, "refused": refused})
}

fn links() -> Value {
    let counted: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).unwrap());
    let made = [[0; 16], [0xff; 16], counted].map(|bytes| {
        let secret = LinkSecret::from_bytes(bytes);
        let code = secret.to_string();
        let misread = code.replace('O', "0").replace('I', "1").replace('B', "8");
        let also = [
            code.replace('-', ""),
            code.to_lowercase().replace('-', " "),
            misread,
            secret.address("https://push.example.org"),
        ];
        for text in also.iter().chain([&code]) {
            assert_eq!(text.parse(), Ok(secret.clone()), "{text}");
        }
        let keys = secret.keys();
        let check = data_encoding::BASE32_NOPAD
            .decode(code.replace('-', "").as_bytes())
            .unwrap();
        json!({
            "secret": encode(&bytes), "check": encode(&check[16..]), "code": code, "alsoRead": also,
            "address": secret.address("https://push.example.org"),
            "place": keys.place(),
            "requestKey": encode(keys.request_key()), "answerKey": encode(keys.answer_key()),
        })
    });
    let code = LinkSecret::from_bytes(counted).to_string();
    let refused = [
        (format!("B{}", &code[1..]), InvalidCode::Check),
        (format!("{}A", &code[..code.len() - 1]), InvalidCode::Check),
        (code[..code.len() - 5].to_owned(), InvalidCode::Form),
        (format!("{code}-AAAA"), InvalidCode::Form),
        (format!("9{}", &code[1..]), InvalidCode::Form),
        (String::new(), InvalidCode::Form),
    ];
    let refused = refused.map(|(text, reason)| {
        assert_eq!(text.parse::<LinkSecret>(), Err(reason), "{text}");
        let word = match reason {
            InvalidCode::Form => "form",
            InvalidCode::Check => "check",
        };
        json!({"text": text, "refused": word})
    });
    json!({"good": made, "refused": refused})
}

fn request() -> Request {
    Request {
        user: user(),
        device: LAPTOP.parse().unwrap(),
        key: secret(2).public(),
        name: "Firefox on the desk".into(),
        kind: "browser".into(),
    }
}

fn answer() -> Answer {
    Answer {
        user: user(),
        device: PHONE.parse().unwrap(),
        key: secret(1).public(),
        recipient: secret(2).public(),
        epoch: 1,
        generation: 18,
    }
}

fn link_messages() -> Value {
    let counted = std::array::from_fn(|i| u8::try_from(i).unwrap());
    let keys = LinkSecret::from_bytes(counted).keys();
    let (asked, answered) = (request(), answer());
    let request = keys.seal_request(&asked, [3; 24]);
    assert_eq!(keys.open_request(&request), Some(asked.clone()));
    assert_eq!(keys.open_answer(&request), None);
    let answer = keys.seal_answer(&answered, [4; 24]);
    assert_eq!(keys.open_answer(&answer), Some(answered.clone()));
    let message = |json: String, nonce: u8, sealed: &[u8]| {
        let mut other = sealed.to_vec();
        other[30] ^= 1;
        json!({
            "secret": encode(&counted), "nonce": bytes(nonce, 24), "json": json,
            "message": encode(sealed), "messageThatDoesNotOpen": encode(&other),
        })
    };
    json!({
        "request": message(serde_json::to_string(&asked).unwrap(), 3, &request),
        "answer": message(serde_json::to_string(&answered).unwrap(), 4, &answer),
    })
}

/// The examples of docs/encryption.md, which `tests/encryption_as_documented.rs` opens.
fn bodies() -> Value {
    let page = include_str!("../../docs/encryption.md");
    let blocks = page.split("```json\n").skip(1);
    let blocks = blocks.map(|rest| rest.split_once("```").unwrap().0);
    blocks
        .map(|block| serde_json::from_str(block).unwrap())
        .filter(|block: &Value| block.get("encoding").is_some())
        .collect()
}

fn fingerprints() -> Value {
    let made = [1, 2, 8].map(|byte| {
        let key = secret(byte).public();
        json!({"secret": bytes(byte, 32), "key": key, "fingerprint": key.fingerprint()})
    });
    made.into_iter().collect()
}

#[derive(Serialize)]
struct Vectors {
    about: &'static str,
    fingerprints: Value,
    keyrings: Value,
    wraps: Value,
    phrases: Value,
    links: Value,
    #[serde(rename = "linkMessages")]
    link_messages: Value,
    merges: Value,
    judgements: Value,
    #[serde(rename = "linkJudgements")]
    link_judgements: Value,
    #[serde(rename = "recoveryJudgements")]
    recovery_judgements: Value,
    bodies: Value,
}

#[test]
fn the_shared_vectors_are_what_this_code_makes() {
    let vectors = Vectors {
        about: "docs/keys.md and docs/encryption.md. Bytes are base64url without padding. \
                `sealed` is one-way: it opens to `keyring`, other DEFLATE programs make other bytes. \
                All else is exact both ways. Made by client/src/vectors.rs.",
        fingerprints: fingerprints(),
        keyrings: keyrings(),
        wraps: wraps(),
        phrases: phrases(),
        links: links(),
        link_messages: link_messages(),
        merges: merges::made(),
        judgements: judgements::made(),
        link_judgements: judgements::linked(),
        recovery_judgements: judgements::recovered(),
        bodies: bodies(),
    };
    let made = serde_json::to_string_pretty(&vectors).unwrap() + "\n";
    if std::env::var_os("BELFRY_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(std::path::Path::new(FILE).parent().unwrap()).unwrap();
        std::fs::write(FILE, &made).unwrap();
    }
    let kept = std::fs::read_to_string(FILE).unwrap();
    assert!(
        kept == made,
        "{FILE} is not what the code makes; if that is meant, see the head of this room"
    );
}
