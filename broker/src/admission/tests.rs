#![allow(clippy::unwrap_used)]
use super::*;
use std::net::Ipv4Addr;

const ROOMY: Bounds = Bounds {
    connections: 1_000,
    per_address: 1_000,
    opening: 1_000,
    waiting: 1_000,
};

fn address(number: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, number).into()
}

/// Connections of these addresses, in this order.
fn arrive(door: &Admission, numbers: &[u8]) -> Vec<Admitted> {
    let admitted = numbers
        .iter()
        .map(|number| door.admit(address(*number), None));
    admitted.collect::<Result<_, _>>().unwrap()
}

/// Which of them may open.
fn opening(admitted: &mut [Admitted]) -> Vec<bool> {
    let told = |admitted: &mut Admitted| match &mut admitted.stage {
        Stage::Waiting(waiting) => waiting.try_recv().is_ok_and(|()| {
            admitted.stage = Stage::Opening;
            true
        }),
        Stage::Opening => true,
        Stage::Open => false,
    };
    admitted.iter_mut().map(told).collect()
}

fn is_empty(door: &Admission) -> bool {
    let state = door.lock();
    let counts = [
        state.connections,
        state.opening,
        state.waiting,
        state.turned_away,
    ];
    counts == [0; 4] && state.addresses.is_empty() && state.turns.is_empty()
}

#[test]
fn an_ipv6_network_is_one_address() {
    let door = Admission::new(Bounds {
        per_address: 1,
        ..ROOMY
    });
    let enter = |text: &str| door.admit(text.parse().unwrap(), None);
    let first = enter("2001:db8::1");
    assert!(first.is_ok());
    assert_eq!(enter("2001:db8::2").err(), Some(Turned::Address));
    assert!(enter("2001:db8:0:1::1").is_ok());
    drop(first);
    assert!(enter("2001:db8::2").is_ok());
    let mapped = enter("::ffff:192.0.2.1");
    assert!(mapped.is_ok());
    assert_eq!(enter("192.0.2.1").err(), Some(Turned::Address));
    drop(mapped);
    assert!(is_empty(&door));
}

#[test]
fn no_more_than_there_may_be_come_in_whoever_they_are() {
    let door = Admission::new(Bounds {
        connections: 2,
        ..ROOMY
    });
    let mut two = arrive(&door, &[1, 2]);
    assert_eq!(door.admit(address(3), None).err(), Some(Turned::Full));
    two.pop();
    assert!(door.admit(address(3), None).is_ok());
}

#[test]
fn only_so_many_open_at_a_time_and_the_next_when_one_has_opened() {
    let door = Admission::new(Bounds {
        opening: 2,
        ..ROOMY
    });
    let mut all = arrive(&door, &[1, 2, 3, 4]);
    assert_eq!(opening(&mut all), [true, true, false, false]);
    all[1].opened();
    assert_eq!(opening(&mut all), [true, false, true, false]);
    // One that goes without having opened makes room too.
    all.remove(0);
    assert_eq!(opening(&mut all), [false, true, true]);
    all.clear();
    assert!(is_empty(&door));
}

#[test]
fn an_address_has_a_share_of_the_openings() {
    let door = Admission::new(Bounds {
        opening: 8,
        ..ROOMY
    });
    let mut crowd = arrive(&door, &[1; 20]);
    assert_eq!(opening(&mut crowd).iter().filter(|open| **open).count(), 2);
    let mut other = arrive(&door, &[2, 2, 2]);
    assert_eq!(opening(&mut other), [true, true, false]);
}

#[test]
fn addresses_take_turns_however_many_of_one_wait() {
    let door = Admission::new(Bounds {
        opening: 4,
        ..ROOMY
    });
    let mut first = arrive(&door, &[9, 8, 7, 6]);
    let mut all = arrive(&door, &[1, 1, 1, 1, 2, 3]);
    for opened in &mut first[..3] {
        opened.opened();
    }
    assert_eq!(
        opening(&mut all),
        [true, false, false, false, true, true],
        "one of each"
    );
    all[0].opened();
    all[4].opened();
    assert_eq!(
        opening(&mut all),
        [false, true, false, false, false, true],
        "and no more than its share"
    );
}

