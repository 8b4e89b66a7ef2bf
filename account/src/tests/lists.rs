//! Paging, the same for every list.

use super::*;

async fn page(server: &Server, token: &Token, path: &str) -> Answer {
    server.ask("GET", path, &token.0, Value::Null).await
}

/// Follows the pages of one item each and gives back what `member` is in them.
async fn walk(server: &Server, token: &Token, path: &str, member: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = page(server, token, &format!("{path}?limit=1{cursor}")).await;
        assert_eq!(answer.status, 200, "{}", answer.json);
        let items = answer.json["items"].as_array().unwrap();
        assert_eq!(
            items.len(),
            1,
            "no page but the last is followed by an empty one"
        );
        found.push(items[0][member].as_str().unwrap().to_owned());
        match answer.json["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test]
async fn every_list_is_paged_alike() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    for number in 0..3 {
        server.device(&token, &format!("device {number}")).await;
        server
            .approve(&token, &format!("https://news{number}.example"))
            .await;
        server.later(1);
        server.sign_in("ada").await;
    }
    for (path, member, count) in [
        ("/v1/devices", "device_id", 3),
        ("/v1/permissions", "permission_id", 3),
        ("/v1/sessions", "id", 4),
    ] {
        let whole = page(&server, &token, path).await;
        assert_eq!(whole.json["next"], Value::Null);
        let whole = whole.json["items"].as_array().unwrap().clone();
        let whole: Vec<_> = whole
            .iter()
            .map(|item| item[member].as_str().unwrap())
            .collect();
        assert_eq!(whole.len(), count);
        assert_eq!(walk(&server, &token, path, member).await, whole);
        let exact = page(&server, &token, &format!("{path}?limit={count}")).await;
        assert_eq!(exact.json["next"], Value::Null, "{path}");
        let many = page(&server, &token, &format!("{path}?limit=4294967295")).await;
        assert_eq!(many.status, 200, "more than a page is a page");
        for (query, status, field) in [
            ("limit=0", 422, "limit"),
            ("limit=-1", 400, "limit"),
            ("limit=ten", 400, "limit"),
            ("limit=99999999999999999999", 400, "limit"),
            ("cursor=nonsense", 400, "cursor"),
            ("cursor=", 400, "cursor"),
        ] {
            let answer = page(&server, &token, &format!("{path}?{query}")).await;
            assert_eq!(answer.fault(), (status, field), "{path}?{query}");
        }
    }
}

#[tokio::test]
async fn a_page_goes_on_where_the_one_before_ended_whatever_came_and_went() {
    let server = Server::new().await;
    let token = server.user("ada").await;
    let mut ids = Vec::new();
    for number in 0..2 {
        let made = server.device(&token, &format!("device {number}")).await;
        ids.push(made.text("device_id").to_owned());
        server.later(1);
    }
    let first = page(&server, &token, "/v1/devices?limit=1").await;
    assert_eq!(first.json["items"][0]["device_id"], ids[0]);
    let newest = server.device(&token, "newest").await;
    ids.push(newest.text("device_id").to_owned());
    let fresh = server.sign_in("ada").await;
    let gone = format!("/v1/devices/{}", ids[0]);
    assert_eq!(
        server
            .ask("DELETE", &gone, &fresh.0, Value::Null)
            .await
            .status,
        204
    );
    let path = format!("/v1/devices?cursor={}", first.text("next"));
    let rest = page(&server, &fresh, &path).await;
    let rest = rest.json["items"].as_array().unwrap();
    let rest: Vec<_> = rest.iter().map(|item| item["device_id"].clone()).collect();
    assert_eq!(rest, ids[1..]);
}
