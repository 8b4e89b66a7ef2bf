//! A user's devices open the same notifications: linked by a code, recovered by words, and shut out
//! when they are removed. The real program, with a folder for each device.

use crate::harness::{PASSWORD, TestServer};
use belfry_client::keyring::{Keyring, KeyringProblem};
use belfry_client::server::Server;
use belfry_client::state::{LocalCopy, Session, StateDir};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use tempfile::TempDir;

/// A device: a folder, and the program that uses it.
struct Machine {
    folder: TempDir,
    server: String,
}

/// A program of a device that goes on.
struct Running {
    process: Child,
    out: Lines<BufReader<ChildStdout>>,
    said: Lines<BufReader<ChildStderr>>,
}

impl Machine {
    fn new(server: &TestServer) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            server: server.url(),
        }
    }

    /// One that signed in as ada.
    fn signed_in(server: &TestServer, name: &str, more: &[&str]) -> Self {
        let machine = Self::new(server);
        let words = ["login", "--username", "ada", "--device-name", name];
        machine.run(&[&words, more].concat());
        machine
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
        command
            .args(words)
            .env("BELFRY_CONFIG_DIR", self.config())
            .env("BELFRY_PASSWORD", PASSWORD)
            .env("BELFRY_SERVER", &self.server)
            .env_remove("BELFRY_KEYS")
            .env_remove("BELFRY_CA")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn output(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("it runs")
    }

    /// What it writes; it has to succeed.
    fn run(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// What it says when it fails.
    fn fails(&self, words: &[&str]) -> String {
        let output = self.output(words);
        assert!(!output.status.success(), "{words:?} succeeded");
        String::from_utf8(output.stderr).expect("UTF-8")
    }

    fn start(&self, words: &[&str]) -> Running {
        let mut process = self.command(words).spawn().expect("it runs");
        Running {
            out: BufReader::new(process.stdout.take().expect("piped")).lines(),
            said: BufReader::new(process.stderr.take().expect("piped")).lines(),
            process,
        }
    }

    fn listening(&self, count: &str) -> Running {
        self.start(&["listen", "--json", "--count", count])
    }

    fn state(&self) -> StateDir {
        StateDir::find(Some(&self.config()), |_| None).expect("a folder")
    }

    fn copy(&self) -> Option<LocalCopy> {
        self.state().key_file(None).load().expect("it can be read")
    }

    fn permissions(&self) -> BTreeSet<String> {
        let copy = self.copy().expect("it is linked");
        let ids = copy.keyring.permissions().into_keys();
        ids.map(|id| id.to_string()).collect()
    }

    fn id(&self) -> String {
        let device = self.state().device().expect("it can be read");
        device.expect("it is one").device.device_id.to_string()
    }

    /// The server as this machine's sign-in sees it.
    fn api(&self) -> Server {
        let session: Session = self.state().session().expect("read").expect("signed in");
        let tls = belfry_client::tls::client_config(None).expect("a configuration");
        let server = Server::new(&session.server, tls).expect("a client");
        server.with_token(session.access_token)
    }

    /// Links a machine by its code.
    fn links(&self, new: &Self) {
        let mut link = new.start(&["keys", "link", "--json"]);
        let code = link.line()["code"].as_str().expect("a code").to_owned();
        self.run(&["keys", "accept", "--yes", &code]);
        assert_eq!(link.line()["event"], "linked");
        assert!(link.process.wait().expect("it ends").success());
    }

    /// Approves a site, and gives what to send with.
    fn approves(&self, site: &str) -> tempfile::NamedTempFile {
        let mut subscription = tempfile::NamedTempFile::new().expect("a file");
        let printed = self.run(&["approve", site]);
        subscription.write_all(printed.as_bytes()).expect("written");
        subscription
    }

    fn sends(&self, subscription: &tempfile::NamedTempFile, title: &str) {
        let to = subscription.path().to_string_lossy();
        self.run(&["send", "--to", &to, "--title", title]);
    }
}

impl Running {
    /// The next line that it writes, JSON.
    fn line(&mut self) -> Value {
        let Some(line) = self.out.next() else {
            let said: Vec<_> = self.said.by_ref().map_while(Result::ok).collect();
            panic!("it ended: {said:?}");
        };
        serde_json::from_str(&line.expect("UTF-8")).expect("JSON")
    }

    fn title(&mut self) -> String {
        let line = self.line();
        line["content"]["title"]
            .as_str()
            .expect("a title")
            .to_owned()
    }

    /// Waits until it says something with this in it.
    fn hears(&mut self, wanted: &str) -> String {
        let mut before = Vec::new();
        for line in self.said.by_ref() {
            let line = line.expect("UTF-8");
            if line.contains(wanted) {
                return line;
            }
            before.push(line);
        }
        panic!("it ended without {wanted}: {before:?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_device_that_is_linked_by_code_reads_old_and_new() {
    let server = TestServer::start();
    let desk = Machine::signed_in(&server, "desk", &["--create"]);
    let news = desk.approves("https://news.example");
    let phone = Machine::signed_in(&server, "phone", &[]);
    desk.sends(&news, "before it was linked");
    let refused = phone.fails(&["listen", "--count", "1"]);
    assert!(refused.contains("belfry keys link"), "{refused}");

    desk.links(&phone);
    desk.sends(&news, "after it was linked");
    let mut listening = phone.listening("4");
    assert_eq!(listening.title(), "before it was linked");
    assert_eq!(listening.title(), "after it was linked");
    // A site that is approved elsewhere while this one listens.
    let blog = desk.approves("https://blog.example");
    desk.sends(&blog, "from a new site");
    let line = listening.line();
    assert_eq!(line["content"]["title"], "from a new site");
    assert_eq!(line["site"], "https://blog.example");
    // And the other way.
    let shop = phone.approves("https://shop.example");
    desk.sends(&shop, "approved on the phone");
    assert_eq!(listening.title(), "approved on the phone");
    let mut desk_listens = desk.listening("4");
    for _ in 0..3 {
        desk_listens.title();
    }
    assert_eq!(desk_listens.title(), "approved on the phone");
    assert_eq!(desk.permissions(), phone.permissions());
}

#[test]
fn a_program_that_listens_goes_on_when_a_device_is_linked() {
    let server = TestServer::start();
    let desk = Machine::signed_in(&server, "desk", &["--create"]);
    let news = desk.approves("https://news.example");
    let mut listening = desk.listening("2");
    desk.sends(&news, "one");
    assert_eq!(listening.title(), "one");
    let phone = Machine::signed_in(&server, "phone", &[]);
    desk.links(&phone);
    desk.sends(&news, "two");
    assert_eq!(listening.title(), "two");
    assert!(listening.process.wait().expect("it ends").success());
}

#[test]
fn a_code_that_is_mistyped_old_or_of_another_account_links_nothing() {
    let server = TestServer::start();
    let desk = Machine::signed_in(&server, "desk", &["--create"]);
    let phone = Machine::signed_in(&server, "phone", &[]);
    let before = desk.copy();
    let mut link = phone.start(&["keys", "link", "--json"]);
    let code = link.line()["code"].as_str().expect("a code").to_owned();
    let other = if code.starts_with('A') { "B" } else { "A" };
    let mistyped = format!("{other}{}", &code[1..]);
    let refused = desk.fails(&["keys", "accept", "--yes", &mistyped]);
    assert!(refused.contains("mistyped"), "{refused}");
    let refused = desk.fails(&["keys", "accept", &code]);
    assert!(
        refused.contains("phone") && refused.contains("--yes"),
        "{refused}"
    );
    assert_eq!(desk.copy(), before);

    let eve = Machine::new(&server);
    eve.run(&["login", "--create", "--username", "eve"]);
    let refused = eve.fails(&["keys", "accept", "--yes", &code]);
    assert!(refused.contains("no device waits"), "{refused}");

    desk.run(&["keys", "accept", "--yes", &code]);
    assert_eq!(link.line()["event"], "linked");
    let refused = desk.fails(&["keys", "accept", "--yes", &code]);
    assert!(refused.contains("no device waits"), "{refused}");
}

#[test]
fn twelve_words_bring_the_keys_back_when_no_device_is_left() {
    let server = TestServer::start();
    let lost = Machine::signed_in(&server, "lost", &["--create"]);
    let news = lost.approves("https://news.example");
    let old = lost.run(&["keys", "recovery"]);
    let refused = lost.fails(&["keys", "recovery"]);
    assert!(refused.contains("--yes"), "{refused}");
    let words = lost.run(&["keys", "recovery", "--yes"]);
    assert_eq!(words.split_whitespace().count(), 12, "{words}");

    let new = Machine::signed_in(&server, "new", &[]);
    let recover = |words: &str| {
        let mut command = new.command(&["keys", "recover"]);
        let mut process = command.stdin(Stdio::piped()).spawn().expect("it runs");
        let mut stdin = process.stdin.take().expect("piped");
        stdin.write_all(words.as_bytes()).expect("written");
        drop(stdin);
        process.wait_with_output().expect("it ends")
    };
    assert!(!recover(&old).status.success(), "a replaced phrase");
    assert!(!recover("one two three").status.success(), "no phrase");
    assert!(new.copy().is_none());
    assert!(recover(&words.to_uppercase()).status.success());
    new.sends(&news, "still there");
    assert_eq!(new.listening("1").title(), "still there");
    // The lost one is taken out, and the words still hold.
    new.run(&["devices", "remove", "--yes", &lost.id()]);
    let third = Machine::signed_in(&server, "third", &[]);
    let mut command = third.command(&["keys", "recover"]);
    let mut process = command.stdin(Stdio::piped()).spawn().expect("it runs");
    let mut stdin = process.stdin.take().expect("piped");
    stdin.write_all(words.as_bytes()).expect("written");
    drop(stdin);
    assert!(process.wait().expect("it ends").success());
    assert_eq!(third.permissions(), new.permissions());
}

#[tokio::test]
async fn a_device_that_was_removed_reads_nothing_new() {
    let server = TestServer::start();
    let desk = Machine::signed_in(&server, "desk", &["--create"]);
    let news = desk.approves("https://news.example");
    let phone = Machine::signed_in(&server, "phone", &[]);
    let tablet = Machine::signed_in(&server, "tablet", &[]);
    desk.links(&phone);
    desk.links(&tablet);
    let stolen = phone.copy().expect("it is linked");
    let mut watching = tablet.listening("2");

    let refused = desk.fails(&["devices", "remove", "--yes", &desk.id()]);
    assert!(refused.contains("this device"), "{refused}");
    desk.run(&["devices", "remove", "--yes", &phone.id()]);
    let listed = desk.run(&["devices"]);
    assert!(!listed.contains("phone"), "{listed}");
    let refused = phone.fails(&["listen", "--count", "1"]);
    assert!(refused.contains("does not let this device in"), "{refused}");
    phone.fails(&["devices"]);
    // Who keeps its files and gets at the server's bytes has no key to them.
    let served = desk.api().keyring().await.expect("an answer").expect("one");
    assert_eq!(
        Keyring::open(&served.sealed, &stolen.key),
        Err(KeyringProblem::NotOpening)
    );
    let wrap = desk.api().wrap(&phone.id()).await.expect("an answer");
    assert_eq!(wrap, None);
    // Those that are left go on, and know what the removed one knew.
    desk.sends(&news, "to those that are left");
    assert_eq!(watching.title(), "to those that are left");
    let blog = desk.approves("https://blog.example");
    desk.sends(&blog, "under the new key");
    assert_eq!(watching.title(), "under the new key");
    let marked = tablet.run(&["permissions"]);
    let renewed: Vec<_> = marked
        .lines()
        .filter(|line| line.contains("a removed device"))
        .collect();
    assert_eq!(renewed.len(), 1, "{marked}");
    assert!(renewed[0].contains("https://news.example"), "{marked}");
}

#[test]
fn devices_that_edit_at_once_lose_no_permission() {
    const EACH: usize = 8;
    let server = TestServer::start();
    let desk = Machine::signed_in(&server, "desk", &["--create"]);
    let phone = Machine::signed_in(&server, "phone", &[]);
    let tablet = Machine::signed_in(&server, "tablet", &[]);
    desk.links(&phone);
    desk.links(&tablet);
    let all = [&desk, &phone, &tablet];
    // Two programs on each, so that the file is fought for too.
    std::thread::scope(|scope| {
        for (number, machine) in all.iter().chain(&all).enumerate() {
            scope.spawn(move || {
                for round in 0..EACH / 2 {
                    machine.run(&["approve", &format!("https://site-{number}-{round}.example")]);
                }
            });
        }
    });
    for machine in all {
        machine.run(&["devices"]);
    }
    for machine in all {
        machine.run(&["devices"]);
        assert_eq!(machine.permissions().len(), EACH * 3);
    }
}

#[test]
fn a_device_that_is_killed_while_it_writes_has_a_whole_keyring() {
    let server = TestServer::start();
    let desk = Machine::signed_in(&server, "desk", &["--create"]);
    let phone = Machine::signed_in(&server, "phone", &[]);
    desk.links(&phone);
    for round in 0..24_u64 {
        let name = format!("name {round}");
        let words: &[&str] = match round % 3 {
            0 => &["approve", "https://news.example"],
            1 => &["keys", "recovery", "--yes"],
            _ => &["devices", "rename", &phone.id(), &name],
        };
        let mut process = desk.command(words).spawn().expect("it runs");
        // Somewhere between its start and its end: each round a little later.
        std::thread::sleep(std::time::Duration::from_millis(round * 3));
        let _ = process.kill();
        process.wait().expect("it ends");
        desk.copy().expect("a whole copy");
    }
    desk.run(&["devices"]);
    phone.run(&["devices"]);
    assert_eq!(desk.permissions(), phone.permissions());
    desk.run(&["approve", "https://last.example"]);
    phone.run(&["permissions"]);
    assert_eq!(desk.permissions(), phone.permissions());
}

#[tokio::test]
async fn an_old_keyring_is_refused_said_so_and_put_right_when_the_user_wants() {
    let server = TestServer::start();
    let desk = Machine::signed_in(&server, "desk", &["--create"]);
    desk.approves("https://news.example");
    let old = desk.api().keyring().await.expect("an answer").expect("one");
    desk.approves("https://blog.example");
    let now = desk.api().keyring().await.expect("an answer").expect("one");
    let before = desk.copy();
    let mut listening = desk.listening("1");
    desk.api()
        .put_keyring(old.sealed.clone(), Some(&now.etag))
        .await
        .expect("put");
    let refused = listening.hears("keyring_refused");
    assert!(refused.contains("an old keyring"), "{refused}");
    let refused = desk.fails(&["keys", "recovery"]);
    assert!(refused.contains("uploaded nothing"), "{refused}");
    let served = desk.api().keyring().await.expect("an answer").expect("one");
    assert_eq!(served.sealed, old.sealed);
    assert_eq!(desk.copy(), before);
    desk.run(&["keys", "repair"]);
    let served = desk.api().keyring().await.expect("an answer").expect("one");
    assert_ne!(served.sealed, old.sealed);
    desk.run(&["keys", "recovery"]);
}
