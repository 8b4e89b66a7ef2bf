//! One suite for both databases.

#![allow(clippy::unwrap_used)]

mod admins;
mod bans;
mod postgresql;
mod rolls;
mod series;
mod sites;
mod webhooks;

use super::*;
use belfry_protocol::id::{PermissionId, SessionId, SiteKeyId};
use belfry_protocol::push::Urgency;
use belfry_protocol::time::Timestamp;

fn now() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

fn user() -> UserId {
    UserId::from_bytes([1; 16])
}

#[tokio::test]
async fn everything_holds_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("directory.sqlite");
    suite(&format!("sqlite:{}", file.display())).await;
}

#[tokio::test]
async fn everything_holds_on_postgresql() {
    let server = postgresql::PostgreSql::start();
    suite(&server.url()).await;
}

async fn suite(url: &str) {
    let directory = Directory::open(url).await.unwrap();
    everything(&directory).await;
    directory.close().await;
    for _ in 0..2 {
        let again = Directory::open(url).await.unwrap();
        assert!(again.ready().await);
        let secret = again.server_secret("seal", [3; 32]).await.unwrap();
        assert_eq!(secret, [1; 32], "opening again takes nothing away");
        let other = UserId::from_bytes([2; 16]);
        assert_eq!(again.count_permissions(other).await.unwrap(), 1);
        again.close().await;
    }
}

async fn everything(directory: &Directory) {
    accounts_and_sign_ins(directory).await;
    devices(directory).await;
    permissions(directory).await;
    keyrings(directory).await;
    // Ahead of all that writes to the audit log: it counts its rows.
    admins::everything(directory).await;
    sites::everything(directory).await;
    webhooks::everything(directory).await;
    series::everything(directory).await;
    rolls::everything(directory).await;
    bans::everything(directory).await;
    let first = directory.server_secret("seal", [1; 32]).await.unwrap();
    assert_eq!(
        directory.server_secret("seal", [2; 32]).await.unwrap(),
        first
    );
    directory.erase_account(user(), now()).await.unwrap();
    assert_eq!(directory.account(user()).await.unwrap(), None);
    assert!(directory.devices(user()).await.unwrap().is_empty());
    assert_eq!(
        directory
            .endpoint(SecretHash::of(b"endpoint"))
            .await
            .unwrap(),
        None
    );
}

async fn accounts_and_sign_ins(directory: &Directory) {
    directory
        .create_account(user(), "Ada", "$argon2id$", now())
        .await
        .unwrap();
    let other = UserId::from_bytes([2; 16]);
    let taken = directory.create_account(other, "ada", "x", now()).await;
    assert!(matches!(taken, Err(DirectoryError::Taken)));
    let found = directory.account_by_name("ADA").await.unwrap().unwrap();
    assert_eq!((found.user, found.display_name.as_str()), (user(), "Ada"));

    away_grace(directory).await;

    let token = SecretHash::of(b"token");
    let lifetime = Duration::from_secs(7_200);
    let sign_in = SignIn {
        id: SessionId::from_bytes([3; 16]),
        user: user(),
        device: None,
        created: now(),
        used: now(),
        expires: now().plus(lifetime),
    };
    directory.create_sign_in(token, &sign_in).await.unwrap();
    assert_eq!(
        directory
            .sign_in_by_token(token, lifetime, now())
            .await
            .unwrap(),
        Some(sign_in)
    );
    let later = now().plus(Duration::from_secs(7_000));
    assert!(
        directory
            .sign_in_by_token(token, lifetime, later)
            .await
            .unwrap()
            .is_some()
    );
    let extended = now().plus(Duration::from_secs(14_000));
    assert!(
        directory
            .sign_in_by_token(token, lifetime, extended)
            .await
            .unwrap()
            .is_some(),
        "use extends it"
    );
    let over = now().plus(Duration::from_secs(40_000));
    assert_eq!(
        directory
            .sign_in_by_token(token, lifetime, over)
            .await
            .unwrap(),
        None
    );
    assert_eq!(directory.sign_ins(user(), now()).await.unwrap().len(), 1);
    sign_ins_end(directory, sign_in, lifetime).await;
}

