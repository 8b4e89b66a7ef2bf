//! What the server keeps is its owner's alone: the folder 0700, every file in it 0600.

use crate::harness::{TestServer, marked_body, post};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn check(path: &Path, files: &mut usize) {
    let metadata = std::fs::metadata(path).expect("metadata");
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_dir() {
        assert_eq!(mode, 0o700, "{}", path.display());
        for entry in std::fs::read_dir(path).expect("a folder") {
            check(&entry.expect("an entry").path(), files);
        }
    } else {
        assert_eq!(mode, 0o600, "{}", path.display());
        *files += 1;
    }
}

#[tokio::test]
async fn nobody_else_on_the_machine_reads_what_is_stored() {
    let mut server = TestServer::start();
    let user = server.user("ada").await;
    let approved = user.approve("https://news.example").await;
    let http = reqwest::Client::new();
    let answer = post(&http, &approved.subscription().endpoint, marked_body(1)).await;
    assert_eq!(answer.expect("an answer").status(), 201);
    let mut files = 0;
    check(server.data(), &mut files);
    assert!(files > 3, "only {files} files: where is the data?");
    // And so they stay, also those that the end of the process writes.
    assert!(server.terminate().success());
    check(server.data(), &mut files);
}
