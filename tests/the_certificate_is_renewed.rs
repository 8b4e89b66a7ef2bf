//! SIGHUP reads the certificate again, and is no end without one.

use crate::harness::{Certificate, Setup, TestServer};

fn client(trusting: &str) -> reqwest::Client {
    let authority = std::fs::read(trusting).expect("a certificate");
    reqwest::Client::builder()
        .add_root_certificate(reqwest::Certificate::from_pem(&authority).expect("PEM"))
        .pool_max_idle_per_host(0)
        .build()
        .expect("a client")
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_without_a_restart() {
    let (old, new) = (Certificate::make(), Certificate::make());
    let server = TestServer::start_with(Setup {
        environment: vec![
            ("BELFRY__TLS__CERT".to_owned(), old.path("cert.pem")),
            ("BELFRY__TLS__KEY".to_owned(), old.path("key.pem")),
        ],
        authority: Some(old.path("cert.pem").into()),
        ..Setup::default()
    });
    let (trusts_old, trusts_new) = (client(&old.path("cert.pem")), client(&new.path("cert.pem")));
    let url = format!("{}/healthz", server.url());
    assert!(trusts_old.get(&url).send().await.is_ok());
    assert!(trusts_new.get(&url).send().await.is_err());
    for name in ["cert.pem", "key.pem"] {
        std::fs::copy(new.path(name), old.path(name)).expect("renewed");
    }
    server.hang_up();
    // Connections made before it was read still see the old one.
    while trusts_new.get(&url).send().await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(trusts_old.get(&url).send().await.is_err());
}

#[tokio::test]
async fn without_a_certificate_the_signal_changes_nothing() {
    let mut server = TestServer::start();
    server.hang_up();
    // Signals of a process arrive in no order; one that it had died of would have come by now.
    let url = format!("{}/healthz", server.url());
    for _ in 0..50 {
        let answer = reqwest::get(&url).await.expect("it still serves");
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(server.terminate().code(), Some(0));
}
