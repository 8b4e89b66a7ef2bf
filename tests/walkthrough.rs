//! The README's walk-through, as its commands: sign up, approve, send, listen.

use crate::harness::{PASSWORD, TestServer};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

fn belfry(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
    command
        .args(arguments)
        .env("BELFRY_CONFIG_DIR", config)
        .env("BELFRY_PASSWORD", PASSWORD)
        .env_remove("BELFRY_KEYS")
        .stdin(Stdio::null());
    command
}

fn stdout_of(mut command: Command) -> String {
    let output = command.output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn an_account_an_approval_and_a_notification_in_the_terminal() {
    let server = TestServer::start_with_defaults();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config");
    let subscription = folder.path().join("subscription.json");
    stdout_of(belfry(
        &config,
        &[
            "login",
            "--create",
            "--server",
            &server.url(),
            "--username",
            "ada",
        ],
    ));
    let printed = stdout_of(belfry(&config, &["approve", "https://news.example"]));
    std::fs::write(&subscription, printed).expect("written");

    let mut listen = belfry(&config, &["listen", "--json", "--count", "2"]);
    let mut listening = listen
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut status = BufReader::new(listening.stderr.take().expect("piped")).lines();
    let connected = status.next().expect("a line").expect("UTF-8");
    assert!(connected.contains("connected"), "{connected}");

    let to = subscription.to_string_lossy();
    stdout_of(belfry(
        &config,
        &[
            "send", "--to", &to, "--title", "Hello", "--body", "It works",
        ],
    ));
    let site_key = folder.path().join("site.json");
    stdout_of(belfry(
        &config,
        &["keys", "site-new", &site_key.to_string_lossy()],
    ));
    stdout_of(belfry(
        &config,
        &[
            "send",
            "--to",
            &to,
            "--title",
            "Again",
            "--encoding",
            "aes128gcm",
            "--urgency",
            "high",
        ],
    ));
    let output = listening.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let titles: Vec<String> = String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            line["content"]["title"]
                .as_str()
                .expect("a title")
                .to_owned()
        })
        .collect();
    assert_eq!(titles, ["Hello", "Again"]);
}

/// The shell commands of a document, block after block.
fn commands(document: &'static str) -> Vec<&'static str> {
    let blocks = document.split("```sh\n").skip(1);
    blocks
        .map(|rest| rest.split_once("```").expect("a block ends").0)
        .collect()
}

/// The README's walk-through.
fn readme_commands() -> &'static str {
    let readme = include_str!("../README.md");
    let heading = "## The same in five commands";
    let (_, section) = readme.split_once(heading).expect("the heading");
    commands(section)[0]
}

/// Runs them in a folder that has what a clone has after `./dev run`: the program, where the build
/// puts it. What they show.
fn run_in_a_clone(server: &TestServer, commands: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let built = folder.path().join("target/release");
    std::fs::create_dir_all(&built).expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_belfry"));
    std::os::unix::fs::symlink(program, built.join("belfry")).expect("a link");
    // An answer that is an error ends the commands.
    std::fs::write(folder.path().join(".curlrc"), "fail-with-body\n").expect("written");
    let mut shell = Command::new("sh");
    shell
        .args(["-e", "-c", commands])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").expect("a PATH"))
        .env("HOME", folder.path())
        // The one thing that is another here: where the server listens.
        .env("BELFRY_SERVER", server.url())
        .stdin(Stdio::null());
    stdout_of(shell)
}

#[test]
fn the_readme_s_commands_do_what_it_says_as_they_stand() {
    let server = TestServer::start_with_defaults();
    let shown = run_in_a_clone(&server, readme_commands());
    assert!(shown.contains("Hello"), "{shown}");
    assert!(shown.contains("Encrypted all the way"), "{shown}");
    assert!(shown.contains("https://news.example"), "{shown}");
}

#[test]
fn the_examples_of_the_http_api_are_answered_after_the_readme_s() {
    let server = TestServer::start_with_defaults();
    let examples = commands(include_str!("../docs/http-api.md")).concat();
    let here = "server=http://127.0.0.1:8080\n";
    assert_eq!(examples.matches(here).count(), 1);
    let there = format!("server={}\n", server.url());
    let all = [readme_commands(), &examples.replace(here, &there)].concat();
    let shown = run_in_a_clone(&server, &all);
    for expected in [
        "HTTP/1.1 201 Created",
        "\"name\":\"nightly script\"",
        "\"state\":\"muted\"",
        "\"site\":\"https://news.example\",\"seq\":1",
        "\"next\":null}{\"health\":\"ok\"",
        "HTTP/1.1 202 Accepted",
        "{\"items\":[],\"next\":\"0\"}{\"items\":[{\"message\":",
        "\"status\":410,",
        "belfry_accepted_total 3",
    ] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    for seq in [2, 3] {
        let gone = !shown.contains(&format!("\"seq\":{seq}"));
        assert!(gone, "it was taken back: {shown}");
    }
}
