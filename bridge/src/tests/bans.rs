//! Who is kept out.

use super::*;
use belfry_acl::ban::Subject;
use belfry_acl::limit::{Name, Whose};
use belfry_protocol::id::BanId;
use belfry_store::directory::{Actor, BanRow};

impl Site {
    fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    async fn ban(&self, number: u8, subject: Subject, ends: Option<Timestamp>) {
        let ban = BanRow {
            id: BanId::from_bytes([number; 16]),
            label: subject.value(),
            subject,
            reason: "spam".to_owned(),
            author: "ops".to_owned(),
            created: self.time(),
            ends,
        };
        let made = self
            .directory
            .create_ban(&ban, &Actor::Operator, self.time());
        made.await.unwrap();
    }

    async fn set_own(&self, whose: &Whose, changes: &[(Name, Option<u64>)]) {
        let whose = (whose, SITE);
        let by = Actor::Operator;
        let set = self
            .directory
            .set_own_limits(whose, changes, &by, self.time());
        set.await.unwrap();
    }

    async fn status(&self, number: u8, proof: Option<&str>) -> u16 {
        let headers: Vec<_> = proof
            .map(|proof| ("Authorization", proof))
            .into_iter()
            .collect();
        self.post(number, &headers, body(1)).await.status.as_u16()
    }
}

