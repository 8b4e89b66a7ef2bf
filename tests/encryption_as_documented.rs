//! The examples of docs/encryption.md, opened by the SDK as a device does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_client::keys::{BoxPublicKey, BoxSecretKey, PermissionKeys, StoredPermissionKeys};
use serde_json::{Value, json};

const PAGE: &str = include_str!("../docs/encryption.md");

/// The JSON blocks of the page that are examples of a body.
fn examples() -> Vec<Value> {
    let blocks = PAGE.split("```json\n").skip(1);
    let blocks = blocks.map(|rest| rest.split_once("```").expect("a block ends").0);
    blocks
        .map(|block| serde_json::from_str(block).expect("JSON"))
        .filter(|block: &Value| block.get("encoding").is_some())
        .collect()
}

/// The secrets of an example; for an encoding that it is not about, those of `other`.
fn keys(example: &Value, other: &Value) -> PermissionKeys {
    let secret = |name: &str| example.get(name).unwrap_or(&other[name]).clone();
    let stored =
        json!({"p256": secret("p256"), "auth": secret("auth"), "x25519": secret("x25519")});
    let stored: StoredPermissionKeys = serde_json::from_value(stored).expect("each is there");
    PermissionKeys::from_stored(&stored).expect("keys")
}

fn text<'a>(example: &'a Value, name: &str) -> &'a str {
    example[name].as_str().expect("a text")
}

#[test]
fn the_examples_of_the_page_open() {
    let examples = examples();
    let [aes128gcm, crypto_box] = &examples[..] else {
        panic!("one for each encoding: {examples:?}");
    };
    for (example, other) in [(aes128gcm, crypto_box), (crypto_box, aes128gcm)] {
        let site = example.get("siteKey").and_then(Value::as_str);
        let site = site.map(|key| BoxPublicKey::parse(key).expect("a key"));
        let body = URL_SAFE_NO_PAD.decode(text(example, "body"));
        let opened = keys(example, other).open(
            text(example, "encoding").parse().expect("an encoding"),
            &body.expect("base64url"),
            site.as_ref(),
        );
        assert_eq!(opened.expect("opens"), text(example, "text").as_bytes());
    }
    let public_of = |name| {
        let secret = BoxSecretKey::parse(text(crypto_box, name)).expect("a key");
        secret.public().to_string()
    };
    assert_eq!(public_of("siteSecret"), text(crypto_box, "siteKey"));
    assert_eq!(public_of("x25519"), text(crypto_box, "x25519Public"));
}
