//! Who administers, with what, and what is written of it.

use super::super::transaction::execute_in;
use super::*;
use belfry_protocol::id::{AdminTokenId, LinkId, PasskeyId};
use serde_json::json;

pub(super) async fn everything(directory: &Directory) {
    roles(directory).await;
    tokens(directory).await;
    sessions(directory).await;
    links(directory).await;
    second_factors(directory).await;
    rows(directory).await;
    tampering(directory).await;
    removal_for_age(directory).await;
}

fn ada() -> UserId {
    UserId::from_bytes([0xad; 16])
}

fn bob() -> UserId {
    UserId::from_bytes([0xb0; 16])
}

fn later(secs: u64) -> Timestamp {
    now().plus(Duration::from_secs(secs))
}

async fn roles(directory: &Directory) {
    let set = async |user, role| {
        directory
            .set_role(user, role, &Actor::Operator, now())
            .await
    };
    for (user, name) in [(ada(), "Zoë"), (bob(), "Bert")] {
        directory
            .create_account(user, name, "hash", now())
            .await
            .unwrap();
    }
    assert!(!directory.has_admin().await.unwrap());
    assert_eq!(directory.role(ada()).await.unwrap(), Role::None);
    assert!(set(ada(), Role::Admin).await.unwrap());
    assert!(directory.has_admin().await.unwrap());
    let last = set(ada(), Role::Viewer).await;
    assert!(matches!(last, Err(DirectoryError::LastAdmin)));
    let erased = directory.erase_account(ada(), now()).await;
    assert!(matches!(erased, Err(DirectoryError::LastAdmin)));
    assert_eq!(directory.role(ada()).await.unwrap(), Role::Admin);
    assert!(set(bob(), Role::Admin).await.unwrap());
    assert!(set(ada(), Role::Viewer).await.unwrap());
    assert_eq!(directory.role(ada()).await.unwrap(), Role::Viewer);
    let account = directory.account_by_name("zoë").await.unwrap().unwrap();
    assert_eq!(account.role, Role::Viewer);
    assert!(
        !set(UserId::from_bytes([0xff; 16]), Role::Admin)
            .await
            .unwrap()
    );
}

async fn tokens(directory: &Directory) {
    let token = AdminToken {
        id: AdminTokenId::from_bytes([1; 16]),
        name: "ci".to_owned(),
        role: Role::Viewer,
        author: Actor::Operator.name().to_owned(),
        created: now(),
        ends: Some(later(60)),
        last_used: None,
    };
    let secret = SecretHash::of(b"token");
    directory
        .create_admin_token(&token, secret, &Actor::Operator)
        .await
        .unwrap();
    let good = async |at| directory.admin_token(secret, at).await.unwrap();
    assert_eq!(good(now()).await.as_ref(), Some(&token));
    assert_eq!(good(later(60)).await, None);
    let listed = directory.admin_tokens().await.unwrap();
    assert_eq!(listed[0].last_used, Some(now()));
    let end = async || {
        directory
            .end_admin_token(token.id, &Actor::Operator, now())
            .await
    };
    assert!(end().await.unwrap() && !end().await.unwrap());
    assert_eq!(good(now()).await, None);
}

fn session(id: u8, user: UserId, at: Timestamp) -> AdminSession {
    AdminSession {
        id: SessionId::from_bytes([id; 16]),
        user,
        created: at,
        used: at,
        proven: at,
        address: "192.0.2.1".to_owned(),
        client: "Firefox on Linux".to_owned(),
    }
}

async fn sessions(directory: &Directory) {
    let by = Actor::Account {
        id: ada(),
        name: "Zoë".to_owned(),
    };
    let begin = async |id: u8, at| {
        let secret = SecretHash::of(&[id]);
        directory
            .create_admin_session(secret, &session(id, ada(), at), &by)
            .await
            .unwrap();
    };
    for id in 0..60_u8 {
        begin(id, later(u64::from(id))).await;
    }
    let all = directory.admin_sessions(ada()).await.unwrap();
    assert_eq!(
        (all.len(), all[0].id),
        (50, SessionId::from_bytes([59; 16]))
    );
    assert_eq!(
        directory.admin_session(SecretHash::of(&[9])).await.unwrap(),
        None
    );
    let seated = directory
        .admin_session(SecretHash::of(&[59]))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((seated.name.as_str(), seated.role), ("Zoë", Role::Viewer));
    let id = seated.session.id;
    directory
        .note_admin_session(id, ada(), later(100))
        .await
        .unwrap();
    directory
        .prove_admin_session(id, ada(), later(200))
        .await
        .unwrap();
    let seated = directory
        .admin_session(SecretHash::of(&[59]))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (seated.session.used, seated.session.proven),
        (later(200), later(200))
    );
    let ended = directory
        .end_admin_sessions(bob(), Some(id), &by, now())
        .await;
    assert_eq!(ended.unwrap(), 0);
    directory
        .set_admin_password(ada(), "other", id, &by, now())
        .await
        .unwrap();
    assert_eq!(directory.admin_sessions(ada()).await.unwrap().len(), 1);
    let ended = directory.end_admin_sessions(ada(), None, &by, now()).await;
    assert_eq!(ended.unwrap(), 1);
    begin(1, now()).await;
    // A new password of the user's ends these too.
    directory
        .set_password(ada(), "hash", SessionId::from_bytes([0; 16]))
        .await
        .unwrap();
    assert!(directory.admin_sessions(ada()).await.unwrap().is_empty());
}

