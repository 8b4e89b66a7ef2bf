//! Posts while the server stops.

use super::*;

fn check(refused: &Answer) {
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert_eq!(refused.problem["status"], 503);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn a_draining_server_takes_no_new_post_and_ends_what_is_under_way() {
    let site = Site::new().await;
    let message = site.post(1, &[], body(1)).await;
    let (sender, rest) = tokio::sync::oneshot::channel::<Vec<u8>>();
    let (asked, begun) = tokio::sync::oneshot::channel();
    let pieces = async move {
        // The body is read after the post was let in.
        asked.send(()).unwrap();
        Ok::<_, std::io::Error>(rest.await.unwrap())
    };
    let request = Request::post(format!("/push/{}", secret(1).expose()))
        .header("TTL", "60")
        .header("Content-Encoding", "crypto-box")
        .body(Body::from_stream(futures_util::stream::once(pieces)))
        .unwrap();
    let under_way = site.answer(request);
    let drain = async {
        begun.await.unwrap();
        site.bridge.drain();
        check(&site.post(1, &[], body(3)).await);
        check(&site.post(1, &[("TTL", "0")], body(3)).await);
        // Not even whether there is such an endpoint.
        check(&site.post(9, &[("TTL", "x")], body(3)).await);
        let withdrawn = site.ask("DELETE", message.message(), &[], Vec::new()).await;
        check(&withdrawn);
        sender.send(body(2)).unwrap();
    };
    let (ended, ()) = tokio::join!(under_way, drain);
    assert_eq!(ended.status, 201);
    assert_eq!(site.stored().await, 2);
}

#[tokio::test]
async fn a_closed_mailbox_is_told_as_a_reason_to_come_back() {
    let site = Site::new().await;
    site.mailbox.close();
    check(&site.post(1, &[], body(1)).await);
    check(&site.post(1, &[("TTL", "0")], body(1)).await);
    check(&site.post(1, &[("Idempotency-Key", "one")], body(1)).await);
}