#[test]
fn the_longest_line_gives_way_to_one_who_is_alone() {
    let door = Admission::new(Bounds {
        opening: 1,
        waiting: 4,
        ..ROOMY
    });
    let mut open = arrive(&door, &[9]);
    let mut crowd = arrive(&door, &[1, 1, 1, 1]);
    assert_eq!(door.admit(address(1), None).err(), Some(Turned::Busy));
    let mut alone = arrive(&door, &[2]);
    let given_up = |admitted: &mut Admitted| match &mut admitted.stage {
        Stage::Waiting(waiting) => waiting.try_recv() == Err(oneshot::error::TryRecvError::Closed),
        _ => false,
    };
    let gone: Vec<bool> = crowd.iter_mut().map(given_up).collect();
    assert_eq!(gone, [false, false, false, true], "the newest of them");
    let two = arrive(&door, &[2]);
    // Both lines have two now, and nobody gives way to make the other longer.
    for number in [1, 2] {
        assert_eq!(door.admit(address(number), None).err(), Some(Turned::Busy));
    }
    open.clear();
    crowd.remove(0);
    assert_eq!(opening(&mut alone), [true]);
    drop((crowd, alone, two));
    assert!(is_empty(&door));
}

#[tokio::test]
async fn a_turn_comes_or_is_told_not_to() {
    let door = Admission::new(Bounds {
        opening: 1,
        waiting: 2,
        ..ROOMY
    });
    let mut all = arrive(&door, &[9, 1, 1]);
    let [open, first, second] = &mut all[..] else {
        panic!();
    };
    assert_eq!(open.turn().await, Ok(()));
    let mut other = arrive(&door, &[2]);
    assert_eq!(second.turn().await, Err(Turned::Busy));
    open.opened();
    assert_eq!(first.turn().await, Ok(()));
    first.opened();
    assert_eq!(other[0].turn().await, Ok(()));
    drop((all, other));
    assert!(is_empty(&door));
}

#[test]
fn whoever_leaves_the_line_is_not_waited_for() {
    let door = Admission::new(Bounds {
        opening: 1,
        ..ROOMY
    });
    let mut all = arrive(&door, &[9, 1, 1, 2]);
    all.remove(1);
    all[0].opened();
    assert_eq!(opening(&mut all), [false, true, false]);
    // Its turn has come, and it goes before it knows.
    let mut late = arrive(&door, &[3]);
    all[1].opened();
    drop(all);
    assert_eq!(opening(&mut late), [true]);
    drop(late);
    assert!(is_empty(&door));
}

#[test]
fn few_are_told_why_and_the_rest_are_not() {
    let door = Admission::new(Bounds {
        connections: 1_000_000,
        ..ROOMY
    });
    let told: Vec<Courtesy> = (0..1_000)
        .filter_map(|_| door.turn_away(address(1)))
        .collect();
    assert_eq!(told.len(), TURNED_AWAY_MAX / SHARE);
    let others: Vec<Courtesy> = (0..200)
        .filter_map(|number| door.turn_away(address(2 + number % 100)))
        .chain((0..200).filter_map(|number| door.turn_away(address(2 + number % 100))))
        .collect();
    assert_eq!(told.len() + others.len(), TURNED_AWAY_MAX);
    drop((told, others));
    assert!(is_empty(&door));
}

#[test]
fn where_there_is_little_room_fewer_are_told_why() {
    let door = Admission::new(Bounds {
        connections: 128,
        ..ROOMY
    });
    let told = (0..100).filter_map(|number| door.turn_away(address(number)));
    assert_eq!(told.collect::<Vec<Courtesy>>().len(), 8);
}
