//! Cases of judging what a server serves: taken, or refused for which reason.

use super::{
    LAPTOP, OTHER_USER, PHONE, USER, answer, bytes, device, keyring, payload, read, request,
    ring_key, seal, secret, user,
};
use crate::keyring::judge::{self, Refused};
use crate::keyring::{Keyring, KeyringKey};
use crate::keys::{decode, encode};
use crate::recovery::{self, Phrase};
use crate::wrap::{self, Payload};
use serde_json::{Value, json};

/// What is served: its name, the word that must come of it, the local copy, keyring and wrap.
type Case = (&'static str, &'static str, Value, String, Option<Vec<u8>>);

/// What came of it, as the vectors say it.
fn outcome(name: &str, word: &str, judged: &Result<(Keyring, KeyringKey), Refused>) -> Value {
    let came = judged.as_ref().map_or_else(Refused::word, |_| "taken");
    assert_eq!(came, word, "{name}");
    match judged {
        Ok((keyring, key)) => json!({"taken": keyring, "keyringKey": key.expose()}),
        Err(refused) => json!({"refused": refused.word()}),
    }
}

fn with(mut keyring: Value, field: &str, value: Value) -> Value {
    keyring[field] = value;
    keyring
}

/// A wrap for the laptop.
fn wrapped(payload: &Payload, sender: u8) -> Vec<u8> {
    wrap::seal(payload, &secret(sender), &secret(2).public(), [3; 24])
}

fn other_user(mut payload: Payload) -> Payload {
    payload.user = OTHER_USER.parse().unwrap();
    payload
}

/// The laptop has generation 17 of epoch 1, whose key is 32 bytes of 10; 11 is the server's own
/// key, 12 that of epoch 2.
pub(super) fn made() -> Value {
    let later = |generation| seal(&keyring(1, generation), 10);
    let rotated = |generation| seal(&keyring(2, generation), 12);
    let local = || keyring(1, 17);
    let removed = || {
        let list =
            json!([device(LAPTOP, 2, "laptop"), {"id": PHONE, "removed": true, "changed": 1}]);
        with(local(), "devices", list)
    };
    let flipped = || {
        let mut sealed = decode(&later(18)).unwrap();
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        encode(&sealed)
    };
    let version = || {
        let mut sealed = decode(&later(18)).unwrap();
        sealed[0] = 2;
        encode(&sealed)
    };
    let new_key = || Some(wrapped(&payload(2, 18, 12), 1));
    let broken_wrap = || {
        let mut wrap = wrapped(&payload(2, 18, 12), 1);
        wrap[60] ^= 1;
        Some(wrap)
    };
    let cases: Vec<Case> = vec![
        ("newer", "taken", local(), later(18), None),
        ("the same generation", "taken", local(), later(17), None),
        ("much newer", "taken", local(), later(1000), None),
        (
            "a wrap is not looked at where the own key opens",
            "taken",
            local(),
            later(18),
            Some(vec![9]),
        ),
        ("rolled back", "older", local(), later(16), None),
        (
            "changed by who has no key",
            "does-not-open",
            local(),
            flipped(),
            None,
        ),
        (
            "the server's own key",
            "does-not-open",
            local(),
            seal(&keyring(1, 18), 11),
            None,
        ),
        ("another format", "malformed", local(), version(), None),
        ("nothing", "malformed", local(), String::new(), None),
        (
            "another user's, with the right key",
            "other-user",
            local(),
            seal(&with(keyring(1, 18), "user", json!(OTHER_USER)), 10),
            None,
        ),
        (
            "another epoch than its key's",
            "other-epoch",
            local(),
            seal(&keyring(2, 18), 10),
            None,
        ),
        (
            "an item without its time",
            "malformed",
            local(),
            seal_raw(&with(keyring(1, 18), "devices", json!([{"id": LAPTOP}]))),
            None,
        ),
        (
            "a new key from a trusted device",
            "taken",
            local(),
            rotated(18),
            new_key(),
        ),
        (
            "a new key that this device wrapped for itself before it crashed",
            "taken",
            local(),
            rotated(18),
            Some(wrapped(&payload(2, 18, 12), 2)),
        ),
        (
            "a new key from a device that is removed here",
            "wrap-unknown-sender",
            removed(),
            rotated(18),
            new_key(),
        ),
        (
            "the server's own key, sealed to this device by a key of the server's",
            "wrap-unknown-sender",
            local(),
            seal(&keyring(2, 18), 11),
            Some(wrapped(&payload(2, 18, 11), 13)),
        ),
        (
            "a new key of an epoch that this device has",
            "wrap-old-epoch",
            local(),
            seal(&keyring(1, 18), 12),
            Some(wrapped(&payload(1, 18, 12), 1)),
        ),
        (
            "another account's key from a trusted device",
            "wrap-other-user",
            local(),
            rotated(18),
            Some(wrapped(&other_user(payload(2, 18, 12)), 1)),
        ),
        (
            "a good wrap, and a keyring that its key does not open",
            "does-not-open",
            local(),
            seal(&keyring(2, 18), 11),
            new_key(),
        ),
        (
            "a new epoch, rolled back",
            "older",
            local(),
            rotated(16),
            new_key(),
        ),
        (
            "a wrap that does not open",
            "wrap-does-not-open",
            local(),
            rotated(18),
            broken_wrap(),
        ),
        (
            "a wrap that is none",
            "wrap-malformed",
            local(),
            rotated(18),
            Some(vec![1, 2, 3]),
        ),
    ];
    let made = cases.into_iter().map(|(name, word, local, sealed, wrap)| {
        let judged = judge::take(
            &read(&local),
            &ring_key(10),
            &secret(2),
            &decode(&sealed).unwrap(),
            wrap.as_deref(),
        );
        json!({
            "name": name, "local": local, "localKeyringKey": bytes(10, 32),
            "deviceSecret": bytes(2, 32), "sealed": sealed, "wrap": wrap.as_deref().map(encode),
            "expected": outcome(name, word, &judged),
        })
    });
    made.collect()
}

