//! Who stays away for long.

use super::devices::Connection;
use super::*;
use belfry_acl::limit::Name;
use belfry_store::directory::{Actor, Role};

const DAY: u64 = 86_400;

impl Server {
    async fn keep(&self, name: Name, days: u64) {
        let now = Timestamp::from_millis(self.now.load(Ordering::SeqCst));
        let set = [(name, Some(days * DAY))];
        let set = self.directory.set_limits(&set, &Actor::Operator, now);
        set.await.unwrap();
    }

    async fn devices_of(&self, name: &str) -> Vec<String> {
        let token = self.sign_in(name).await;
        let listed = self.ask("GET", "/v1/devices", &token.0, Value::Null).await;
        let items = listed.json["items"].as_array().unwrap();
        let names = items.iter().map(|item| item["name"].as_str().unwrap());
        names.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_device_that_stays_away_is_warned_of_and_removed_a_week_later() {
    let server = Server::new().await;
    let ada = server.user("ada").await;
    let phone = server.device(&ada, "phone").await;
    server.device(&ada, "lost").await;
    let look = || server.accounts.look_for_idle();
    server.later(40 * DAY);
    look().await.unwrap();
    assert_eq!(
        server.devices_of("ada").await.len(),
        2,
        "nobody said how long"
    );
    server.keep(Name::DeviceIdle, 30).await;
    let mut connected = Connection::open(&server, &phone).await.unwrap();
    look().await.unwrap();
    assert_eq!(connected.event().await, "device.idle");
    server.later(7 * DAY - 60);
    look().await.unwrap();
    assert_eq!(
        server.devices_of("ada").await.len(),
        2,
        "it was warned of less than a week ago"
    );
    server.later(60);
    look().await.unwrap();
    assert_eq!(connected.event().await, "device.removed");
    assert_eq!(
        server.devices_of("ada").await,
        ["phone"],
        "who is connected is not away"
    );
}

#[tokio::test]
async fn an_account_at_which_nobody_is_goes_and_that_of_an_admin_stays() {
    let server = Server::new().await;
    let (ada, root, eve) = (
        server.user("ada").await,
        server.user("root").await,
        server.user("eve").await,
    );
    drop((ada, root, eve));
    let account = server.directory.account_by_name("root").await.unwrap();
    let root = account.unwrap().user;
    let now = Timestamp::from_millis(START);
    let role = server
        .directory
        .set_role(root, Role::Admin, &Actor::Operator, now);
    role.await.unwrap();
    server.keep(Name::AccountIdle, 90).await;
    let look = || server.accounts.look_for_idle();
    server.later(83 * DAY + 1);
    look().await.unwrap();
    server.later(6 * DAY);
    server.sign_in("eve").await;
    server.later(DAY);
    look().await.unwrap();
    let there = async |name: &str| {
        server
            .directory
            .account_by_name(name)
            .await
            .unwrap()
            .is_some()
    };
    assert!(!there("ada").await);
    assert!(there("eve").await, "she came back");
    assert!(there("root").await, "who administers may be away");
    server.later(84 * DAY);
    look().await.unwrap();
    assert!(there("eve").await, "and is warned again");
    server.later(7 * DAY);
    look().await.unwrap();
    assert!(!there("eve").await);
}