async fn away_grace(directory: &Directory) {
    for secs in [None, Some(0), Some(3_600), None] {
        let grace = secs.map(Duration::from_secs);
        directory.set_away_grace(user(), grace).await.unwrap();
        // The first look-up fills the cache, which the next change empties.
        for _ in 0..2 {
            assert_eq!(directory.away_grace(user()).await.unwrap(), grace);
        }
        let account = directory.account(user()).await.unwrap().unwrap();
        assert_eq!(account.away_grace, grace);
    }
    let nobody = UserId::from_bytes([99; 16]);
    assert_eq!(directory.away_grace(nobody).await.unwrap(), None);
}

async fn sign_ins_end(directory: &Directory, first: SignIn, lifetime: Duration) {
    for number in [4, 5] {
        let another = SignIn {
            id: SessionId::from_bytes([number; 16]),
            ..first
        };
        let token = SecretHash::of(&[number]);
        directory.create_sign_in(token, &another).await.unwrap();
    }
    let end = async |number| {
        let id = SessionId::from_bytes([number; 16]);
        directory.end_sign_in(user(), id).await.unwrap()
    };
    assert!(end(4).await);
    assert!(!end(4).await, "it is over already");
    let others = UserId::from_bytes([2; 16]);
    assert!(!directory.end_sign_in(others, first.id).await.unwrap());

    directory
        .set_password(user(), "$argon2id$new", first.id)
        .await
        .unwrap();
    let account = directory.account(user()).await.unwrap().unwrap();
    assert_eq!(account.password_hash.as_deref(), Some("$argon2id$new"));
    let left = directory.sign_ins(user(), now()).await.unwrap();
    let left: Vec<SessionId> = left.iter().map(|sign_in| sign_in.id).collect();
    assert_eq!(left, [first.id], "a new password ends all others");
    let ended = directory.sign_in_by_token(SecretHash::of(&[5]), lifetime, now());
    assert_eq!(ended.await.unwrap(), None);
}

async fn devices(directory: &Directory) {
    let device = Device {
        id: DeviceId::from_bytes([4; 16]),
        name: "laptop".to_owned(),
        kind: DeviceKind::Cli,
        public_key: [9; 32],
        urgency_min: Urgency::Low,
        created: now(),
        last_seen: None,
    };
    let made_with = SessionId::from_bytes([3; 16]);
    let new = NewDevice {
        device: device.clone(),
        password: SecretHash::of(b"password"),
        made_with,
    };
    directory.create_device(user(), &new).await.unwrap();
    assert_eq!(
        directory.devices(user()).await.unwrap(),
        std::slice::from_ref(&device)
    );
    let verify = async |password: &[u8]| {
        directory
            .verify_device(user(), device.id, SecretHash::of(password))
            .await
            .unwrap()
    };
    assert!(verify(b"password").await);
    assert!(!verify(b"other").await);
    assert_eq!(
        directory.user_of_device(device.id).await.unwrap(),
        Some(user())
    );
    assert!(
        directory
            .change_device(user(), device.id, Some("phone"), None)
            .await
            .unwrap()
    );
    let urgency_min = async || directory.urgency_min(user(), device.id).await.unwrap();
    assert_eq!(urgency_min().await, Urgency::Low);
    for urgency in [Urgency::High, Urgency::VeryLow] {
        let changing = directory.change_device(user(), device.id, None, Some(urgency));
        assert!(changing.await.unwrap());
        assert_eq!(urgency_min().await, urgency);
        let read = directory.devices(user()).await.unwrap().remove(0);
        assert_eq!(read.urgency_min, urgency);
        assert!(verify(b"password").await);
    }
    let nobody = DeviceId::from_bytes([9; 16]);
    let changing = directory.change_device(user(), nobody, None, Some(Urgency::High));
    assert!(!changing.await.unwrap());
    let earlier = Timestamp::from_millis(now().as_millis() - 1);
    for at in [now(), earlier] {
        directory.note_seen(user(), device.id, at);
        directory.write_down_notes().await.unwrap();
    }
    let renamed = directory.devices(user()).await.unwrap().remove(0);
    assert_eq!(
        (renamed.name.as_str(), renamed.last_seen),
        ("phone", Some(now()))
    );
    // A look-up reads the password, the device is removed, and only then does it cache what it read.
    let (since, key) = (directory.moment(), (user(), device.id));
    assert!(directory.delete_device(user(), device.id).await.unwrap());
    let read = devices::Known {
        password: SecretHash::of(b"password"),
        urgency_min: Urgency::Low,
    };
    directory
        .remember(&directory.known_devices, key, read, since)
        .await;
    assert!(
        !verify(b"password").await,
        "a removed device's password is not remembered"
    );
    assert!(
        directory.sign_ins(user(), now()).await.unwrap().is_empty(),
        "its sign-in went with it"
    );
    assert!(!directory.delete_device(user(), device.id).await.unwrap());
}

