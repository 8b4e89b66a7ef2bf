//! What a sender hears of its posts.

use super::*;
use belfry_protocol::id::DeviceId;
use belfry_protocol::topic::Filter;
use belfry_store::mailbox::SubscriptionOptions;
use bytes::Bytes;
use futures_util::StreamExt as _;

const ASKED: (&str, &str) = ("Prefer", "respond-async");
const DEVICE: DeviceId = DeviceId::from_bytes([5; 16]);
/// The longest wait that there is.
const WAIT: (&str, &str) = ("Prefer", "wait=55");
/// Less than that, and than it takes a stream to look by itself: what comes in time was woken for.
const PATIENCE: Duration = Duration::from_secs(10);

impl Site {
    /// With a permission that allows receipts, and a device that takes notifications.
    async fn with_receipts(number: u8) -> Self {
        let site = Self::new().await;
        let mut permission = site.approve(number, None).await;
        permission.receipts = true;
        site.set(&permission, number).await;
        let open = Command::OpenSession {
            user: user(),
            device: DEVICE,
            clean: false,
            expiry: Duration::from_secs(3_600),
            will: None,
        };
        site.command(open).await;
        let options = SubscriptionOptions {
            at_least_once: true,
            no_local: false,
            retain_as_published: false,
            identifier: None,
        };
        let subscribe = Command::Subscribe {
            user: user(),
            device: DEVICE,
            filters: vec![(Filter::Notifications, options)],
        };
        site.command(subscribe).await;
        site
    }

    async fn set(&self, permission: &Permission, number: u8) {
        let updated = self.directory.update_permission(user(), permission);
        updated.await.unwrap();
        let set = Command::SetPermission {
            user: user(),
            permission: permission.id,
            site: permission.site.clone(),
            muted: permission.state == PermissionState::Muted,
            receipts: permission.receipts,
            endpoint: secret(number).hash(),
        };
        self.command(set).await;
    }

    async fn settle(&self, seq: u64) {
        let settle = Command::Settle {
            user: user(),
            device: DEVICE,
            seqs: vec![Seq(seq)],
        };
        self.command(settle).await;
    }

    async fn get(&self, receipts: &str, headers: &[(&str, &str)]) -> Answer {
        let answer = self.ask("GET", receipts, headers, Vec::new());
        tokio::time::timeout(PATIENCE, answer).await.unwrap()
    }

    /// The body of a stream, part by part.
    async fn follow(&self, receipts: &str, accept: &str) -> Parts {
        let request = Request::get(receipts).header("Accept", accept);
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], accept);
        Parts(response.into_body().into_data_stream())
    }
}

struct Parts(axum::body::BodyDataStream);

impl Parts {
    async fn next(&mut self) -> Option<Bytes> {
        let part = tokio::time::timeout(PATIENCE, self.0.next());
        part.await.unwrap().map(Result::unwrap)
    }
}

impl Answer {
    /// The path of the receipt subscription.
    fn receipts(&self) -> &str {
        let link = self.header("link");
        link.strip_prefix("<https://push.example")
            .and_then(|link| link.strip_suffix(">; rel=\"urn:ietf:params:push:receipt\""))
            .unwrap_or_else(|| panic!("{link:?}"))
    }

    /// The message URLs and statuses of a page.
    fn told(&self) -> Vec<(&str, u64)> {
        assert_eq!(self.status, 200, "{}", self.problem);
        let items = self.problem["items"].as_array().unwrap().iter();
        items
            .map(|item| {
                let status = item["status"].as_u64().unwrap();
                (item["message"].as_str().unwrap(), status)
            })
            .collect()
    }

    fn next(&self) -> &str {
        self.problem["next"].as_str().unwrap()
    }
}

