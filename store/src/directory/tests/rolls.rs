//! Users and sites as lists.

use super::*;
use belfry_protocol::site::Origin;

fn member(number: u8) -> UserId {
    UserId::from_bytes([number; 16])
}

fn origin(text: &str) -> Origin {
    text.parse().unwrap()
}

fn at(second: u64) -> Timestamp {
    now().plus(Duration::from_secs(second))
}

fn asked(search: &str, order: UserOrder, descending: bool) -> UsersAsked {
    UsersAsked {
        words: Words::of(search).unwrap(),
        order,
        descending,
        after: None,
        limit: 200,
    }
}

pub(super) async fn everything(directory: &Directory) {
    // Those of other tests have no such names.
    for (number, name) in [(51, "Zoë-roll"), (52, "adam-roll"), (53, "Émile_ROLL")] {
        let made = directory.create_account(member(number), name, "", at(100 - u64::from(number)));
        made.await.unwrap();
    }
    for (number, devices) in [(51, 2), (52, 0), (53, 1)] {
        for device in 0..devices {
            device_of(directory, number, device).await;
        }
    }
    for (user, number, site) in [
        (51, 1, "https://roll-a.example"),
        (52, 2, "https://roll-a.example"),
        (52, 3, "https://roll-b.example"),
        (52, 4, "https://roll-gone.example"),
    ] {
        permission_of(directory, user, number, site).await;
    }
    revoke(directory, 52, 4).await;
    directory.write_down_notes().await.unwrap();

    users_are_sorted_and_found(directory).await;
    pages_go_on_where_they_ended(directory).await;
    one_user_is_counted_by_sort(directory).await;
    sites_are_those_approved_or_registered(directory).await;

    for number in [51, 52, 53] {
        directory
            .erase_account(member(number), now())
            .await
            .unwrap();
    }
}

async fn device_of(directory: &Directory, user: u8, number: u8) {
    let device = Device {
        id: DeviceId::from_bytes([user + number; 16]),
        name: "a device".to_owned(),
        kind: if number == 0 {
            DeviceKind::Browser
        } else {
            DeviceKind::Cli
        },
        public_key: [0; 32],
        urgency_min: Urgency::VeryLow,
        created: now(),
        last_seen: None,
    };
    let id = device.id;
    let new = NewDevice {
        device,
        password: SecretHash::of(b"password"),
        made_with: SessionId::from_bytes([user; 16]),
    };
    directory.create_device(member(user), &new).await.unwrap();
    directory.note_seen(member(user), id, at(u64::from(user + number)));
}

async fn permission_of(directory: &Directory, user: u8, number: u8, site: &str) {
    let new = NewPermission {
        permission: Permission {
            id: PermissionId::from_bytes([number; 16]),
            site: origin(site),
            name: None,
            state: PermissionState::Allowed,
            receipts: false,
            created: now(),
            accepted: 0,
            last_used: None,
        },
        application_server_key: None,
        endpoint: SecretHash::of(&[user, number]),
    };
    let made = directory.create_permission(member(user), &new);
    made.await.unwrap();
}

async fn revoke(directory: &Directory, user: u8, number: u8) {
    let id = PermissionId::from_bytes([number; 16]);
    let found = directory.permission(member(user), id).await.unwrap();
    let revoked = Permission {
        state: PermissionState::Revoked,
        ..found.unwrap()
    };
    let done = directory.update_permission(member(user), &revoked);
    done.await.unwrap();
}

async fn names(directory: &Directory, asked: &UsersAsked) -> Vec<String> {
    let users = directory.users(asked).await.unwrap();
    users.into_iter().map(|user| user.name).collect()
}

async fn users_are_sorted_and_found(directory: &Directory) {
    let (zoe, adam, emile) = ("Zoë-roll", "adam-roll", "Émile_ROLL");
    for (order, upwards) in [
        (UserOrder::Name, [adam, emile, zoe]),
        (UserOrder::Created, [emile, adam, zoe]),
        // Nobody ever saw Adam.
        (UserOrder::LastSeen, [adam, zoe, emile]),
        (UserOrder::Devices, [adam, emile, zoe]),
        (UserOrder::Permissions, [emile, zoe, adam]),
    ] {
        let found = names(directory, &asked("roll", order, false)).await;
        assert_eq!(found, upwards, "{order:?}");
        let found = names(directory, &asked("roll", order, true)).await;
        let downwards: Vec<_> = upwards.into_iter().rev().collect();
        assert_eq!(found, downwards, "{order:?} downwards");
    }
    for (search, found) in [
        ("zoe roll", vec![zoe]),
        ("ROLL EMILE", vec![emile]),
        ("e_r", vec![emile]),
        ("roll zoe adam", vec![]),
        ("%roll", vec![]),
    ] {
        let asked = asked(search, UserOrder::Name, false);
        assert_eq!(names(directory, &asked).await, found, "{search}");
    }
    let users = directory
        .users(&asked("zoe roll", UserOrder::Name, false))
        .await;
    let seen = at(52);
    let [zoe] = &users.unwrap()[..] else {
        panic!("one Zoë");
    };
    assert_eq!((zoe.user, zoe.role), (member(51), Role::None));
    assert_eq!((zoe.devices, zoe.permissions), (2, 1));
    assert_eq!((zoe.created, zoe.last_seen), (at(49), Some(seen)));
    // What is noted is seen before it is written down.
    let device = DeviceId::from_bytes([51; 16]);
    directory.note_seen(member(51), device, at(500));
    let zoe = directory.listed_user(member(51)).await.unwrap().unwrap();
    assert_eq!(zoe.last_seen, Some(at(500)));
    directory.write_down_notes().await.unwrap();
    let zoe = directory.listed_user(member(51)).await.unwrap().unwrap();
    assert_eq!(zoe.last_seen, Some(at(500)));
}

