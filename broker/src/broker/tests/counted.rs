//! What the numbers say after devices came, acknowledged and went.

use super::*;
use crate::figures::ledger::Ledger;

/// A server whose numbers go to the ledger, whichever thread they come from.
async fn counted(ledger: &Ledger, settings: Settings) -> Server {
    let hub = Hub::start();
    let told = hub.commit_listener();
    let on_writer = ledger.clone();
    let listener = Box::new(move |commits| {
        metrics::with_local_recorder(&on_writer, || told(commits));
    });
    Server::start_with(hub, listener, settings, MailboxLimits::default()).await
}

#[tokio::test]
async fn delivered_is_settled_by_the_first_device_and_acknowledged_by_each() {
    let ledger = Ledger::default();
    let _here = metrics::set_default_local_recorder(&ledger);
    let server = counted(&ledger, Settings::default()).await;
    let mut one = server.subscribed(1, 4).await;
    let mut two = server.subscribed(2, 5).await;
    server.post(1).await;
    let (first, second) = (gets(&mut one, 1).await, gets(&mut two, 1).await);
    assert_eq!(ledger.sum("belfry_acknowledged_total"), 0.0);
    one.puback(first).await;
    one.ping().await;
    two.puback(second).await;
    two.puback(second).await;
    two.ping().await;
    // A private message is none of these.
    one.subscribe(&[(&topic("x/#"), 1)], &[1]).await;
    one.publish(&topic("x/a"), b"", 1, 3, false).await;
    for _ in 0..2 {
        let packet = one.next().await;
        if packet.kind() == 3 {
            one.puback(packet.id()).await;
        }
    }
    one.ping().await;
    // Over HTTP, once more what it has, and once what it has not.
    server.post(2).await;
    let third = gets(&mut one, 3).await;
    let ids = [1, 2].map(|number| Server::envelope(number, Urgency::Normal).id);
    let acknowledge = Command::Acknowledge {
        user: user(),
        device: device(1),
        ids: ids.to_vec(),
    };
    server.broker.0.settler.flush().await;
    server.apply(acknowledge).await;
    // Then over MQTT too: what comes later over the same bus is here, and so is that.
    server.post(3).await;
    gets(&mut one, 4).await;
    one.puback(third).await;
    one.ping().await;
    server.broker.drain().await;
    // An answer may come before its commit is told of, but not before that of an earlier one.
    server.post(4).await;
    for (total, seconds, expected) in [
        ("belfry_delivered_total", "belfry_delivery_seconds", 2),
        (
            "belfry_acknowledged_total",
            "belfry_acknowledgement_seconds",
            3,
        ),
    ] {
        assert_eq!(ledger.sum(total), f64::from(expected), "{total}");
        assert_eq!(ledger.count(seconds), expected as usize, "{seconds}");
        assert!(ledger.sum(seconds) < 60.0, "{seconds}");
    }
}

#[tokio::test]
async fn connected_devices_are_counted_by_transport_and_version() {
    let ledger = Ledger::default();
    let _here = metrics::set_default_local_recorder(&ledger);
    let server = counted(&ledger, Settings::default()).await;
    let connected = |transport, version| {
        let name = "belfry_connected_devices";
        ledger.sum(&format!("{name} transport={transport} version={version}"))
    };
    let mut tcp = server.tcp(4).await;
    tcp.connect(1, true).await;
    let mut websocket = Device::open(server.http, 5, Via::WebSocket).await;
    websocket.connect(2, true).await;
    let mut stranger = server.tcp(4).await;
    stranger.send_connect(3, b"wrong", true, &[]).await;
    stranger.next().await;
    assert_eq!(connected("tcp", "3.1.1"), 1.0);
    assert_eq!(connected("websocket", "5.0"), 1.0);
    server.broker.drain().await;
    assert_eq!(connected("tcp", "3.1.1"), 0.0);
    assert_eq!(connected("websocket", "5.0"), 0.0);
}

#[tokio::test]
async fn sweeps_are_counted_by_their_cause() {
    let ledger = Ledger::default();
    let _here = metrics::set_default_local_recorder(&ledger);
    let settings = Settings {
        sweep_interval: Duration::from_millis(10),
        ..Settings::default()
    };
    let _server = counted(&ledger, settings).await;
    while ledger.sum("belfry_bus_sweeps_total cause=interval") < 2.0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ledger.sum("belfry_bus_sweeps_total cause=jump"), 0.0);
}
