//! Devices and a server that may lie: what is taken, what is refused, and that nothing is lost.

#![allow(clippy::unwrap_used)]

mod stand_in;

use super::*;
use crate::keyring::KeptPermission;
use crate::keys::PermissionKeys;
use crate::state::StateDir;
use crate::wrap::{self, Payload};
use belfry_protocol::id::PermissionId;
use stand_in::StandIn;

const USER: [u8; 16] = [1; 16];

/// A device with a folder of its own.
struct Device {
    keys: Keys,
    itself: TrustedDevice,
    _folder: tempfile::TempDir,
}

impl Device {
    fn new(server: &StandIn, byte: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = StateDir::find(Some(folder.path()), |_| None).unwrap();
        let secret = BoxSecretKey::from_bytes([byte; 32]);
        let id = DeviceId::from_bytes([byte; 16]);
        server.state().devices.push(id);
        Self {
            itself: TrustedDevice {
                id,
                key: secret.public(),
                name: format!("device {byte}"),
                kind: "cli".into(),
            },
            keys: Keys {
                server: server.server.clone(),
                file: file.key_file(None),
                user: UserId::from_bytes(USER),
                device: id,
                secret,
            },
            _folder: folder,
        }
    }

    fn request(&self) -> Request {
        Request {
            user: self.keys.user,
            device: self.itself.id,
            key: self.itself.key.clone(),
            name: self.itself.name.clone(),
            kind: self.itself.kind.clone(),
        }
    }

    async fn link(&self, new: &Self) {
        let request = new.request();
        let answer = self.keys.admit(&request).await.unwrap();
        new.keys.take_linked(&request, &answer).await.unwrap();
    }

    async fn approve(&self, byte: u8) -> Result<(), SyncError> {
        let kept = kept(byte);
        let put = |keyring: &mut Keyring, now| keyring.put_permission(&kept, now);
        self.keys.change(put).await
    }

    fn permissions(&self) -> Vec<u8> {
        let mut bytes: Vec<_> = self.keys.file.permissions().unwrap().into_keys().collect();
        bytes.sort();
        bytes.iter().map(|id| id.as_bytes()[0]).collect()
    }

    fn generation(&self) -> u64 {
        self.keys.local().unwrap().keyring.generation
    }
}

fn kept(byte: u8) -> KeptPermission {
    KeptPermission {
        permission: PermissionId::from_bytes([byte; 16]),
        site: "https://news.example".parse().unwrap(),
        endpoint: format!("https://push.example/push/{byte}"),
        keys: PermissionKeys::generate(),
        site_key: None,
        name: None,
        renew: false,
    }
}

/// A server, and two devices that are linked.
async fn two() -> (StandIn, Device, Device) {
    let server = StandIn::start().await;
    let first = Device::new(&server, 1);
    let second = Device::new(&server, 2);
    first.keys.begin_or_join(&first.itself).await.unwrap();
    first.link(&second).await;
    (server, first, second)
}

#[tokio::test]
async fn the_first_device_begins_the_keyring_and_the_next_has_to_be_linked() {
    let server = StandIn::start().await;
    let first = Device::new(&server, 1);
    first.keys.begin_or_join(&first.itself).await.unwrap();
    first.approve(7).await.unwrap();
    let second = Device::new(&server, 2);
    let refused = second.keys.begin_or_join(&second.itself).await.unwrap_err();
    assert!(matches!(refused, SyncError::NotLinked), "{refused}");
    assert!(second.keys.file.load().unwrap().is_none());
    first.link(&second).await;
    assert_eq!(second.permissions(), [7]);
    second.approve(8).await.unwrap();
    assert!(first.keys.sync().await.unwrap());
    assert_eq!(first.permissions(), [7, 8]);
    assert!(!first.keys.sync().await.unwrap(), "nothing is new");
    let puts = server.state().puts;
    assert!(!second.keys.sync().await.unwrap());
    assert_eq!(server.state().puts, puts, "nothing to put is not put");
}

