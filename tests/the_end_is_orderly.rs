//! SIGTERM ends what is under way in order, whatever a peer does meanwhile.

use crate::harness::{Setup, TestServer, roomy};
use crate::mqtt::{Client, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// DISCONNECT, Server shutting down (MQTT 5.0 §3.14.2.1).
const SHUTTING_DOWN: u8 = 0x8b;

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_stops_in_the_middle_of_a_post_does_not_keep_devices_from_their_goodbye() {
    let mut environment = roomy();
    environment.push(("BELFRY__SHUTDOWN_GRACE".to_owned(), "2s".to_owned()));
    let mut server = TestServer::start_with(Setup {
        environment,
        ..Setup::default()
    });
    let user = server.user("ada").await;
    let device = user.device("laptop").await;
    let site = user.approve("https://news.example").await;
    let mut client = Client::connect(server.mqtt, &device, Version::V5).await;

    let endpoint = site.permission.endpoint.strip_prefix(&server.url());
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nTTL: 60\r\nContent-Encoding: crypto-box\r\n\
         Content-Length: 168\r\nExpect: 100-continue\r\n\r\n",
        endpoint.expect("an endpoint of this server"),
        server.http
    );
    let mut slow = TcpStream::connect(server.http).await.expect("connected");
    slow.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = [0; 25];
    slow.read_exact(&mut answer)
        .await
        .expect("it wants the body");
    assert!(answer.starts_with(b"HTTP/1.1 100 "));

    let status = tokio::task::block_in_place(|| server.terminate());
    assert_eq!(status.code(), Some(0));
    let goodbye = client.read().await.expect("a DISCONNECT");
    assert_eq!((goodbye.first, goodbye.body[0]), (0xe0, SHUTTING_DOWN));
}
