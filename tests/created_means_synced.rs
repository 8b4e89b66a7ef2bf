//! No 201 is written before the sync that covers it has returned: SIGKILL leaves the page cache
//! alive, so only a trace of the system calls can tell.

use crate::harness::{Setup, TestServer, marked_body, post, roomy};
use std::path::Path;

/// What a line of the trace says, as far as the promise goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// A POST was read from a socket.
    PostRead,
    /// A sync of a file of the mailbox returned.
    Synced,
    /// A 201 is about to be written.
    Created,
}

/// Reads `strace -f -y` lines in their order. Calls that block are logged in two parts: a sync
/// counts when it is resumed (it has returned), a write when it is begun.
fn calls(trace: &str) -> Vec<Call> {
    let mut syncing = std::collections::HashSet::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let call = call.trim_start();
        let is_sync = call.starts_with("fsync(") || call.starts_with("fdatasync(");
        if is_sync && call.contains("/mailbox/") {
            if call.ends_with("<unfinished ...>") {
                syncing.insert(thread.to_owned());
            } else if call.ends_with("= 0") {
                calls.push(Call::Synced);
            }
        } else if call.starts_with("<... f") && call.contains("sync resumed") {
            if syncing.remove(thread) && call.ends_with("= 0") {
                calls.push(Call::Synced);
            }
        } else if call.contains("\"POST /push/") {
            calls.push(Call::PostRead);
        } else if call.contains("\"HTTP/1.1 201") {
            calls.push(Call::Created);
        }
    }
    calls
}

/// With one poster, a sync must return between each POST and its 201. Gives the number of 201s.
fn every_answer_is_covered(calls: &[Call]) -> Result<usize, String> {
    let (mut posted, mut covered, mut created) = (false, false, 0);
    for (at, call) in calls.iter().enumerate() {
        match call {
            Call::PostRead => (posted, covered) = (true, false),
            Call::Synced => covered = posted,
            Call::Created if covered => (posted, covered, created) = (false, false, created + 1),
            Call::Created => return Err(format!("call {at} is a 201 that no sync covers")),
        }
    }
    Ok(created)
}

#[tokio::test]
async fn no_201_is_written_before_its_sync_returned() {
    const POSTS: u64 = 50;
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("trace");
    let mut server = TestServer::start_with(Setup {
        environment: roomy(),
        under: tracer(&log),
        ..Setup::default()
    });
    let user = server.user("ada").await;
    let site = user.approve("https://news.example").await;
    let http = reqwest::Client::new();
    for number in 0..POSTS {
        let answer = post(&http, &site.permission.endpoint, marked_body(number))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 201);
    }
    assert!(server.terminate().success());

    let trace = std::fs::read_to_string(&log).expect("a trace");
    let calls: Vec<_> = calls(&trace);
    let from = calls
        .iter()
        .position(|call| *call == Call::PostRead)
        .expect("a POST in the trace");
    let created = every_answer_is_covered(&calls[from..]).expect("each 201 is covered");
    assert_eq!(created, usize::try_from(POSTS).expect("fits"));

    let unsynced: Vec<_> = calls[from..]
        .iter()
        .copied()
        .filter(|call| *call != Call::Synced)
        .collect();
    assert!(
        every_answer_is_covered(&unsynced).is_err(),
        "without the syncs the judge must object"
    );
}

fn tracer(log: &Path) -> Vec<String> {
    let calls = "trace=fsync,fdatasync,read,recvfrom,write,writev,sendto,sendmsg";
    [
        "strace",
        "-f",
        "-y",
        "-s",
        "32",
        "-e",
        calls,
        "-o",
        &log.to_string_lossy(),
    ]
    .map(str::to_owned)
    .to_vec()
}
