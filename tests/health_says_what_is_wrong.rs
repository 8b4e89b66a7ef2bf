//! Promise: `/readyz` says 503 while the server cannot do what it is there for, and which part; `/healthz`
//! says 503 where starting it again may help.

use crate::harness::{PATIENCE, Setup, TestServer, marked_body, post, roomy};
use serde_json::Value;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const MIB: u64 = 1024 * 1024;
/// What files that fill a disk are called.
const FILLING: &str = "filling-";

async fn ask(server: &TestServer, path: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("{}{path}", server.url())).await;
    let answer = answer.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a body");
    (status, serde_json::from_str(&text).expect("JSON"))
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut checks = report["checks"].as_array().expect("checks").iter();
    checks.find(|check| check["name"] == name).expect(name)
}

/// A disk of the test's own, and small.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let owner = rustix::process::geteuid().as_raw();
        let size = format!("size={bytes},mode=700,uid={owner}");
        run(as_root("mount")
            .args(["-t", "tmpfs", "-o", &size, "belfry-test"])
            .arg(folder.path()));
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves this much free.
    fn fill_up_to(&self, free: u64) {
        let space = rustix::fs::statvfs(self.path()).expect("it is mounted");
        let bytes = (space.f_bavail * space.f_frsize).saturating_sub(free);
        let filling = vec![0x5a; usize::try_from(bytes).expect("a size")];
        let file = self.path().join(format!("{FILLING}{free}"));
        match std::fs::write(file, filling) {
            // The server wrote something meanwhile: it is as full as it can be.
            Err(error) if error.kind() == ErrorKind::StorageFull => {}
            written => written.expect("written"),
        }
    }

    /// Takes that away again.
    fn make_room(&self) {
        for entry in std::fs::read_dir(self.path()).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            if name.starts_with(FILLING) {
                std::fs::remove_file(&path).expect("removed");
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(as_root("umount").arg("--lazy").arg(self.path()));
    }
}

/// A command that only root may run.
fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["--non-interactive", program]);
    command
}

fn run(command: &mut Command) {
    let status = command.status().expect("it runs");
    assert!(status.success(), "{command:?}: {status}");
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_told_before_posts_are_lost_and_passes_when_there_is_room() {
    let disk = SmallDisk::mount(400 * MIB);
    let mut environment = roomy();
    let floor = ("BELFRY__HEALTH__DISK_FREE_MIN", "20MiB");
    environment.push((floor.0.to_owned(), floor.1.to_owned()));
    let setup = Setup {
        environment,
        ..Setup::default()
    };
    let server = TestServer::start_in(disk.path(), setup);
    let (status, report) = ask(&server, "/readyz").await;
    assert_eq!(
        (status, check(&report, "disk")["health"].as_str()),
        (200, Some("ok"))
    );

    disk.fill_up_to(50 * MIB);
    let (status, report) = ask(&server, "/readyz").await;
    assert_eq!(status, 200);
    assert_eq!(check(&report, "disk")["health"], "warning", "{report}");

    disk.fill_up_to(10 * MIB);
    let (status, report) = ask(&server, "/readyz").await;
    assert_eq!((status, &report["status"]), (503, &503.into()), "{report}");
    assert_eq!(check(&report, "disk")["health"], "failing", "{report}");
    assert_eq!(check(&report, "mailbox")["health"], "ok", "{report}");
    let (status, _) = ask(&server, "/healthz").await;
    assert_eq!(status, 200, "no restart makes room");

    disk.make_room();
    let (status, _) = ask(&server, "/readyz").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn posts_that_a_full_disk_refuses_are_taken_again_when_there_is_room() {
    let disk = SmallDisk::mount(400 * MIB);
    let server = TestServer::start_in(
        disk.path(),
        Setup {
            environment: roomy(),
            ..Setup::default()
        },
    );
    let user = server.user("ada").await;
    let site = user.approve("https://news.example").await;
    disk.fill_up_to(0);
    let http = reqwest::Client::new();
    let post = async |number| {
        let answer = post(&http, &site.permission.endpoint, marked_body(number)).await;
        answer.expect("an answer").status().as_u16()
    };
    // The journal may have room of its own.
    let refused = async {
        let mut number = 0;
        while post(number).await != 503 {
            number += 1;
        }
    };
    tokio::time::timeout(PATIENCE, refused)
        .await
        .expect("a full disk refuses");
    let (status, report) = ask(&server, "/readyz").await;
    assert_eq!(status, 503, "{report}");
    disk.make_room();
    let well = async { while ask(&server, "/readyz").await.0 != 200 {} };
    tokio::time::timeout(PATIENCE, well)
        .await
        .expect("well again");
    assert_eq!(post(0).await, 201);
}