#[tokio::test]
async fn a_post_is_answered_with_where_its_receipt_will_be_where_that_is_allowed() {
    let site = Site::with_receipts(2).await;
    let told = site.post(2, &[ASKED], body(1)).await;
    assert_eq!(told.status, 202, "{}", told.problem);
    assert_eq!(told.header("preference-applied"), "respond-async");
    assert_eq!(told.header("ttl"), "60");
    assert_eq!(told.message().len(), "/push/message/".len() + 64);
    let secret = told.receipts().strip_prefix("/push/receipts/").unwrap();
    assert_eq!(secret.len(), 43);
    let other = site.post(2, &[ASKED], body(1)).await;
    assert_ne!(told.receipts(), other.receipts(), "each its own");
    for (number, headers) in [
        (2, &[][..]),
        (2, &[ASKED, ("TTL", "0")]),
        (2, &[("Prefer", "wait=1")]),
        (1, &[ASKED]),
    ] {
        site.now.fetch_add(1_000, Ordering::SeqCst);
        let created = site.post(number, headers, body(1)).await;
        assert_eq!(created.status, 201, "{number} {headers:?}");
        assert_eq!(created.header("link"), "");
        assert_eq!(created.header("preference-applied"), "");
    }
}

#[tokio::test]
async fn a_receipt_subscription_that_is_named_is_used_again() {
    let site = Site::with_receipts(2).await;
    let first = site.post(2, &[ASKED], body(1)).await;
    let path = first.receipts();
    for form in [
        format!("<https://push.example{path}>; rel=\"urn:ietf:params:push:receipt\""),
        format!("</x>; rel=next, <{path}>;rel=urn:ietf:params:push:receipt"),
        format!("<http://old.example:8080/base{path}>; rel=\"urn:ietf:params:push:receipt\""),
    ] {
        site.now.fetch_add(1_000, Ordering::SeqCst);
        let again = site.post(2, &[ASKED, ("Link", &form)], body(1)).await;
        assert_eq!((again.status.as_u16(), again.receipts()), (202, path));
    }
    // Under another permission too, and by who does not want to hear of it.
    let link = first.header("link");
    for (number, headers, status) in [
        (1, &[ASKED, ("Link", link)][..], 201),
        (2, &[("Link", link)], 201),
    ] {
        site.now.fetch_add(1_000, Ordering::SeqCst);
        let answer = site.post(number, headers, body(1)).await;
        assert_eq!(answer.status, status, "{}", answer.problem);
    }
}

#[tokio::test]
async fn a_receipt_subscription_that_is_not_there_is_refused() {
    let site = Site::with_receipts(2).await;
    let first = site.post(2, &[ASKED], body(1)).await;
    let ended = first.header("link");
    let deleted = site.ask("DELETE", first.receipts(), &[], Vec::new()).await;
    assert_eq!(deleted.status, 204);
    let rel = "rel=\"urn:ietf:params:push:receipt\"";
    let check = async |number, link: &str| {
        site.now.fetch_add(1_000, Ordering::SeqCst);
        let stored = site.stored().await;
        let refused = site.post(number, &[ASKED, ("Link", link)], body(1)).await;
        assert_eq!(refused.status, 400, "{link}");
        assert_eq!(refused.problem["field"], "Link");
        assert_eq!(site.stored().await, stored);
    };
    check(2, ended).await;
    check(1, ended).await;
    let elsewhere = ended.replace("push.example", "other.example");
    check(2, &elsewhere).await;
    let made_up = format!("</push/receipts/{}>; {rel}", "A".repeat(43));
    check(2, &made_up).await;
    check(2, &format!("</push/message/x>; {rel}")).await;
    check(2, "push/receipts/x").await;
    let [one, other] = [site.post(2, &[ASKED], body(1)).await, {
        site.now.fetch_add(1_000, Ordering::SeqCst);
        site.post(2, &[ASKED], body(1)).await
    }];
    let two = format!("{}, {}", one.header("link"), other.header("link"));
    check(2, &two).await;
    let same = format!("{}, {}", one.header("link"), one.header("link"));
    let answer = site.post(2, &[ASKED, ("Link", &same)], body(1)).await;
    assert_eq!(answer.status, 202);
}

#[tokio::test]
async fn a_repeat_has_the_first_links_again() {
    let site = Site::with_receipts(2).await;
    let named = ("Idempotency-Key", "one");
    let first = site.post(2, &[ASKED, named], body(1)).await;
    assert_eq!(first.status, 202);
    for headers in [&[ASKED, named][..], &[named]] {
        let again = site.post(2, headers, body(1)).await;
        assert_eq!(again.status, 202);
        for header in ["location", "link", "ttl", "preference-applied"] {
            assert_eq!(again.header(header), first.header(header), "{header}");
        }
    }
    let plain = ("Idempotency-Key", "two");
    assert_eq!(site.post(2, &[plain], body(1)).await.status, 201);
    let asked = site.post(2, &[ASKED, plain], body(1)).await;
    assert_eq!(asked.status, 201, "nothing was remembered of it");
    site.settle(1).await;
    let told = site.get(first.receipts(), &[]).await;
    assert_eq!(told.told().len(), 1, "once, however often it was posted");
}

