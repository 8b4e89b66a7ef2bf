use super::*;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn ban(ends: Option<u64>) -> Ban {
    Ban {
        reason: "spam".into(),
        ends: ends.map(Timestamp::from_millis),
    }
}

fn network(text: &str) -> Network {
    text.parse().expect("a range")
}

#[test]
fn a_range_is_written_as_it_counts() {
    for (text, counts_as) in [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7/24", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::1/128", "2001:db8::/64"),
        ("2001:db8:1::/48", "2001:db8:1::/48"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
    ] {
        assert_eq!(network(text).to_string(), counts_as, "{text}");
        assert_eq!(network(counts_as), network(text), "{text}");
    }
    for wrong in [
        "",
        "192.0.2",
        "192.0.2.7/33",
        "news.example",
        "::/129",
        "192.0.2.7/",
        // Of what maps IPv4 and more: all of IPv6 that begins with it, most likely not meant.
        "::ffff:192.0.2.7/95",
        "::ffff:192.0.2.7/64",
    ] {
        assert_eq!(wrong.parse::<Network>(), Err(InvalidNetwork), "{wrong}");
    }
}

#[test]
fn an_address_is_kept_out_by_whichever_range_it_is_in() {
    let ranges = [
        "192.0.2.0/24",
        "198.51.100.7",
        "2001:db8::/32",
        "2001:db9::7",
    ];
    let bans: Bans = ranges
        .map(|range| (Subject::Address(network(range)), ban(None)))
        .into_iter()
        .collect();
    let check = |address: &str, out: bool| {
        let address = address.parse().expect("an address");
        assert_eq!(bans.address(address, NOW).is_some(), out, "{address}");
    };
    check("192.0.2.0", true);
    check("192.0.2.255", true);
    check("::ffff:192.0.2.9", true);
    check("192.0.3.0", false);
    check("198.51.100.7", true);
    check("198.51.100.8", false);
    check("2001:db8:ffff::1", true);
    check("2001:db9::ffff:1", true);
    check("2001:db9:0:1::7", false);
}

#[test]
fn a_ban_holds_until_it_ends_and_no_longer() {
    let end = NOW.as_millis() + 1;
    let site: Origin = "https://news.example".parse().expect("a site");
    let user = UserId::from_bytes([1; 16]);
    let key = vec![4; VAPID_KEY_BYTES];
    let all = [
        Subject::Site(site.clone()),
        Subject::User(user),
        Subject::Vapid(key.clone()),
        Subject::Address(network("192.0.2.0/24")),
    ];
    let bans: Bans = all.into_iter().map(|it| (it, ban(Some(end)))).collect();
    let address = "192.0.2.1".parse().expect("an address");
    let holds = |now| {
        [
            bans.site(&site, now).is_some(),
            bans.user(user, now).is_some(),
            bans.vapid(&key, now).is_some(),
            bans.address(address, now).is_some(),
        ]
    };
    assert_eq!(holds(NOW), [true; 4]);
    assert_eq!(bans.next_end(NOW), Some(Timestamp::from_millis(end)));
    assert_eq!(bans.of_mailboxes(NOW), (vec![site.clone()], vec![user]));
    let then = Timestamp::from_millis(end);
    assert_eq!(holds(then), [false; 4]);
    assert_eq!(bans.next_end(then), None);
    assert_eq!(bans.of_mailboxes(then), (Vec::new(), Vec::new()));
    let other: Origin = "https://other.example".parse().expect("a site");
    assert!(bans.site(&other, NOW).is_none());
}

#[test]
fn of_two_over_one_thing_the_longer_holds() {
    let site: Origin = "https://news.example".parse().expect("a site");
    let end = NOW.as_millis() + 1;
    for ends in [[Some(end), None], [None, Some(end)]] {
        let bans = ends.map(|end| (Subject::Site(site.clone()), ban(end)));
        let bans: Bans = bans.into_iter().collect();
        assert!(bans.site(&site, Timestamp::from_millis(end)).is_some());
    }
}

proptest! {
    #[test]
    fn looking_up_by_prefix_is_comparing_with_every_range(
        ranges in proptest::collection::vec((any::<u16>(), 0u8..=32), 0..12),
        low in any::<u16>(),
    ) {
        let ranges: Vec<Network> = ranges
            .into_iter()
            .map(|(low, prefix)| format!("10.0.{}.{}/{prefix}", low >> 8, low & 255))
            .map(|text| network(&text))
            .collect();
        let bans: Bans = ranges
            .iter()
            .map(|range| (Subject::Address(*range), ban(None)))
            .collect();
        let address: IpAddr = format!("10.0.{}.{}", low >> 8, low & 255).parse().expect("one");
        let expected = ranges.iter().any(|range| range.contains(address));
        prop_assert_eq!(bans.address(address, NOW).is_some(), expected);
    }

    #[test]
    fn no_text_panics_as_a_range(text in "\\PC{0,60}") {
        let _ = text.parse::<Network>();
    }
}