/// Seals what this client could not have read.
fn seal_raw(json: &Value) -> String {
    let mut padded = miniz_oxide::deflate::compress_to_vec(json.to_string().as_bytes(), 6);
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(1024), 0);
    let sealed = crate::keyring::seal_box(&[10; 32], [3; 24], &padded);
    encode(&[&[1], sealed.as_slice()].concat())
}

/// The laptop is being linked by the phone.
pub(super) fn linked() -> Value {
    let good = || answer();
    let mut for_other = answer();
    for_other.recipient = secret(13).public();
    let mut of_other = answer();
    of_other.user = OTHER_USER.parse().unwrap();
    let wrap = |sender| wrapped(&payload(1, 18, 10), sender);
    let alone = with(
        keyring(1, 18),
        "devices",
        json!([device(PHONE, 1, "phone")]),
    );
    let swapped = json!([device(PHONE, 1, "phone"), device(LAPTOP, 13, "laptop")]);
    let swapped = with(keyring(1, 18), "devices", swapped);
    let cases = vec![
        (
            "as it should be",
            "taken",
            good(),
            wrap(1),
            seal(&keyring(1, 18), 10),
        ),
        (
            "written to since",
            "taken",
            good(),
            wrap(1),
            seal(&keyring(1, 20), 10),
        ),
        (
            "rotated since by the same device",
            "taken",
            good(),
            wrapped(&payload(2, 19, 12), 1),
            seal(&keyring(2, 19), 12),
        ),
        (
            "an answer for another device's key",
            "answer-for-other",
            for_other,
            wrap(1),
            seal(&keyring(1, 18), 10),
        ),
        (
            "an answer of another account",
            "answer-for-other",
            of_other,
            wrap(1),
            seal(&keyring(1, 18), 10),
        ),
        (
            "a wrap from a key of the server's",
            "wrap-unknown-sender",
            good(),
            wrap(13),
            seal(&keyring(1, 18), 10),
        ),
        (
            "another account's wrap",
            "wrap-other-user",
            good(),
            wrapped(&other_user(payload(1, 18, 10)), 1),
            seal(&keyring(1, 18), 10),
        ),
        (
            "a wrap of an older epoch than the answer",
            "wrap-old-epoch",
            good(),
            wrapped(&payload(0, 18, 10), 1),
            seal(&keyring(0, 18), 10),
        ),
        (
            "rolled back to before the answer",
            "older",
            good(),
            wrap(1),
            seal(&keyring(1, 17), 10),
        ),
        (
            "the server's own keyring",
            "does-not-open",
            good(),
            wrap(1),
            seal(&keyring(1, 18), 11),
        ),
        (
            "this device is not in the list",
            "not-listed",
            good(),
            wrap(1),
            seal(&alone, 10),
        ),
        (
            "this device is in the list with another key",
            "not-listed",
            good(),
            wrap(1),
            seal(&swapped, 10),
        ),
    ];
    let made = cases.into_iter().map(|(name, word, answer, wrap, sealed)| {
        let opened = decode(&sealed).unwrap();
        let judged = judge::take_linked(&request(), &secret(2), &answer, &wrap, &opened);
        json!({
            "name": name, "user": USER, "device": LAPTOP, "deviceSecret": bytes(2, 32),
            "answer": answer, "wrap": encode(&wrap), "sealed": sealed,
            "expected": outcome(name, word, &judged),
        })
    });
    made.collect()
}

