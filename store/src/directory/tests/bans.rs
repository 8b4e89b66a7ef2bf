//! Bans are changed from what is there when their turn comes.

use super::*;
use crate::directory::transaction::execute_in;
use belfry_acl::ban::{Kind, Subject};
use belfry_protocol::id::BanId;

fn ban(number: u8, reason: &str) -> BanRow {
    let subject = Subject::read(Kind::Site, "https://spam.example").unwrap();
    BanRow {
        id: BanId::from_bytes([number; 16]),
        label: subject.value(),
        subject,
        reason: reason.to_owned(),
        author: "ops".to_owned(),
        created: now(),
        ends: None,
    }
}

fn later(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

pub(super) async fn everything(directory: &Directory) {
    let by = &Actor::Operator;
    let first = ban(1, "spam");
    directory.create_ban(&first, by, now()).await.unwrap();
    let reason = BanChange {
        reason: Some("more spam".to_owned()),
        ends: None,
    };
    let end = BanChange {
        reason: None,
        ends: Some(Some(later(100))),
    };
    for change in [&reason, &end] {
        let changed = directory.change_ban(first.id, change, by, now).await;
        assert!(changed.unwrap().is_some());
    }
    let there = directory.ban(first.id).await.unwrap().unwrap();
    assert_eq!(
        (there.reason.as_str(), there.ends),
        ("more spam", Some(later(100))),
        "each changed what it was given"
    );
    assert!(directory.lift_ban(first.id, by, later(1)).await.unwrap());
    let changed = directory.change_ban(first.id, &end, by, || later(2)).await;
    assert_eq!(changed.unwrap(), None);
    let over = directory.ban(first.id).await.unwrap().unwrap();
    assert_eq!(over.ends, Some(later(1)), "it stays lifted");

    let import = async |row: BanRow, only_asked| {
        let rows = [row];
        let done = directory.import_bans(&rows, only_asked, by, || later(3));
        let done = done.await.unwrap();
        (done.added, done.changed, done.unchanged)
    };
    assert_eq!(import(ban(2, "again"), true).await, (1, 0, 0));
    assert_eq!(import(ban(2, "again"), false).await, (1, 0, 0));
    assert_eq!(import(ban(3, "again"), false).await, (0, 0, 1));
    assert_eq!(import(ban(4, "other"), false).await, (0, 1, 0));
    let over = directory.ban(first.id).await.unwrap().unwrap();
    assert_eq!(over.ends, Some(later(1)), "by an import too");
    let id = BanId::from_bytes([2; 16]);
    assert!(directory.lift_ban(id, by, later(4)).await.unwrap());
    no_more_than_there_may_be(directory).await;
}

async fn no_more_than_there_may_be(directory: &Directory) {
    let mut transaction = directory.begin().await.unwrap();
    execute_in!(
        &mut transaction,
        "INSERT INTO bans (ban_id, kind, value, label, reason, author, created) \
         WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 100000) \
         SELECT CAST(CAST(n AS TEXT) AS BYTEA), 'address', '192.0.2.1', 'many', '', '', 0 FROM counted"
    )
    .unwrap();
    transaction.commit().await.unwrap();
    let refused = directory
        .create_ban(&ban(5, "one more"), &Actor::Operator, later(5))
        .await;
    assert!(matches!(refused, Err(DirectoryError::Full)), "{refused:?}");
    let sql = "DELETE FROM bans WHERE label = 'many'";
    let mut transaction = directory.begin().await.unwrap();
    assert_eq!(execute_in!(&mut transaction, sql).unwrap(), 100_000);
    transaction.commit().await.unwrap();
}
