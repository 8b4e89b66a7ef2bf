//! A deterministic world around the broker: the real sessions, deliveries, hub and mailbox, with time,
//! network, bus, disk and crashes decided by one number, the seed. The same seed is the same run.
//!
//! What is tried is the contract's *Delivery* paragraph: whatever happens, each session ends with
//! exactly what it is owed. `./dev simulate` runs many seeds; one that fails is printed with its last
//! events, and `BELFRY_SEED=… ./dev simulate` runs it again with all of them.
//!
//! Nothing here waits for real time and no thread takes part, so a failure is never a matter of
//! luck. Not simulated are what is before the session (TLS, WebSocket, HTTP) and other users.
#![allow(clippy::unwrap_used)]

mod acts;
mod away;
mod bus;
mod chance;
mod contract;
mod device;
mod engine;
mod heal;
mod judge;
mod packets;
mod stories;
mod stream;
pub(crate) mod time;
mod world;

use belfry_protocol::id::{DeviceId, PermissionId, UserId};
use contract::Violation;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use world::{Trace, World};

const USER: UserId = UserId::from_bytes([1; 16]);
const PASSWORD: &[u8] = b"secret";

/// Seeds that each run of the tests tries.
const SEEDS: u64 = 500;

fn device_id(number: usize) -> DeviceId {
    let mut bytes = [2; 16];
    bytes[15] = number as u8;
    DeviceId::from_bytes(bytes)
}

fn permission_id(number: u8) -> PermissionId {
    let mut bytes = [3; 16];
    bytes[15] = number;
    PermissionId::from_bytes(bytes)
}

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Whether anything on this thread has panicked; a task's panic is otherwise its own affair.
fn panicked() -> bool {
    PANICKED.get()
}

fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |about| {
            PANICKED.set(true);
            before(about);
        }));
    });
}

/// A run that went wrong.
struct Failure {
    seed: u64,
    wrong: Violation,
    last: Vec<String>,
}

/// Lives through the world of this seed, and gives a digest of all that happened.
fn live(seed: u64, trace: Trace) -> Result<u64, Failure> {
    let (lived, trace) = simulated(async {
        let mut world = World::new(seed, trace);
        let lived = rounds(&mut world).await;
        (lived, world.trace)
    });
    match lived {
        Ok(()) => Ok(trace.hash()),
        Err(wrong) => Err(Failure {
            seed,
            wrong,
            last: trace.lines.into_iter().collect(),
        }),
    }
}

/// Runs a world in its own time.
fn simulated<T>(world: impl Future<Output = T>) -> T {
    note_panics();
    PANICKED.set(false);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let lived = runtime.block_on(async {
        time::begin();
        world.await
    });
    drop(runtime);
    time::end();
    lived
}

async fn rounds(world: &mut World) -> Result<(), Violation> {
    let profile = format!("{:?}", world.profile);
    world.note(|| profile);
    world.start()?;
    world.furnish();
    for _ in 0..world.profile.rounds {
        for _ in 0..world.profile.steps {
            world.act().await?;
            let tick = world.chance.within(1, world.profile.tick_max);
            world.step(tick).await?;
        }
        world.heal().await?;
    }
    Ok(())
}

/// Failures after which no more are looked for.
const FAILURES_MAX: usize = 10;

/// Runs seeds from `first` on, on each processor, and gives those that failed, the lowest first.
fn explore(first: u64, count: u64) -> Vec<Failure> {
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    // Twice as many as there are processors: opening and closing a mailbox also waits.
    let workers = 2 * std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    let enough = failures.lock().unwrap().len() >= FAILURES_MAX;
                    if seed >= first + count || enough {
                        return;
                    }
                    if let Err(failure) = live(seed, Trace::new(false, false)) {
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort_by_key(|failure| failure.seed);
    failures
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is not a number")),
    )
}

#[test]
fn every_session_ends_with_exactly_what_it_is_owed() {
    if let Some(seed) = number_from("BELFRY_SEED") {
        if let Err(failure) = live(seed, Trace::new(true, true)) {
            panic!("seed {seed}: {}", failure.wrong);
        }
        return;
    }
    let count = number_from("BELFRY_SEEDS").unwrap_or(SEEDS);
    let first = number_from("BELFRY_FIRST_SEED").unwrap_or(1);
    let failures = explore(first, count);
    let Some(Failure { seed, .. }) = failures.first() else {
        return;
    };
    // Once more, with its events.
    if let Err(failure) = live(*seed, Trace::new(true, false)) {
        println!("{}", failure.last.join("\n"));
    }
    for Failure { seed, wrong, .. } in &failures {
        println!("seed {seed}: {wrong}");
    }
    panic!("to replay the first: BELFRY_SEED={seed} ./dev simulate");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 1..=4 {
        let hashes = [(); 2].map(|()| live(seed, Trace::new(true, false)).ok());
        assert_eq!(hashes[0], hashes[1], "seed {seed}");
    }
}