async fn links(directory: &Directory) {
    let operator = &Actor::Operator;
    let id = |byte| LinkId::from_bytes([byte; 16]);
    let secret = |text: &str| SecretHash::of(text.as_bytes());
    let make = async |byte, text| {
        let made = directory.create_invite(id(byte), secret(text), later(60), operator, now());
        made.await.unwrap();
    };
    make(1, "invite").await;
    make(2, "ended").await;
    assert!(directory.end_link(id(2), operator, now()).await.unwrap());
    let eve = UserId::from_bytes([0xee; 16]);
    let come = async |text, name, at| {
        directory
            .create_invited_account(secret(text), (eve, name), "hash", at)
            .await
    };
    assert!(!come("ended", "Eve", now()).await.unwrap());
    assert!(!come("invite", "Eve", later(60)).await.unwrap());
    assert!(matches!(
        come("invite", "ZOË", now()).await,
        Err(DirectoryError::Taken)
    ));
    assert!(directory.is_invite(secret("invite"), now()).await.unwrap());
    assert!(come("invite", "Eve", now()).await.unwrap());
    assert!(!directory.is_invite(secret("invite"), now()).await.unwrap());
    let reset = (id(3), secret("reset"));
    assert!(
        directory
            .create_reset(eve, reset, later(60), operator, now())
            .await
            .unwrap()
    );
    let listed = directory.links(now()).await.unwrap();
    assert_eq!((listed.len(), listed[0].about.as_deref()), (1, Some("Eve")));
    let set = async || {
        directory
            .reset_password(secret("reset"), (eve, "Eve"), "new", now())
            .await
    };
    assert!(set().await.unwrap() && !set().await.unwrap());
    let account = directory.account(eve).await.unwrap().unwrap();
    assert_eq!(account.password_hash.as_deref(), Some("new"));
    make(4, "old").await;
    directory.forget_links(later(60)).await.unwrap();
    assert!(directory.links(now()).await.unwrap().is_empty());
    role_ends_resets(directory, eve).await;
    set_up(directory).await;
    directory.erase_account(eve, now()).await.unwrap();
}

async fn role_ends_resets(directory: &Directory, eve: UserId) {
    let operator = &Actor::Operator;
    let secret = SecretHash::of(b"older");
    let reset = (LinkId::from_bytes([6; 16]), secret);
    let made = directory.create_reset(eve, reset, later(60), operator, now());
    assert!(made.await.unwrap());
    for (role, ended) in [(Role::Viewer, Some(1)), (Role::None, None)] {
        let set = directory.set_role(eve, role, operator, now());
        assert!(set.await.unwrap());
        let newest = directory.audit(&AuditFilter::default(), 1).await.unwrap();
        let after = newest[0].after.as_ref().unwrap();
        assert_eq!(after.get("resets_ended"), ended.map(|n| json!(n)).as_ref());
    }
    let used = directory.reset_password(secret, (eve, "Eve"), "stolen", now());
    assert!(!used.await.unwrap());
}

async fn set_up(directory: &Directory) {
    let secret = SecretHash::of(b"setup");
    let make = async || {
        let id = LinkId::from_bytes([5; 16]);
        let made = directory.create_setup_link(id, secret, later(60), None, now());
        made.await.unwrap();
    };
    make().await;
    make().await;
    let founded = session(7, ada(), now());
    let found = async || {
        let cookie = (SecretHash::of(b"cookie"), &founded);
        directory
            .set_up(secret, (ada(), "Zoë"), Founder::Known, cookie, now())
            .await
            .unwrap()
    };
    assert!(!found().await, "there is an admin");
    let mut transaction = directory.begin().await.unwrap();
    execute_in!(&mut transaction, "UPDATE accounts SET role = 0").unwrap();
    transaction.commit().await.unwrap();
    make().await;
    let older = SecretHash::of(b"older");
    let reset = (LinkId::from_bytes([8; 16]), older);
    let reset = directory.create_reset(ada(), reset, later(60), &Actor::Operator, now());
    assert!(reset.await.unwrap());
    assert!(directory.is_setup_link(secret, now()).await.unwrap());
    assert!(!directory.is_setup_link(secret, later(60)).await.unwrap());
    assert!(found().await);
    assert!(directory.reset_of(older, now()).await.unwrap().is_none());
    assert_eq!(directory.role(ada()).await.unwrap(), Role::Admin);
    assert!(
        directory
            .admin_session(SecretHash::of(b"cookie"))
            .await
            .unwrap()
            .is_some()
    );
}