#[tokio::test]
async fn two_that_begin_at_once_have_one_keyring() {
    let server = StandIn::start().await;
    let (first, second) = (Device::new(&server, 1), Device::new(&server, 2));
    // Both looked, and saw none.
    for device in [&first, &second] {
        let change = |copy: &mut Option<LocalCopy>| {
            let copy = copy.get_or_insert_with(|| LocalCopy::new(UserId::from_bytes(USER)));
            copy.keyring.put_device(&device.itself, 1);
        };
        device.keys.file.change(change).unwrap();
    }
    first.keys.sync().await.unwrap();
    let refused = second.keys.sync().await.unwrap_err();
    assert!(matches!(refused, SyncError::NotLinked), "{refused}");
    first.link(&second).await;
    first.keys.sync().await.unwrap();
}

#[tokio::test]
async fn devices_that_edit_at_once_lose_nothing() {
    let (server, first, second) = two().await;
    for round in 0..10 {
        let third = [&first, &second];
        let [a, b] = third.map(|device| device.approve(round * 2 + device.itself.id.as_bytes()[0]));
        let (a, b) = tokio::join!(a, b);
        a.unwrap();
        b.unwrap();
    }
    first.keys.sync().await.unwrap();
    second.keys.sync().await.unwrap();
    assert_eq!(first.permissions().len(), 20);
    assert_eq!(first.permissions(), second.permissions());
    assert!(
        server.state().puts > 21,
        "no race was lost, so nothing was tried"
    );
}