#[tokio::test]
async fn what_became_of_each_is_read_from_a_place_on() {
    let site = Site::with_receipts(2).await;
    let first = site.post(2, &[ASKED], body(1)).await;
    let receipts = first.receipts();
    let link = ("Link", first.header("link"));
    let second = site.post(2, &[ASKED, link], body(2)).await;
    let third = site.post(2, &[ASKED, link], body(3)).await;
    let nothing = site.get(receipts, &[]).await;
    assert_eq!((nothing.told(), nothing.next()), (vec![], "0"));
    site.settle(2).await;
    site.ask("DELETE", third.message(), &[], Vec::new()).await;
    let page = site.get(receipts, &[]).await;
    let urls = [second.header("location"), third.header("location")];
    assert_eq!(page.told(), [(urls[0], 204), (urls[1], 410)]);
    let at = Timestamp::from_millis(START).to_string();
    assert_eq!(page.problem["items"][0]["at"], at);
    assert_eq!(page.header("cache-control"), "no-store");
    let again = site.get(receipts, &[]).await;
    assert_eq!(again.problem, page.problem, "reading forgets nothing");
    let later = format!("{receipts}?after={}", page.next());
    let none = site.get(&later, &[]).await;
    assert_eq!((none.told(), none.next()), (vec![], page.next()));
    site.settle(1).await;
    let last = site.get(&later, &[]).await;
    assert_eq!(last.told(), [(first.header("location"), 204)]);
    // As an EventSource asks that comes back.
    let resumed = site.get(receipts, &[("Last-Event-ID", page.next())]).await;
    assert_eq!(resumed.problem, last.problem);
    for bad in ["?after=x", "?after=-1", "?after=1&after=2"] {
        let answer = site.get(&format!("{receipts}{bad}"), &[]).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert_eq!(answer.problem["field"], "after");
    }
    let ahead = site.get(&format!("{receipts}?after=999"), &[]).await;
    assert_eq!((ahead.told(), ahead.next()), (vec![], last.next()));
    let bad = site.get(receipts, &[("Last-Event-ID", "x")]).await;
    assert_eq!(bad.problem["field"], "Last-Event-ID");
}

#[tokio::test]
async fn whoever_waits_is_told_when_it_happens_and_so_is_who_waits_beside() {
    let site = Site::with_receipts(2).await;
    let posted = site.post(2, &[ASKED], body(1)).await;
    let receipts = posted.receipts();
    let happen = async {
        while site.bridge.0.seats.waiting() < 2 {
            tokio::task::yield_now().await;
        }
        site.settle(1).await;
    };
    let (one, other, ()) = tokio::join!(
        site.get(receipts, &[WAIT]),
        site.get(receipts, &[WAIT]),
        happen
    );
    for answer in [&one, &other] {
        assert_eq!(answer.told(), [(posted.header("location"), 204)]);
        assert_eq!(answer.header("preference-applied"), "wait=55");
    }
    // Nothing is waited for where there is something, and no longer than is allowed.
    let again = site.get(receipts, &[("Prefer", "wait=999")]).await;
    assert_eq!(again.told().len(), 1);
    assert_eq!(again.header("preference-applied"), "wait=55");
    let later = format!("{receipts}?after={}", one.next());
    let over = site.get(&later, &[("Prefer", "wait=1")]).await;
    assert_eq!((over.told(), over.next()), (vec![], one.next()));
}