pub(super) fn recovered() -> Value {
    let phrase = Phrase::from_bytes([7; 16]);
    let wrap = |payload: &Payload, proof: [u8; 32]| {
        recovery::seal(payload, &secret(1), &phrase.key().public(), &proof, [3; 24])
    };
    let proof = phrase.proof_key();
    let good = || wrap(&payload(1, 17, 10), proof);
    let other = Phrase::from_bytes([8; 16]);
    let cases = vec![
        (
            "as it should be",
            "taken",
            good(),
            seal(&keyring(1, 17), 10),
        ),
        (
            "written to since the wrap",
            "taken",
            good(),
            seal(&keyring(1, 30), 10),
        ),
        (
            "rolled back to before the wrap",
            "older",
            good(),
            seal(&keyring(1, 16), 10),
        ),
        (
            "a wrap without the proof, by the server",
            "wrap-without-proof",
            wrap(&payload(1, 17, 11), [0; 32]),
            seal(&keyring(1, 17), 11),
        ),
        (
            "a wrap for another phrase",
            "wrap-does-not-open",
            recovery::seal(
                &payload(1, 17, 10),
                &secret(1),
                &other.key().public(),
                &proof,
                [3; 24],
            ),
            seal(&keyring(1, 17), 10),
        ),
        (
            "another account's wrap",
            "wrap-other-user",
            wrap(&other_user(payload(1, 17, 10)), proof),
            seal(&keyring(1, 17), 10),
        ),
        (
            "another account's keyring",
            "other-user",
            good(),
            seal(&with(keyring(1, 17), "user", json!(OTHER_USER)), 10),
        ),
        (
            "another epoch than the wrap's",
            "other-epoch",
            good(),
            seal(&keyring(2, 17), 10),
        ),
        (
            "a wrap of a device, without a proof before it",
            "wrap-without-proof",
            wrap::seal(
                &payload(1, 17, 10),
                &secret(1),
                &phrase.key().public(),
                [3; 24],
            ),
            seal(&keyring(1, 17), 10),
        ),
    ];
    let made = cases.into_iter().map(|(name, word, wrap, sealed)| {
        let opened = decode(&sealed).unwrap();
        let judged = judge::take_recovered(&phrase, user(), &wrap, &opened);
        json!({
            "name": name, "user": USER, "words": phrase.to_string(),
            "wrap": encode(&wrap), "sealed": sealed, "expected": outcome(name, word, &judged),
        })
    });
    made.collect()
}