async fn permissions(directory: &Directory) {
    let permission = |number: u8| Permission {
        id: PermissionId::from_bytes([number; 16]),
        site: "https://news.example".parse().unwrap(),
        name: None,
        state: PermissionState::Allowed,
        receipts: false,
        created: now(),
        accepted: 0,
        last_used: None,
    };
    for (number, secret) in [(5, "endpoint"), (6, "another")] {
        let new = NewPermission {
            permission: permission(number),
            application_server_key: Some(vec![4; 65]),
            endpoint: SecretHash::of(secret.as_bytes()),
        };
        directory.create_permission(user(), &new).await.unwrap();
    }
    let endpoint = directory
        .endpoint(SecretHash::of(b"endpoint"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (endpoint.user, endpoint.permission),
        (user(), permission(5).id)
    );
    assert_eq!(endpoint.state, PermissionState::Allowed);
    assert_eq!(
        directory.endpoint(SecretHash::of(b"none")).await.unwrap(),
        None
    );
    read_ahead(directory, &endpoint).await;
    assert_eq!(directory.count_permissions(user()).await.unwrap(), 2);
    assert_eq!(
        directory.permissions(user(), None, 1).await.unwrap(),
        [permission(5)]
    );
    assert_eq!(
        directory
            .permissions(user(), Some(permission(5).id), 9)
            .await
            .unwrap(),
        [permission(6)]
    );

    let mut changed = uses_are_seen_before_they_are_written(directory).await;
    changed.state = PermissionState::Revoked;
    directory.update_permission(user(), &changed).await.unwrap();
    let endpoint = directory
        .endpoint(SecretHash::of(b"endpoint"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        endpoint.state,
        PermissionState::Revoked,
        "the cache does not hide it"
    );
    changed.state = PermissionState::Allowed;
    directory.update_permission(user(), &changed).await.unwrap();
    let still = directory
        .permission(user(), changed.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        still.state,
        PermissionState::Revoked,
        "revoked stays revoked"
    );
    assert_eq!(
        directory.permissions(user(), None, 9).await.unwrap(),
        [permission(6)]
    );

    let other = UserId::from_bytes([2; 16]);
    let new = NewPermission {
        permission: permission(5),
        application_server_key: None,
        endpoint: SecretHash::of(b"of another user"),
    };
    directory.create_permission(other, &new).await.unwrap();
    let mut all = Vec::new();
    while let page = directory.all_permissions(all.last().copied(), 1).await
        && let Some((of, permission, endpoint)) = page.unwrap().pop()
    {
        let found = directory.endpoint(endpoint).await.unwrap().unwrap();
        assert_eq!((found.user, found.permission), (of, permission.id));
        all.push((of, permission.id));
    }
    let expected = [(user(), permission(6).id), (other, permission(5).id)];
    assert_eq!(all, expected, "without what was revoked");
}

/// Those that are read together are what is read alone, and in memory then.
async fn read_ahead(directory: &Directory, first: &Endpoint) {
    let hashes = ["none", "endpoint", "another"].map(|text| SecretHash::of(text.as_bytes()));
    // More than one statement, all but a few of them for nobody.
    let strangers = (0..70u8).map(|number| SecretHash::of(&[number]));
    let asked: Vec<_> = strangers.chain(hashes).collect();
    directory.endpoints.invalidate_all();
    directory.endpoints.run_pending_tasks().await;
    directory.read_endpoints(&asked).await.unwrap();
    assert!(!directory.endpoints.contains_key(&hashes[0]));
    let known = directory.endpoints.get(&hashes[1]).await;
    assert_eq!(known.as_ref(), Some(first));
    let second = directory.endpoints.get(&hashes[2]).await.unwrap();
    directory.endpoints.invalidate(&hashes[2]).await;
    let alone = directory.endpoint(hashes[2]).await.unwrap();
    assert_eq!(alone.as_ref(), Some(&second));
    directory.read_endpoints(&[]).await.unwrap();
}

async fn keyrings(directory: &Directory) {
    assert_eq!(directory.keyring(user()).await.unwrap(), None);
    assert_eq!(
        directory.put_keyring(user(), b"one", 0, &[]).await.unwrap(),
        Some(1)
    );
    assert_eq!(
        directory
            .put_keyring(user(), b"lost", 0, &[])
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        directory.put_keyring(user(), b"two", 1, &[]).await.unwrap(),
        Some(2)
    );
    assert_eq!(
        directory
            .put_keyring(user(), b"lost", 1, &[])
            .await
            .unwrap(),
        None
    );
    let keyring = directory.keyring(user()).await.unwrap().unwrap();
    assert_eq!(
        (keyring.sealed.as_slice(), keyring.version),
        (&b"two"[..], 2)
    );
    directory
        .put_keyring_wrap(user(), "recovery", b"a")
        .await
        .unwrap();
    directory
        .put_keyring_wrap(user(), "recovery", b"b")
        .await
        .unwrap();
    assert_eq!(
        directory.keyring_wrap(user(), "recovery").await.unwrap(),
        Some(b"b".to_vec())
    );
    assert_eq!(directory.keyring_wrap(user(), "none").await.unwrap(), None);
    whole_keyrings(directory).await;
}

async fn whole_keyrings(directory: &Directory) {
    let wraps =
        |mark: &[u8]| ["recovery", "device"].map(|recipient| (recipient.to_owned(), mark.to_vec()));
    let check = async |sealed: &[u8], version, mark: &[u8]| {
        let keyring = directory.keyring(user()).await.unwrap().unwrap();
        assert_eq!((&*keyring.sealed, keyring.version), (sealed, version));
        for recipient in ["recovery", "device"] {
            let wrap = directory.keyring_wrap(user(), recipient).await.unwrap();
            assert_eq!(wrap.as_deref(), Some(mark), "{recipient}");
        }
    };
    let put = async |sealed: &[u8], replaces, wraps: &[(String, Vec<u8>)]| {
        let put = directory.put_keyring(user(), sealed, replaces, wraps);
        put.await.unwrap()
    };
    assert_eq!(put(b"three", 2, &wraps(b"c")).await, Some(3));
    check(b"three", 3, b"c").await;
    for late in [0, 1, 2, 4] {
        assert_eq!(put(b"late", late, &wraps(b"no")).await, None, "{late}");
        check(b"three", 3, b"c").await;
    }
    // Of two at once one is refused whole.
    let (one, two) = (wraps(b"d"), wraps(b"e"));
    let (one, two) = tokio::join!(put(b"d", 3, &one), put(b"e", 3, &two));
    match (one, two) {
        (Some(4), None) => check(b"d", 4, b"d").await,
        (None, Some(4)) => check(b"e", 4, b"e").await,
        both => panic!("{both:?}"),
    }
    assert_eq!(put(b"five", 4, &wraps(b"f")[..1]).await, Some(5));
    let other = directory.keyring_wrap(user(), "device").await.unwrap();
    assert_ne!(other.as_deref(), Some(&b"f"[..]), "it was not named");
}

async fn uses_are_seen_before_they_are_written(directory: &Directory) -> Permission {
    let id = PermissionId::from_bytes([5; 16]);
    let site = "https://news.example".parse().unwrap();
    let read = async || {
        let one = directory.permission(user(), id).await.unwrap().unwrap();
        let listed = directory.permissions(user(), None, 1).await.unwrap();
        assert_eq!(listed, std::slice::from_ref(&one));
        one
    };
    for times in 1..=3 {
        directory.note_use(user(), id, &site, now());
        let used = read().await;
        assert_eq!((used.accepted, used.last_used), (times, Some(now())));
    }
    // Written once, whatever else is written after it.
    for _ in 0..2 {
        directory.write_down_notes().await.unwrap();
        assert_eq!(read().await.accepted, 3);
    }
    directory.note_use(user(), id, &site, now());
    directory.write_down_notes().await.unwrap();
    let used = read().await;
    assert_eq!((used.accepted, used.last_used), (4, Some(now())));
    used
}

#[tokio::test]
async fn what_could_not_be_written_down_waits_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("directory.sqlite");
    let url = format!("sqlite:{}", file.display());
    let directory = Directory::open(&url).await.unwrap();
    let device = DeviceId::from_bytes([4; 16]);
    directory.note_seen(user(), device, now());
    let site = "https://news.example".parse().unwrap();
    directory.note_use(user(), PermissionId::from_bytes([5; 16]), &site, now());
    directory.note_call(&site, SiteKeyId::from_bytes([6; 16]), now());
    directory.close().await;
    assert!(directory.write_down_notes().await.is_err());
    assert_eq!(directory.notes.waiting(), (1, 1, 1));
}