#[tokio::test]
async fn whoever_waits_for_what_ends_is_told_that_it_is_gone() {
    let site = Site::with_receipts(2).await;
    let posted = site.post(2, &[ASKED], body(1)).await;
    let receipts = posted.receipts();
    let end = async {
        while site.bridge.0.seats.waiting() < 1 {
            tokio::task::yield_now().await;
        }
        site.ask("DELETE", receipts, &[], Vec::new()).await.status
    };
    let (waited, ended) = tokio::join!(site.get(receipts, &[WAIT]), end);
    assert_eq!((waited.status.as_u16(), ended.as_u16()), (404, 204));
    assert_eq!(site.get(receipts, &[]).await.status, 404);
    let again = site.ask("DELETE", receipts, &[], Vec::new()).await;
    assert_eq!(again.status, 404);
    // Nothing of it is told any more, nor opens it again.
    site.settle(1).await;
    assert_eq!(site.get(receipts, &[]).await.status, 404);
}

#[tokio::test]
async fn a_server_that_stops_lets_nobody_wait() {
    let site = Site::with_receipts(2).await;
    let posted = site.post(2, &[ASKED], body(1)).await;
    let receipts = posted.receipts();
    let mut lines = site.follow(receipts, "application/x-ndjson").await;
    let drain = async {
        while site.bridge.0.seats.waiting() < 2 {
            tokio::task::yield_now().await;
        }
        site.bridge.drain();
    };
    let rest = async {
        let mut bytes = 0;
        while let Some(part) = lines.next().await {
            bytes += part.len();
        }
        bytes
    };
    let (waited, (), bytes) = tokio::join!(site.get(receipts, &[WAIT]), drain, rest);
    assert_eq!((waited.told(), waited.next()), (vec![], "0"));
    assert!(bytes < 2, "nothing but an empty line");
    let refused = site.get(receipts, &[]).await;
    assert_eq!(refused.status, 503);
}

#[tokio::test]
async fn a_stream_goes_on_with_what_comes_until_the_subscription_ends() {
    let site = Site::with_receipts(2).await;
    let first = site.post(2, &[ASKED], body(1)).await;
    let receipts = first.receipts();
    let link = ("Link", first.header("link"));
    let second = site.post(2, &[ASKED, link], body(1)).await;
    site.settle(1).await;
    let mut lines = site.follow(receipts, "application/x-ndjson").await;
    let mut events = site.follow(receipts, "text/event-stream").await;
    let at = Timestamp::from_millis(START).to_string();
    let json = |answer: &Answer, status: u16, next: &str| {
        let message = answer.header("location");
        format!(r#"{{"message":"{message}","status":{status},"at":"{at}","next":"{next}"}}"#)
    };
    let line = lines.next().await.unwrap();
    assert_eq!(line, format!("{}\n", json(&first, 204, "1")));
    let event = events.next().await.unwrap();
    let data = json(&first, 204, "1");
    assert_eq!(event, format!("id: 1\nevent: receipt\ndata: {data}\n\n"));
    let more = async {
        site.ask("DELETE", second.message(), &[], Vec::new()).await;
    };
    let (line, event, ()) = tokio::join!(lines.next(), events.next(), more);
    let data = json(&second, 410, "2");
    assert_eq!(line.unwrap(), format!("{data}\n"));
    let event = event.unwrap();
    assert_eq!(event, format!("id: 2\nevent: receipt\ndata: {data}\n\n"));
    let end = site.ask("DELETE", receipts, &[], Vec::new());
    let (line, event, end) = tokio::join!(lines.next(), events.next(), end);
    assert_eq!(end.status, 204);
    assert!(line.is_none() && event.is_none());
}

#[tokio::test]
async fn no_more_may_wait_than_there_are_places() {
    let site = Site::with_receipts(2).await;
    let posted = site.post(2, &[ASKED], body(1)).await;
    let receipts = posted.receipts();
    let lines = site.follow(receipts, "application/x-ndjson").await;
    let events = site.follow(receipts, "text/event-stream").await;
    let over = site.get(receipts, &[WAIT]).await;
    assert_eq!(over.status, 429);
    assert_eq!(over.header("content-type"), "application/problem+json");
    assert!(over.header("retry-after").parse::<u64>().unwrap() > 0);
    let at_once = site.get(receipts, &[]).await;
    assert_eq!(at_once.told(), [], "who does not wait takes no place");
    drop(lines);
    let another = site.follow(receipts, "application/x-ndjson").await;
    drop((events, another));
    assert_eq!(site.bridge.0.seats.waiting(), 0);
}