#[tokio::test]
async fn a_change_without_a_server_goes_with_the_next_contact() {
    let (server, first, second) = two().await;
    server.state().down = true;
    let failed = first.approve(7).await.unwrap_err();
    assert!(matches!(failed, SyncError::Server(_)), "{failed}");
    assert_eq!(first.permissions(), [7]);
    server.state().down = false;
    // Others were at it meanwhile: what the server has is not taken for an old one.
    second.approve(8).await.unwrap();
    second.approve(9).await.unwrap();
    first.keys.sync().await.unwrap();
    second.keys.sync().await.unwrap();
    assert_eq!(first.permissions(), [7, 8, 9]);
    assert_eq!(second.permissions(), [7, 8, 9]);
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_no_harm() {
    let (server, first, second) = two().await;
    server.state().loses_answers = true;
    first.approve(7).await.unwrap_err();
    server.state().loses_answers = false;
    let puts = server.state().puts;
    first.keys.sync().await.unwrap();
    assert_eq!(server.state().puts, puts);
    second.keys.sync().await.unwrap();
    assert_eq!(second.permissions(), [7]);
}

#[tokio::test]
async fn a_race_that_is_always_lost_is_given_up() {
    let (server, first, _) = two().await;
    let before = server.state().puts;
    server.state().always_lost = true;
    let refused = first.approve(7).await.unwrap_err();
    assert!(matches!(refused, SyncError::Busy), "{refused}");
    assert_eq!(server.state().puts - before, TRIES_MAX);
    assert_eq!(first.permissions(), [7], "the change is kept");
}

/// A lie is refused for this reason, nothing is uploaded, and the local copy stays.
async fn refuses(server: &StandIn, device: &Device, word: &str) {
    let (before, puts) = (device.keys.local().unwrap(), server.state().puts);
    let refused = device.keys.sync().await.unwrap_err();
    let SyncError::Refused(reason) = &refused else {
        panic!("{refused}");
    };
    assert_eq!(reason.word(), word, "{refused}");
    let tried = device.approve(99).await.unwrap_err();
    assert!(matches!(tried, SyncError::Refused(_)), "{tried}");
    let wanted = device.keys.new_phrase().await.unwrap_err();
    assert!(matches!(wanted, SyncError::Refused(_)), "{wanted}");
    assert_eq!(server.state().puts, puts, "nothing is uploaded");
    device
        .keys
        .file
        .change(|copy| {
            let copy = copy.as_mut().unwrap();
            assert_eq!(copy.key, before.key);
            assert_eq!(copy.keyring.generation, before.keyring.generation);
            *copy = before;
        })
        .unwrap();
}

#[tokio::test]
async fn a_keyring_that_was_rolled_back_is_refused_until_it_is_repaired() {
    let (server, first, second) = two().await;
    first.approve(7).await.unwrap();
    second.keys.sync().await.unwrap();
    let old = server.state().clone();
    second.approve(8).await.unwrap();
    first.keys.sync().await.unwrap();
    *server.state() = old;
    refuses(&server, &first, "older").await;
    assert!(first.keys.repair().await.unwrap());
    assert!(!first.keys.repair().await.unwrap(), "nothing to repair");
    second.keys.sync().await.unwrap();
    assert_eq!(second.permissions(), [7, 8]);
    assert_eq!(second.generation(), first.generation());
}

#[tokio::test]
async fn a_keyring_that_is_gone_is_refused_until_it_is_repaired() {
    let (server, first, _) = two().await;
    let puts = server.state().puts;
    server.state().keyring = None;
    let refused = first.approve(7).await.unwrap_err();
    assert!(matches!(refused, SyncError::Vanished(_)), "{refused}");
    assert_eq!(server.state().puts, puts);
    assert!(first.keys.repair().await.unwrap());
    first.keys.sync().await.unwrap();
}

#[tokio::test]
async fn the_servers_own_key_sealed_to_every_device_is_refused() {
    let (server, first, _) = two().await;
    let evil = KeyringKey::from_bytes([66; 32]);
    let thief = BoxSecretKey::from_bytes([66; 32]);
    let mut theirs = first.keys.local().unwrap().keyring;
    theirs.epoch += 1;
    theirs.generation += 1;
    theirs.put_device(&Device::new(&server, 66).itself, 1);
    let payload = Payload {
        user: theirs.user,
        epoch: theirs.epoch,
        generation: theirs.generation,
        key: evil.clone(),
    };
    let wrap = wrap::seal(&payload, &thief, &first.itself.key, random());
    server.state().keyring = Some(theirs.seal(&evil, random()).unwrap());
    server
        .state()
        .wraps
        .insert(first.itself.id.to_string(), wrap);
    refuses(&server, &first, "wrap-unknown-sender").await;
    server.state().wraps.clear();
    refuses(&server, &first, "does-not-open").await;
    // Nor is that repaired: it could be the keyring of a later epoch.
    let refused = first.keys.repair().await.unwrap_err();
    assert!(matches!(refused, SyncError::Refused(_)), "{refused}");
}

#[tokio::test]
async fn a_key_that_the_server_swapped_at_linking_gets_nothing() {
    let (server, first, second) = two().await;
    let new = Device::new(&server, 3);
    let thief = Device::new(&server, 66);
    let request = new.request();
    let answer = first.keys.admit(&request).await.unwrap();
    // The wrap is for the key in the request, which the server never touched.
    let wrap = server.state().wraps[&new.itself.id.to_string()].clone();
    assert!(wrap::open(&wrap, &thief.keys.secret).is_err());
    // And the new device takes none from another key than the one in the answer.
    let (_, payload) = wrap::open(&wrap, &new.keys.secret).unwrap();
    for sender in [&thief, &second] {
        let other = wrap::seal(&payload, &sender.keys.secret, &new.itself.key, random());
        server
            .state()
            .wraps
            .insert(new.itself.id.to_string(), other);
        let refused = new.keys.take_linked(&request, &answer).await.unwrap_err();
        let SyncError::Refused(reason) = refused else {
            panic!("{refused}")
        };
        assert_eq!(reason, Refused::UnknownSender);
        assert!(new.keys.file.load().unwrap().is_none());
    }
    server.state().wraps.insert(new.itself.id.to_string(), wrap);
    new.keys.take_linked(&request, &answer).await.unwrap();
}

#[tokio::test]
async fn a_new_device_with_the_id_of_a_trusted_one_takes_nobodys_place() {
    let (server, first, second) = two().await;
    let before = server.state().keyring.clone();
    let mut request = Device::new(&server, 3).request();
    request.device = second.itself.id;
    let refused = first.keys.admit(&request).await.unwrap_err();
    assert!(matches!(refused, SyncError::IdTaken(_)), "{refused}");
    assert_eq!(server.state().keyring, before);
    assert!(
        first
            .keys
            .local()
            .unwrap()
            .keyring
            .trusts(&second.itself.key)
    );
    // The same device again is no other.
    first.keys.admit(&second.request()).await.unwrap();
}

#[tokio::test]
async fn a_removed_device_has_no_key_to_what_comes_after() {
    let (server, first, second) = two().await;
    let third = Device::new(&server, 3);
    first.link(&third).await;
    first.approve(7).await.unwrap();
    second.keys.sync().await.unwrap();
    third.keys.sync().await.unwrap();
    let phrase = first.keys.new_phrase().await.unwrap();

    server.state().devices.retain(|id| *id != second.itself.id);
    first.keys.rotate_without(second.itself.id).await.unwrap();
    assert!(first.keys.file.get(kept(7).permission).unwrap().renew);
    let copy = first.keys.local().unwrap();
    assert_eq!(copy.keyring.epoch, 2);
    assert!(!copy.keyring.trusts(&second.itself.key));
    // A stolen sign-in changes nothing: it has neither the key nor a wrap.
    refuses(&server, &second, "wrap-old-epoch").await;
    // The one that is left takes the new key, and is read by the first.
    assert!(third.keys.sync().await.unwrap());
    third.approve(8).await.unwrap();
    first.keys.sync().await.unwrap();
    assert_eq!(first.permissions(), [7, 8]);
    // What the removed device seals, its friends refuse.
    let old = second.keys.local().unwrap();
    let mut forged = old.keyring.clone();
    forged.generation = 1000;
    server.state().keyring = Some(forged.seal(&old.key, random()).unwrap());
    refuses(&server, &first, "wrap-old-epoch").await;
    first.keys.repair().await.unwrap_err();
    server.state().keyring = Some(copy.keyring.seal(&copy.key, random()).unwrap());
    // The phrase outlives the change of the key.
    let last = Device::new(&server, 4);
    last.keys.recover(&phrase, &last.itself).await.unwrap();
    assert_eq!(last.permissions(), [7]);
}

#[tokio::test]
async fn a_crash_between_a_new_key_and_its_file_loses_nothing() {
    let (server, first, second) = two().await;
    let third = Device::new(&server, 3);
    first.link(&third).await;
    let before = first.keys.local().unwrap();
    server.state().devices.retain(|id| *id != third.itself.id);
    first.keys.rotate_without(third.itself.id).await.unwrap();
    std::fs::remove_file(first.keys.file.path()).unwrap();
    first.keys.file.change(|copy| *copy = Some(before)).unwrap();
    assert!(first.keys.sync().await.unwrap());
    assert_eq!(first.keys.local().unwrap().keyring.epoch, 2);
    second.keys.sync().await.unwrap();
    second.approve(7).await.unwrap();
    first.keys.sync().await.unwrap();
    assert_eq!(first.permissions(), [7]);
}

#[tokio::test]
async fn a_device_that_the_server_no_longer_has_does_not_stop_a_new_key() {
    let (server, first, second) = two().await;
    let third = Device::new(&server, 3);
    first.link(&third).await;
    server.state().devices.retain(|id| *id == first.itself.id);
    first.keys.rotate_without(third.itself.id).await.unwrap();
    assert!(
        first
            .keys
            .local()
            .unwrap()
            .keyring
            .trusts(&second.itself.key)
    );
}

#[tokio::test]
async fn a_phrase_recovers_and_an_old_one_does_not() {
    let (server, first, _) = two().await;
    first.approve(7).await.unwrap();
    let new = Device::new(&server, 3);
    let old = first.keys.new_phrase().await.unwrap();
    let phrase = first.keys.new_phrase().await.unwrap();
    let refused = new.keys.recover(&old, &new.itself).await.unwrap_err();
    assert!(refused.to_string().contains("newer one"), "{refused}");
    assert!(new.keys.file.load().unwrap().is_none());
    new.keys.recover(&phrase, &new.itself).await.unwrap();
    assert_eq!(new.permissions(), [7]);
    first.keys.sync().await.unwrap();
    assert!(first.keys.local().unwrap().keyring.trusts(&new.itself.key));
    // A keyring below the wrap is an old one.
    let mut early = first.keys.local().unwrap();
    early.keyring.generation = 1;
    server.state().keyring = Some(early.keyring.seal(&early.key, random()).unwrap());
    let late = Device::new(&server, 4);
    let refused = late.keys.recover(&phrase, &late.itself).await.unwrap_err();
    assert!(
        matches!(refused, SyncError::Refused(Refused::Older { .. })),
        "{refused}"
    );
}

#[tokio::test]
async fn a_copy_of_another_account_is_not_touched() {
    let (_server, mut first, _) = two().await;
    let before = first.keys.local().unwrap();
    first.keys.user = UserId::from_bytes([9; 16]);
    let refused = first.keys.begin_or_join(&first.itself).await.unwrap_err();
    assert!(matches!(refused, SyncError::OtherAccount(_)), "{refused}");
    assert_eq!(first.keys.file.load().unwrap(), Some(before));
}