fn origin(text: &str) -> belfry_protocol::site::Origin {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_blocked_site_is_refused_until_its_ban_ends_or_is_lifted() {
    let site = Site::new().await;
    assert_eq!(site.status(1, None).await, 201);
    let end = site.time().plus(Duration::from_secs(60));
    site.ban(1, Subject::Site(origin(SITE)), Some(end)).await;
    let refused = site.post(1, &[], body(1)).await;
    assert_eq!(refused.status, 403);
    let kind = refused.problem["type"].as_str().unwrap();
    assert!(kind.ends_with("/blocked"), "{kind}");
    site.now.store(end.as_millis(), Ordering::SeqCst);
    assert_eq!(site.status(1, None).await, 201);
    site.ban(2, Subject::Site(origin(SITE)), None).await;
    assert_eq!(site.status(1, None).await, 403);
    let lifted = site
        .directory
        .lift_ban(BanId::from_bytes([2; 16]), &Actor::Operator, site.time());
    assert!(lifted.await.unwrap());
    assert_eq!(site.status(1, None).await, 201);
}

#[tokio::test]
async fn the_body_of_a_refused_post_is_not_read() {
    let site = Site::new().await;
    site.ban(1, Subject::Site(origin(SITE)), None).await;
    let never = Body::from_stream(futures_util::stream::pending::<std::io::Result<bytes::Bytes>>());
    let request = Request::post(format!("/push/{}", secret(1).expose()))
        .header("TTL", "60")
        .header("Content-Encoding", "crypto-box")
        .body(never);
    assert_eq!(site.answer(request.unwrap()).await.status, 403);
}

#[tokio::test]
async fn whoever_is_over_a_rate_is_refused_before_the_body_is_read() {
    let site = Site::new().await;
    for _ in 0..BURST {
        assert_eq!(site.status(1, None).await, 201);
    }
    let never = Body::from_stream(futures_util::stream::pending::<std::io::Result<bytes::Bytes>>());
    let request = Request::post(format!("/push/{}", secret(1).expose()))
        .header("TTL", "60")
        .header("Content-Encoding", "crypto-box")
        .body(never);
    assert_eq!(site.answer(request.unwrap()).await.status, 429);
}

#[tokio::test]
async fn a_blocked_key_is_refused_wherever_it_posts() {
    let site = Site::new().await;
    let (good, bad) = (vapid(&key(7)), vapid(&key(8)));
    site.approve(2, Some(public(&key(8)))).await;
    assert_eq!(site.status(2, Some(&bad)).await, 201);
    site.ban(1, Subject::Vapid(public(&key(8))), None).await;
    assert_eq!(site.status(1, Some(&bad)).await, 403);
    assert_eq!(site.status(2, Some(&bad)).await, 403);
    assert_eq!(site.status(1, Some(&good)).await, 201);
    assert_eq!(site.status(1, None).await, 201);
}

#[tokio::test]
async fn a_blocked_user_takes_nothing_and_it_is_not_said_whose_fault_that_is() {
    let site = Site::new().await;
    site.approve_for(other(), 2, None).await;
    site.ban(1, Subject::User(user()), None).await;
    let of_user = site.post(1, &[], body(1)).await;
    assert_eq!(of_user.status, 403);
    assert_eq!(site.status(2, None).await, 201);
    let site = Site::new().await;
    site.ban(1, Subject::Site(origin(SITE)), None).await;
    let of_site = site.post(1, &[], body(1)).await;
    assert_eq!(of_user.problem, of_site.problem);
}

#[tokio::test]
async fn an_origins_ban_covers_the_keys_that_were_proven_with_it() {
    let site = Site::new().await;
    let proof = vapid(&key(7));
    site.approve(2, Some(public(&key(7)))).await;
    site.approve_site(other(), 3, "https://other.example", None)
        .await;
    // One user alone would not do: anybody could have made that permission.
    site.approve_site(other(), 4, SITE, Some(public(&key(7))))
        .await;
    assert_eq!(site.status(2, Some(&proof)).await, 201);
    assert_eq!(site.status(3, Some(&proof)).await, 201);
    site.ban(1, Subject::Site(origin(SITE)), None).await;
    assert_eq!(site.status(3, Some(&proof)).await, 403);
    assert_eq!(site.status(3, None).await, 201);
}

#[tokio::test]
async fn nobody_gets_another_blocked_by_naming_it_or_by_handing_its_endpoint_on() {
    let site = Site::new().await;
    let news = vapid(&key(7));
    let stranger = vapid(&key(8));
    site.approve(2, Some(public(&key(7)))).await;
    assert_eq!(site.status(2, Some(&news)).await, 201);
    // Under a name of a stranger's own, and restricted to the key of the news: they post there once they
    // are given it as an endpoint.
    let evil = "https://evil.example";
    site.approve_site(other(), 3, evil, Some(public(&key(7))))
        .await;
    site.now.fetch_add(1, Ordering::SeqCst);
    assert_eq!(site.status(3, Some(&news)).await, 201);
    // Under the name of the news, with the stranger's key, where anybody may post.
    assert_eq!(site.status(1, Some(&stranger)).await, 201);
    site.ban(1, Subject::Site(origin(evil)), None).await;
    assert_eq!(
        site.status(2, Some(&news)).await,
        201,
        "the news is not blocked"
    );
    assert_eq!(site.status(1, Some(&news)).await, 201);
    assert_eq!(
        site.status(3, Some(&news)).await,
        403,
        "it is not its own name there"
    );
}

#[tokio::test]
async fn a_lowered_limit_holds_on_the_next_post_and_says_its_numbers() {
    let site = Site::new().await;
    let proof = vapid(&key(7));
    site.approve(2, Some(public(&key(7)))).await;
    assert_eq!(site.status(2, Some(&proof)).await, 201);
    let own = [(Name::SitePerSecond, Some(1))];
    let whose = Whose::Site(origin(SITE));
    site.set_own(&whose, &own).await;
    let over = site.post(2, &[("Authorization", &proof)], body(1)).await;
    assert_eq!(over.status, 429, "{}", over.problem);
    assert_eq!(over.problem["limit"], 1);
    assert_eq!(over.problem["used"], 1);
    assert_eq!(over.problem["scope"], "site");
    let back = [(Name::SitePerSecond, None)];
    site.set_own(&whose, &back).await;
    assert_eq!(site.status(2, Some(&proof)).await, 201);
    let all = [(Name::PermissionBurst, Some(1))];
    let set = site
        .directory
        .set_limits(&all, &Actor::Operator, site.time());
    set.await.unwrap();
    assert_eq!(site.status(1, None).await, 201);
    let over = site.post(1, &[], body(1)).await;
    assert_eq!(
        (over.status.as_u16(), &over.problem["limit"]),
        (429, &1.into())
    );
}

#[tokio::test]
async fn a_stranger_spends_nothing_of_a_site_and_has_no_more_by_its_name() {
    let site = Site::new().await;
    let (news, stranger) = (vapid(&key(7)), vapid(&key(8)));
    let roomy = [
        (Name::SitePerSecond, Some(100)),
        (Name::PermissionBurst, Some(100)),
    ];
    let whose = Whose::Site(origin(SITE));
    site.set_own(&whose, &roomy).await;
    site.approve(2, Some(public(&key(7)))).await;
    let mut taken = 0;
    while site.status(1, Some(&stranger)).await == 201 {
        taken += 1;
    }
    assert_eq!(taken, SITE_PER_SECOND, "as any other's");
    for _ in 0..100 {
        assert_eq!(site.status(2, Some(&news)).await, 201);
    }
    assert_eq!(site.status(2, Some(&news)).await, 429);
}
