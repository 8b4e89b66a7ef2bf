//! The link to become the first admin.

use super::*;

impl Server {
    async fn link(&self) -> Option<String> {
        let link = self.admin.begin_setup().await.unwrap()?;
        let token = link.strip_prefix("https://push.example/admin#setup=");
        Some(token.unwrap().to_owned())
    }

    async fn set_up(&self, browser: &mut Browser, token: &str, name: &str) -> Answer {
        let body = json!({"token": token, "username": name, "password": PASSWORD});
        self.ask(browser, "POST", "/setup", body).await
    }
}

#[tokio::test]
async fn whoever_has_the_link_becomes_the_first_admin_once() {
    let server = Server::new().await;
    let token = server.link().await.unwrap();
    let mut browser = server.browser();
    for made_up in ["", "made-up"] {
        let refused = server.set_up(&mut browser, made_up, "ada").await;
        assert_eq!(refused.kind(), (410, "expired"));
    }
    let bad = server.set_up(&mut browser, &token, "a b").await;
    assert_eq!((bad.status, &bad.json["field"]), (422, &json!("username")));
    let weak = json!({"token": token, "username": "ada", "password": "password"});
    let weak = server.ask(&mut browser, "POST", "/setup", weak).await;
    assert_eq!(
        (weak.status, &weak.json["field"]),
        (422, &json!("password"))
    );
    let made = server.set_up(&mut browser, &token, "Ada").await;
    assert_eq!(
        (made.status, &made.json),
        (201, &json!({"username": "Ada"}))
    );
    let session = server.get(&mut browser, "/session").await;
    assert_eq!(
        (session.status, &session.json["role"]),
        (200, &json!("admin"))
    );
    let again = server.set_up(&mut browser, &token, "eve").await;
    assert_eq!(again.kind(), (410, "expired"));
    assert_eq!(
        server.acts().await,
        [("setup".to_owned(), Some("Ada".to_owned()))]
    );
    assert_eq!(server.link().await, None, "there is an admin");
}

#[tokio::test]
async fn two_who_have_the_link_are_not_both_the_first() {
    let server = Server::new().await;
    let token = server.link().await.unwrap();
    let (mut one, mut other) = (server.browser(), server.browser());
    let (first, second) = tokio::join!(
        server.set_up(&mut one, &token, "ada"),
        server.set_up(&mut other, &token, "eve")
    );
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 410]);
}

#[tokio::test]
async fn the_link_is_good_for_an_hour_and_until_the_next_start() {
    let server = Server::new().await;
    let mut browser = server.browser();
    let former = server.link().await.unwrap();
    let token = server.link().await.unwrap();
    let refused = server.set_up(&mut browser, &former, "ada").await;
    assert_eq!(refused.kind(), (410, "expired"));
    server.later(3_600);
    let late = server.set_up(&mut browser, &token, "ada").await;
    assert_eq!(late.kind(), (410, "expired"));
}

#[tokio::test]
async fn an_admin_who_was_made_otherwise_voids_the_link() {
    let server = Server::new().await;
    let mut browser = server.browser();
    let token = server.link().await.unwrap();
    server.account("ada", Role::Admin).await;
    let refused = server.set_up(&mut browser, &token, "eve").await;
    assert_eq!(refused.kind(), (410, "expired"));
}

#[tokio::test]
async fn somebody_with_an_account_becomes_admin_by_their_password() {
    let server = Server::new().await;
    let mut browser = server.browser();
    server.account("ada", Role::None).await;
    let token = server.link().await.unwrap();
    let wrong = json!({"token": token, "username": "ada", "password": "wrong password"});
    let wrong = server.ask(&mut browser, "POST", "/setup", wrong).await;
    assert_eq!(wrong.kind(), (401, "wrong-credentials"));
    assert_eq!(server.set_up(&mut browser, &token, "ADA").await.status, 201);
    assert_eq!(
        server.get(&mut browser, "/session").await.json["username"],
        "ada"
    );
}
