//! Sites, their API keys and VAPID keys.

use super::*;
use belfry_protocol::site::Origin;

const DAY: Duration = Duration::from_secs(86_400);

fn origin(text: &str) -> Origin {
    text.parse().unwrap()
}

fn key_id(number: u8) -> SiteKeyId {
    SiteKeyId::from_bytes([number; 16])
}

pub(super) async fn everything(directory: &Directory) {
    let (news, shop) = (
        origin("https://news.example"),
        origin("https://shop.example"),
    );
    for site in [&news, &shop] {
        directory
            .create_site(site, "proof", &Actor::Operator, now())
            .await
            .unwrap();
        let again = directory
            .create_site(site, "other", &Actor::Operator, now())
            .await;
        assert!(matches!(again, Err(DirectoryError::Taken)));
    }
    let added = Site {
        site: news.clone(),
        proof: "proof".to_owned(),
        created: now(),
        proven: None,
    };
    assert_eq!(
        directory.site(&news).await.unwrap().as_ref(),
        Some(&added),
        "the first stays as it was"
    );
    assert_eq!(
        directory.sites(None, 1).await.unwrap(),
        std::slice::from_ref(&added)
    );
    let second = directory.sites(Some(&news), 9).await.unwrap();
    let second: Vec<_> = second.into_iter().map(|site| site.site).collect();
    assert_eq!(second, std::slice::from_ref(&shop));

    keys_are_the_sites_until_they_are_revoked(directory, &news, &shop).await;
    vapid_keys_count_with_one_key_or_with_all(directory, &news).await;
    uses_of_keys_are_seen_before_they_are_written(directory, &news).await;

    assert!(
        directory
            .remove_site(&news, &Actor::Operator, now())
            .await
            .unwrap()
    );
    assert!(
        !directory
            .remove_site(&news, &Actor::Operator, now())
            .await
            .unwrap()
    );
    assert_eq!(directory.site(&news).await.unwrap(), None);
    assert!(directory.site_keys(&news).await.unwrap().is_empty());
    assert!(directory.vapid_keys(&news).await.unwrap().is_empty());
    assert_eq!(call(directory, "second").await, None);
    assert!(call(directory, "of the shop").await.is_some());
    // Added anew it has nothing of what it had.
    directory
        .create_site(&news, "new", &Actor::Operator, now())
        .await
        .unwrap();
    assert_eq!(directory.site(&news).await.unwrap().unwrap().proven, None);
    assert_eq!(call(directory, "second").await, None);
    directory
        .remove_site(&news, &Actor::Operator, now())
        .await
        .unwrap();
    directory
        .remove_site(&shop, &Actor::Operator, now())
        .await
        .unwrap();
}

async fn call(directory: &Directory, secret: &str) -> Option<SiteCaller> {
    let secret = SecretHash::of(secret.as_bytes());
    directory.site_caller(secret).await.unwrap()
}

async fn keys_are_the_sites_until_they_are_revoked(
    directory: &Directory,
    news: &Origin,
    shop: &Origin,
) {
    for (site, number, secret) in [
        (news, 1, "first"),
        (news, 2, "second"),
        (shop, 3, "of the shop"),
    ] {
        let key = SiteKey {
            id: key_id(number),
            name: Some(secret.to_owned()),
            created: now(),
            last_used: None,
            revoked: None,
        };
        let secret = SecretHash::of(secret.as_bytes());
        let made = directory
            .create_site_key(site, &key, secret, &Actor::Operator)
            .await;
        made.unwrap();
        assert!(directory.site_keys(site).await.unwrap().contains(&key));
    }
    let first = call(directory, "first").await.unwrap();
    assert_eq!((&first.site.site, first.key), (news, key_id(1)));
    assert_eq!((first.site.proven, first.vapid), (None, Vec::new()));
    directory
        .prove_site(news, &Actor::Operator, now().plus(DAY))
        .await
        .unwrap();
    let first = call(directory, "first").await.unwrap();
    assert_eq!(first.site.proven, Some(now().plus(DAY)));
    let shops = call(directory, "of the shop").await.unwrap();
    assert_eq!(shops.site.proven, None, "another site's proof is not its");
    assert_eq!(call(directory, "none").await, None);

    let revoke = async |site, number| {
        let at = now().plus(DAY);
        directory
            .revoke_site_key(site, key_id(number), &Actor::Operator, at)
            .await
    };
    assert!(!revoke(shop, 1).await.unwrap(), "it is another site's");
    assert!(revoke(news, 1).await.unwrap());
    assert!(!revoke(news, 1).await.unwrap(), "it is revoked already");
    assert_eq!(call(directory, "first").await, None);
    assert!(call(directory, "second").await.is_some());
    let keys = directory.site_keys(news).await.unwrap();
    let revoked: Vec<_> = keys.iter().map(|key| (key.id, key.revoked)).collect();
    let expected = [(key_id(1), Some(now().plus(DAY))), (key_id(2), None)];
    assert_eq!(revoked, expected);
}

async fn vapid_keys_count_with_one_key_or_with_all(directory: &Directory, news: &Origin) {
    let register = async |with: Option<u8>, mark: u8| {
        let key = VapidKey {
            with: with.map(key_id),
            public: vec![mark; 65],
            created: now(),
        };
        for _ in 0..2 {
            directory
                .register_vapid_key(news, &key, &Actor::Operator)
                .await
                .unwrap();
        }
        key
    };
    let of_all = register(None, 4).await;
    let of_second = register(Some(2), 5).await;
    let of_first = register(Some(1), 6).await;
    let registered = directory.vapid_keys(news).await.unwrap();
    assert_eq!(registered, [of_all, of_second, of_first]);
    let count = async || {
        let mut vapid = call(directory, "second").await.unwrap().vapid;
        vapid.sort();
        vapid.into_iter().map(|key| key[0]).collect::<Vec<_>>()
    };
    assert_eq!(count().await, [4, 5]);
    let shops = call(directory, "of the shop").await.unwrap();
    assert!(shops.vapid.is_empty());
    assert!(
        directory
            .forget_vapid_key(news, &[4; 65], &Actor::Operator, now())
            .await
            .unwrap()
    );
    assert!(
        !directory
            .forget_vapid_key(news, &[4; 65], &Actor::Operator, now())
            .await
            .unwrap()
    );
    assert_eq!(count().await, [5]);
}

async fn uses_of_keys_are_seen_before_they_are_written(directory: &Directory, news: &Origin) {
    let last_used = async || {
        let keys = directory.site_keys(news).await.unwrap();
        let second = keys.into_iter().find(|key| key.id == key_id(2));
        second.unwrap().last_used
    };
    directory.note_call(news, key_id(2), now().plus(DAY));
    directory.note_call(news, key_id(2), now());
    assert_eq!(last_used().await, Some(now().plus(DAY)));
    directory.write_down_notes().await.unwrap();
    assert_eq!(last_used().await, Some(now().plus(DAY)));
    assert_eq!(directory.notes.waiting().2, 0);
    // Nor does a later note of an earlier use take it back.
    directory.note_call(news, key_id(2), now());
    directory.write_down_notes().await.unwrap();
    assert_eq!(last_used().await, Some(now().plus(DAY)));
}