async fn second_factors(directory: &Directory) {
    let by = Actor::Account {
        id: ada(),
        name: "Zoë".to_owned(),
    };
    assert!(directory.offer_totp(ada(), b"first").await.unwrap());
    assert!(directory.offer_totp(ada(), b"second").await.unwrap());
    let take = async |step| directory.take_totp_step(ada(), step).await.unwrap();
    assert!(take(7).await && !take(7).await && !take(6).await && take(8).await);
    assert!(directory.begin_totp(ada(), &by, now()).await.unwrap());
    assert!(!directory.begin_totp(ada(), &by, now()).await.unwrap());
    assert!(!directory.offer_totp(ada(), b"third").await.unwrap());
    let totp = directory.totp(ada()).await.unwrap().unwrap();
    assert_eq!(
        (&totp.secret[..], totp.since),
        (&b"second"[..], Some(now()))
    );
    assert!(directory.end_totp(ada(), &by, now()).await.unwrap());
    assert!(!directory.end_totp(ada(), &by, now()).await.unwrap());
    let passkey = Passkey {
        id: PasskeyId::from_bytes([1; 16]),
        credential_id: b"id".to_vec(),
        credential: b"key".to_vec(),
        name: "laptop".to_owned(),
        created: now(),
        last_used: None,
    };
    directory.add_passkey(ada(), &passkey, &by).await.unwrap();
    let again = directory.add_passkey(bob(), &passkey, &by).await;
    assert!(matches!(again, Err(DirectoryError::Taken)));
    directory
        .note_passkey(ada(), passkey.id, b"newer", later(1))
        .await
        .unwrap();
    let (whose, found) = directory.passkey(b"id").await.unwrap().unwrap();
    assert_eq!(
        (whose, &found.credential[..], found.last_used),
        (ada(), &b"newer"[..], Some(later(1)))
    );
    let remove = async |user| {
        directory
            .remove_passkey(user, passkey.id, &by, now())
            .await
            .unwrap()
    };
    assert!(!remove(bob()).await && remove(ada()).await);
    directory.add_passkey(ada(), &passkey, &by).await.unwrap();
    assert!(
        directory
            .remove_second_factors(ada(), &Actor::Operator, now())
            .await
            .unwrap()
    );
    assert!(directory.passkeys(ada()).await.unwrap().is_empty());
}

async fn rows(directory: &Directory) {
    let all = directory
        .audit(&AuditFilter::default(), 1_000)
        .await
        .unwrap();
    let head = directory.audit_head().await.unwrap();
    assert_eq!((all[0].n, &all[0].hash), (head.n, &head.hash));
    let filter = |text: &str, act: &str| AuditFilter {
        words: Words::of(text).unwrap(),
        act: act.to_owned(),
        ..AuditFilter::default()
    };
    let found = async |filter: AuditFilter| directory.audit(&filter, 1_000).await.unwrap();
    let roles = found(filter("zoe", "user.role")).await;
    let changes: Vec<_> = roles.iter().map(|row| (&row.before, &row.after)).collect();
    let role = |name: &str| Some(json!({ "role": name }));
    assert_eq!(
        changes,
        [
            (&role("admin"), &role("viewer")),
            (&role("none"), &role("admin"))
        ]
    );
    assert!(found(filter("zoe %", "")).await.is_empty());
    assert!(found(filter("", "user_role")).await.is_empty());
    let oldest = AuditFilter {
        oldest_first: true,
        beyond: Some(2),
        ..AuditFilter::default()
    };
    assert_eq!(found(oldest).await[0].n, 3);
}

/// What a look through the chain says after this was done to it by hand, which is then undone.
macro_rules! after {
    ($directory:expr, $done:expr, $undone:expr, $expected:expr) => {{
        for statement in [$done, $undone] {
            let mut transaction = $directory.begin().await.unwrap();
            execute_in!(&mut transaction, statement).unwrap();
            transaction.commit().await.unwrap();
            if statement == $done {
                let found = $directory.verify_audit(None).await.unwrap();
                assert_eq!(found.broken_at, $expected, "{statement}");
            }
        }
        let found = $directory.verify_audit(None).await.unwrap();
        assert_eq!(found.broken_at, None, "{} is undone", $done);
    }};
}

