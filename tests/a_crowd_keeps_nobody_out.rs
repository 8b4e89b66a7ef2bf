//! However many come at once: who is connected is served, and who comes from elsewhere gets in.

use crate::a_notification_arrives::mark;
use crate::harness::{Setup, TestServer, marked_body, post, roomy};
use crate::mqtt::{Client, Version};
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpSocket, TcpStream};

/// Connections from another address than everybody else's, which say nothing.
async fn crowd(server: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..count {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind("127.0.0.2:0".parse().expect("an address"))
            .expect("bound");
        crowd.push(socket.connect(server).await.expect("connected"));
    }
    crowd
}

/// The server has neither answered nor closed it.
fn is_kept(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0]);
    read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn setup(more: &[(&str, &str)]) -> Setup {
    let more = more
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    // Longer than the test, so that nobody is let go meanwhile.
    let patient = ("BELFRY__MQTT__CONNECT_TIMEOUT".to_owned(), "10m".to_owned());
    Setup {
        environment: roomy().into_iter().chain([patient]).chain(more).collect(),
        ..Setup::default()
    }
}

#[tokio::test]
async fn a_crowd_from_one_address_keeps_no_other_out() {
    let server = TestServer::start_with(setup(&[
        ("BELFRY__LIMITS__CONNECTIONS_OPENING", "8"),
        ("BELFRY__LIMITS__CONNECTIONS_WAITING", "16"),
    ]));
    let user = server.user("ada").await;
    let site = user.approve("https://news.example").await;
    let laptop = user.device("laptop").await;
    let mut established = Client::connect(server.mqtt, &laptop, Version::V5).await;
    established.subscribe(&laptop.topics.notifications).await;

    // Two of them open, sixteen wait, and the others are too many.
    let mut crowd = crowd(server.mqtt, 40).await;
    for (number, version) in [(0, Version::V311), (1, Version::V5)] {
        let phone = user.device(&format!("phone {number}")).await;
        let mut client = Client::connect(server.mqtt, &phone, version).await;
        client.subscribe(&phone.topics.notifications).await;
        let http = reqwest::Client::new();
        let answer = post(&http, &site.permission.endpoint, marked_body(number)).await;
        assert_eq!(answer.expect("an answer").status(), 201);
        for client in [&mut client, &mut established] {
            let delivered = client.next().await.expect("a delivery");
            assert_eq!(mark(&delivered), number);
            client.acknowledge(&delivered).await.expect("sent");
        }
    }
    assert!(
        crowd[..2].iter().all(is_kept),
        "it was not that they had gone"
    );
    // Those that were too many are told so.
    let access = &laptop.mqtt;
    let identity = [&*access.client_id, &*access.username, &*access.password];
    for (version, code) in [(Version::V311, 3), (Version::V5, 0x89)] {
        let last = Box::new(crowd.pop().expect("one more"));
        let (_, told) = Client::over(last, version, identity, None)
            .await
            .expect("a CONNACK");
        assert_eq!(told, code);
    }
}

#[tokio::test]
async fn a_crowd_that_takes_every_connection_leaves_room_for_sites_and_the_store() {
    // Few open files, as on a small machine: 96 for devices, 32 for HTTP.
    let script = r#"ulimit -n 256; "$@"; exit $?"#;
    let mut setup = setup(&[]);
    setup.under = ["sh", "-c", script, "sh"].map(str::to_owned).into();
    let server = TestServer::start_with(setup);
    let user = server.user("ada").await;
    let site = user.approve("https://news.example").await;
    let laptop = user.device("laptop").await;
    let mut established = Client::connect(server.mqtt, &laptop, Version::V5).await;
    established.subscribe(&laptop.topics.notifications).await;

    let devices = crowd(server.mqtt, 150).await;
    let requests = crowd(server.http, 100).await;
    let phone = user.device("phone").await;
    let access = &phone.mqtt;
    let code = async || {
        let (id, user, password) = (&access.client_id, &access.username, &access.password);
        let connected = Client::try_connect(server.mqtt, Version::V5, id, user, password);
        connected.await.expect("a CONNACK").1
    };
    // The last of the crowd may not have been looked at yet.
    while code().await != 0x89 {}
    for number in 0..20 {
        let http = reqwest::Client::new();
        let answer = post(&http, &site.permission.endpoint, marked_body(number)).await;
        assert_eq!(answer.expect("an answer").status(), 201);
        let delivered = established.next().await.expect("a delivery");
        assert_eq!(mark(&delivered), number);
        established.acknowledge(&delivered).await.expect("sent");
    }
    assert!(is_kept(&devices[0]) && is_kept(&requests[0]));
    drop((devices, requests));
    while code().await != 0 {}
}
