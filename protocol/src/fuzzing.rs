//! A fuzz target: bodies and decrypted messages from anyone, for whoever opens them.

use crate::body::{Content, aes128gcm, check_structure, content, crypto_box, unrepeatable};
use crate::push::ContentEncoding;
use ::crypto_box::SecretKey;

/// Opens bytes as each encoding, seals and spoils them, or reads them as a message. The first byte says
/// which, the second where a sealed body is spoiled.
pub fn bodies(input: &[u8]) {
    let [kind, at, bytes @ ..] = input else {
        return;
    };
    match kind % 4 {
        0 => opens_only_what_is_well_formed(ContentEncoding::Aes128gcm, bytes),
        1 => opens_only_what_is_well_formed(ContentEncoding::CryptoBox, bytes),
        2 => reads_back_and_nothing_else_does(bytes, usize::from(*at)),
        _ => shows_only_what_is_safe(bytes),
    }
}

fn opens_only_what_is_well_formed(encoding: ContentEncoding, body: &[u8]) {
    let opened = match encoding {
        ContentEncoding::Aes128gcm => {
            let secret = p256::SecretKey::from_slice(&[5; 32]).expect("a key");
            aes128gcm::decrypt(body, &secret, &[6; 16])
        }
        ContentEncoding::CryptoBox => crypto_box::open(body, &site().public_key(), &permission()),
    };
    if let Ok(plaintext) = opened {
        assert!(plaintext.len() < body.len());
        assert_eq!(check_structure(encoding, body), Ok(()));
    }
    if check_structure(encoding, body).is_ok() {
        assert!(unrepeatable(encoding, body).is_some());
    }
}

fn reads_back_and_nothing_else_does(plaintext: &[u8], at: usize) {
    let to = permission();
    let sealed = crypto_box::seal(plaintext, [3; 24], &site(), &to.public_key());
    let Ok(mut body) = sealed else {
        assert!(plaintext.len() > crypto_box::PLAINTEXT_BYTES_MAX);
        return;
    };
    let opened = crypto_box::open(&body, &site().public_key(), &to);
    assert_eq!(opened.as_deref(), Ok(plaintext));
    let at = at % body.len();
    body[at] ^= 0x40;
    assert!(crypto_box::open(&body, &site().public_key(), &to).is_err());
}

fn shows_only_what_is_safe(plaintext: &[u8]) {
    let shown = Content::from_plaintext(plaintext);
    let urls = shown
        .actions
        .iter()
        .filter_map(|action| action.url.as_ref());
    for url in urls.chain(&shown.url) {
        assert!(url.starts_with("https://"), "{url}");
    }
    let icon = shown.icon.as_deref();
    let icon = icon.map(str::to_ascii_lowercase);
    assert!(icon.is_none_or(|icon| icon.starts_with("data:image/")));
    assert!(shown.actions.len() <= content::ACTIONS_MAX);
    let json = serde_json::to_vec(&shown).expect("it can be written");
    let again: Content = serde_json::from_slice(&json).expect("it can be read");
    assert_eq!(Content::from_plaintext(&json), again);
}

fn site() -> SecretKey {
    SecretKey::from([7; 32])
}

fn permission() -> SecretKey {
    SecretKey::from([9; 32])
}

#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod replay;

#[test]
fn kept_inputs_and_changes_of_them_hold() {
    replay::replay("bodies", 3_000, bodies);
}
