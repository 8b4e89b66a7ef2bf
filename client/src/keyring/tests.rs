#![allow(clippy::unwrap_used)]
use super::*;
use crate::keys::{BoxSecretKey, PermissionKeys};

fn user() -> UserId {
    UserId::from_bytes([1; 16])
}

fn device(byte: u8) -> TrustedDevice {
    TrustedDevice {
        id: DeviceId::from_bytes([byte; 16]),
        key: BoxSecretKey::from_bytes([byte; 32]).public(),
        name: "phone".into(),
        kind: "cli".into(),
    }
}

fn kept(byte: u8) -> KeptPermission {
    KeptPermission {
        permission: PermissionId::from_bytes([byte; 16]),
        site: "https://news.example".parse().unwrap(),
        endpoint: "https://push.example/push/abcdefghijklmnopqrstuvwxyz012345".into(),
        keys: PermissionKeys::generate(),
        site_key: Some(BoxSecretKey::generate().public()),
        name: Some("News".into()),
        renew: false,
    }
}

fn key() -> KeyringKey {
    KeyringKey::from_bytes([9; 32])
}

#[test]
fn a_full_account_fits_and_more_is_refused_before_it_is_put() {
    let mut keyring = Keyring::new(user());
    for number in 0..1000_u16 {
        let mut kept = kept(0);
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        kept.permission = PermissionId::from_bytes(id);
        kept.endpoint = format!(
            "https://push.example/push/{}",
            crate::keys::encode(&crate::keys::random::<24>())
        );
        keyring.put_permission(&kept, 1_795_600_000_000);
    }
    let sealed = keyring.seal(&key(), [1; 24]).unwrap();
    assert_eq!(Keyring::open(&sealed, &key()).unwrap(), keyring);
    // Random text does not get smaller: 300,000 bytes are more than the server takes.
    let noise = crate::keys::encode(&crate::keys::random::<300_000>());
    keyring.other.insert("noise".into(), noise.into());
    assert_eq!(keyring.seal(&key(), [1; 24]), Err(KeyringProblem::TooLarge));
}

#[test]
fn a_small_blob_that_inflates_to_much_is_refused() {
    let json = vec![b' '; INFLATED_BYTES_MAX + 1];
    let mut padded = miniz_oxide::deflate::compress_to_vec(&json, 9);
    padded.push(0x80);
    let sealed = [&[VERSION], seal_box(&[9; 32], [1; 24], &padded).as_slice()].concat();
    assert!(sealed.len() < 10_000);
    assert_eq!(
        Keyring::open(&sealed, &key()),
        Err(KeyringProblem::TooLarge)
    );
}

#[test]
fn what_is_no_keyring_is_told_from_what_does_not_open() {
    let sealed_of =
        |padded: &[u8]| [&[VERSION], seal_box(&[9; 32], [1; 24], padded).as_slice()].concat();
    let check = |sealed: &[u8], malformed: bool| {
        let problem = Keyring::open(sealed, &key()).unwrap_err();
        assert_eq!(
            matches!(problem, KeyringProblem::Malformed(_)),
            malformed,
            "{problem}"
        );
    };
    check(&[], true);
    check(&[2; 100], true);
    check(&[VERSION], false);
    check(&[VERSION; 100], false);
    check(&sealed_of(b""), true);
    check(&sealed_of(&[0; 1024]), true);
    check(&sealed_of(&[1, 0, 0]), true);
    check(&sealed_of(&[0xff, 0x80, 0]), true);
    let not_json = miniz_oxide::deflate::compress_to_vec(b"[]", 6);
    check(&sealed_of(&[not_json, vec![0x80]].concat()), true);
}

#[test]
fn a_change_is_always_later_than_the_one_before_whatever_the_clock_says() {
    let mut keyring = Keyring::new(user());
    keyring.put_device(&device(1), 1000);
    keyring.put_device(&device(1), 10);
    assert_eq!(keyring.devices[0].changed(), 1001);
    keyring.remove_device(device(1).id, 5);
    assert_eq!(keyring.devices[0].changed(), 1002);
    let gone = serde_json::json!({"id": device(1).id, "removed": true, "changed": 1002});
    assert_eq!(serde_json::to_value(&keyring.devices[0]).unwrap(), gone);
    assert!(!keyring.trusts(&device(1).key));
    keyring.put_device(&device(1), 2000);
    assert!(keyring.trusts(&device(1).key));
}

#[test]
fn an_unknown_field_outlives_a_change_of_its_item() {
    let mut keyring = Keyring::new(user());
    keyring.put_permission(&kept(1), 1);
    keyring.permissions[0].set("colour", "#fff".into());
    keyring.put_permission(&kept(1), 2);
    keyring.flag_all_for_renewal(3);
    assert_eq!(keyring.permissions[0].text("colour"), Some("#fff"));
    let id = kept(1).permission;
    assert!(keyring.permissions()[&id].renew);
}

#[test]
fn a_pin_that_cannot_be_read_does_not_turn_into_none() {
    let mut keyring = Keyring::new(user());
    keyring.put_permission(&kept(1), 1);
    for pin in [
        serde_json::json!("short"),
        serde_json::json!(7),
        Value::Null,
    ] {
        keyring.permissions[0].set("siteKey", pin);
        assert!(keyring.permissions().is_empty());
    }
}

mod bytes_of_strangers {
    use super::*;
    use crate::link::LinkSecret;
    use crate::recovery::Phrase;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_panic_and_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..600), text in "\\PC{0,60}") {
            let secret = BoxSecretKey::from_bytes([9; 32]);
            prop_assert!(Keyring::open(&bytes, &key()).is_err());
            // Also from who has the key and seals nonsense.
            let sealed = [&[VERSION], seal_box(&[9; 32], [1; 24], &bytes).as_slice()].concat();
            let _ = Keyring::open(&sealed, &key());
            prop_assert!(crate::wrap::open(&bytes, &secret).is_err());
            let wrap = crate::wrap::seal_bytes(&bytes, &secret, &secret.public(), [1; 24]);
            prop_assert!(crate::wrap::open(&wrap, &secret).is_err());
            let keys = LinkSecret::from_bytes([9; 16]).keys();
            prop_assert!(keys.open_request(&bytes).is_none() && keys.open_answer(&bytes).is_none());
            prop_assert!(text.parse::<LinkSecret>().is_err() && text.parse::<Phrase>().is_err());
        }
    }
}