async fn pages_go_on_where_they_ended(directory: &Directory) {
    for order in [
        UserOrder::Name,
        UserOrder::Created,
        UserOrder::LastSeen,
        UserOrder::Devices,
        UserOrder::Permissions,
    ] {
        for descending in [false, true] {
            let mut asked = asked("roll", order, descending);
            let whole = names(directory, &asked).await;
            asked.limit = 1;
            let mut paged = Vec::new();
            while let Some(user) = directory.users(&asked).await.unwrap().pop() {
                paged.push(user.name);
                assert!(paged.len() < 9, "{order:?} {descending} goes on for ever");
                asked.after = Some(user.place);
            }
            assert_eq!(paged, whole, "{order:?} {descending}");
        }
    }
    // Whoever comes before the place is not read twice, and who comes behind it is not left out.
    let mut asked = asked("roll", UserOrder::Name, false);
    asked.limit = 2;
    let first = directory.users(&asked).await.unwrap();
    for (number, name) in [(61, "aaron-roll"), (62, "yves-roll")] {
        let made = directory.create_account(member(number), name, "", now());
        made.await.unwrap();
    }
    asked.after = first.last().map(|user| user.place.clone());
    let rest = names(directory, &asked).await;
    assert_eq!(rest, ["yves-roll", "Zoë-roll"]);
    for number in [61, 62] {
        directory
            .erase_account(member(number), now())
            .await
            .unwrap();
    }
}

async fn one_user_is_counted_by_sort(directory: &Directory) {
    let sorts = directory.user_sorts(member(51)).await.unwrap();
    let expected = UserSorts {
        devices: [("browser".to_owned(), 1), ("cli".to_owned(), 1)].into(),
        permissions: [("allowed".to_owned(), 1)].into(),
        second_factor: false,
    };
    assert_eq!(sorts, expected);
    let adam = directory.user_sorts(member(52)).await.unwrap();
    assert_eq!(adam.permissions, [("allowed".to_owned(), 2)].into());
    assert_eq!(directory.listed_user(member(99)).await.unwrap(), None);
}

async fn sites_are_those_approved_or_registered(directory: &Directory) {
    let (approved, registered) = (
        origin("https://roll-a.example"),
        origin("https://roll-r.example"),
    );
    let made = directory.create_site(&registered, "proof", &Actor::Operator, now());
    made.await.unwrap();
    let a = PermissionId::from_bytes([1; 16]);
    directory.note_use(member(51), a, &approved, at(7));
    for _ in 0..2 {
        let sites = directory.listed_sites().await.unwrap();
        let mut sites = sites.into_iter();
        let mut ours = sites
            .by_ref()
            .filter(|site| site.site.as_str().contains("roll"));
        let expected = ListedSite {
            site: approved.clone(),
            permissions: 2,
            last_used: Some(at(7)),
            registered: false,
            proven: false,
        };
        let one = directory.listed_site(&approved).await.unwrap();
        assert_eq!(one.as_ref(), Some(&expected));
        assert_eq!(ours.next(), Some(expected));
        let other = ours.next().map(|site| (site.site, site.permissions));
        assert_eq!(other, Some((origin("https://roll-b.example"), 1)));
        let last = ours.next().map(|site| (site.site, site.registered));
        assert_eq!(last, Some((registered.clone(), true)));
        assert_eq!(ours.next(), None, "nothing that is only revoked");
        directory.write_down_notes().await.unwrap();
    }
    let gone = origin("https://roll-gone.example");
    assert_eq!(directory.listed_site(&gone).await.unwrap(), None);
    directory
        .prove_site(&registered, &Actor::Operator, now())
        .await
        .unwrap();
    let proven = directory.listed_site(&registered).await.unwrap();
    assert!(proven.unwrap().proven);
    directory
        .remove_site(&registered, &Actor::Operator, now())
        .await
        .unwrap();
}

#[tokio::test]
async fn names_from_before_are_folded_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("directory.sqlite");
    let url = format!("sqlite:{}", file.display());
    let directory = Directory::open(&url).await.unwrap();
    let made = directory.create_account(user(), "Zoë", "", now());
    made.await.unwrap();
    execute!(directory, "UPDATE accounts SET words = NULL").unwrap();
    directory.close().await;
    let directory = Directory::open(&url).await.unwrap();
    let found = names(&directory, &asked("zoe", UserOrder::Name, false)).await;
    assert_eq!(found, ["Zoë"]);
    directory.close().await;
}