async fn tampering(directory: &Directory) {
    let found = directory.verify_audit(None).await.unwrap();
    assert_eq!((found.broken_at, found.rows), (None, found.head.n));
    after!(
        directory,
        "UPDATE audit SET target = 'Eve' WHERE n = 2 AND target = 'Bert'",
        "UPDATE audit SET target = 'Bert' WHERE n = 2",
        Some(2)
    );
    after!(
        directory,
        "UPDATE audit SET at = at + 1000 WHERE n = 3",
        "UPDATE audit SET at = at - 1000 WHERE n = 3",
        Some(3)
    );
    after!(
        directory,
        "UPDATE audit SET after_json = 'x' || after_json WHERE n = 3",
        "UPDATE audit SET after_json = substr(after_json, 2) WHERE n = 3",
        Some(3)
    );
    after!(
        directory,
        "UPDATE audit SET words = 'x' || words WHERE n = 3",
        "UPDATE audit SET words = substr(words, 2) WHERE n = 3",
        Some(3)
    );
    // As if what is older had been removed for its age.
    after!(
        directory,
        "UPDATE audit_head SET removed_n = 3, removed_hash = (SELECT hash FROM audit WHERE n = 3)",
        "UPDATE audit_head SET removed_n = 0, removed_hash = NULL",
        Some(1)
    );
    after!(
        directory,
        "UPDATE audit SET n = n + 100000 WHERE n = 4",
        "UPDATE audit SET n = n - 100000 WHERE n > 100000",
        Some(4)
    );
    after!(
        directory,
        "UPDATE audit SET n = n + 100000 WHERE n > 5",
        "UPDATE audit SET n = n - 100000 WHERE n > 100000",
        Some(6)
    );
    whole_tail(directory, found.head).await;
}

/// Whoever cuts the tail and the head too is seen by a head that was logged.
async fn whole_tail(directory: &Directory, logged: AuditHead) {
    let mut transaction = directory.begin().await.unwrap();
    for statement in [
        "DELETE FROM audit WHERE n > 5",
        "UPDATE audit_head SET n = 5, hash = (SELECT hash FROM audit WHERE n = 5)",
    ] {
        execute_in!(&mut transaction, statement).unwrap();
    }
    transaction.commit().await.unwrap();
    let unaware = directory.verify_audit(None).await.unwrap();
    assert_eq!((unaware.broken_at, unaware.rows), (None, 5));
    let found = directory.verify_audit(Some(&logged)).await.unwrap();
    assert_eq!(found.broken_at, Some(6));
    // And whoever then goes on as if nothing was.
    let act = Act {
        act: "test",
        ..Act::default()
    };
    while directory.audit_head().await.unwrap().n < logged.n {
        directory
            .note_act(&Actor::Server, &act, now())
            .await
            .unwrap();
    }
    let unaware = directory.verify_audit(None).await.unwrap();
    assert_eq!(unaware.broken_at, None);
    let found = directory.verify_audit(Some(&logged)).await.unwrap();
    assert_eq!(found.broken_at, Some(logged.n));
}

async fn removal_for_age(directory: &Directory) {
    let newest = directory.audit_head().await.unwrap();
    let act = Act {
        act: "test",
        ..Act::default()
    };
    directory
        .note_act(&Actor::Server, &act, later(500))
        .await
        .unwrap();
    let before = directory.audit_head().await.unwrap().n;
    let prune = async || {
        directory
            .prune_audit(later(400), &Actor::Server, later(500))
            .await
    };
    assert_eq!(prune().await.unwrap(), before - 1);
    assert_eq!(prune().await.unwrap(), 0);
    let found = directory.verify_audit(None).await.unwrap();
    assert_eq!((found.broken_at, found.rows), (None, 2));
    removed(directory, newest, before).await;
}

/// Only what a row says of it counts as removed, and nothing can be compared with what was.
async fn removed(directory: &Directory, newest: AuditHead, rest: u64) {
    let verified = async |head: &AuditHead| {
        let found = directory.verify_audit(Some(head)).await.unwrap();
        found.broken_at
    };
    assert_eq!(verified(&newest).await, None, "its hash is kept");
    let other = AuditHead {
        hash: "00".repeat(32),
        ..newest.clone()
    };
    assert_eq!(verified(&other).await, Some(newest.n));
    let older = AuditHead { n: 2, ..newest };
    assert_eq!(verified(&older).await, Some(2), "nobody can tell any more");
    let mut transaction = directory.begin().await.unwrap();
    execute_in!(
        &mut transaction,
        "UPDATE audit_head SET removed_n = removed_n + 1, removed_hash = (SELECT hash FROM audit ORDER BY n LIMIT 1)"
    )
    .unwrap();
    execute_in!(
        &mut transaction,
        "DELETE FROM audit WHERE n = (SELECT min(n) FROM audit)"
    )
    .unwrap();
    transaction.commit().await.unwrap();
    let found = directory.verify_audit(None).await.unwrap();
    assert_eq!(found.broken_at, Some(rest));
}
