//! Promise: a start without an admin says on stderr by which link somebody becomes the first one; the link
//! is good once, and a restart voids it. Who came by it stays signed in over a restart.

use crate::admins::{admin_command, answer};
use crate::harness::{PASSWORD, Setup, TestServer, roomy};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;

struct Logged {
    server: TestServer,
    folder: TempDir,
}

impl Logged {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("stderr");
        // The shell stays, so that the server is its child wherever it is.
        let script = format!("\"$0\" \"$@\" 2>>'{}'; exit $?", log.display());
        let mut environment = roomy();
        environment.push(("BELFRY__LOG__LEVEL".to_owned(), "info".to_owned()));
        let server = TestServer::start_with(Setup {
            environment,
            under: ["sh", "-c", &script].map(str::to_owned).into(),
            ..Setup::default()
        });
        Self { server, folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).expect("a log")
    }

    /// The tokens of the links so far. Each stands there before the server says that it is ready.
    fn links(&self) -> Vec<String> {
        let begin = format!("set up: {}/admin#setup=", self.server.url());
        let log = self.log();
        let links = log.lines().filter_map(|line| line.strip_prefix(&begin));
        links.map(str::to_owned).collect()
    }

    fn restart(&mut self) {
        assert!(self.server.terminate().success());
        self.server.restart();
    }

    /// As our own page asks.
    fn page(&self, http: &Client, method: Method, path: &str) -> RequestBuilder {
        let (url, origin) = (
            format!("{}/admin/v1{path}", self.server.url()),
            self.server.url(),
        );
        let request = http.request(method, url).header("Origin", origin);
        request.header("X-Belfry-Admin", "1")
    }

    fn set_up(&self, http: &Client, token: &str, name: &str) -> RequestBuilder {
        let body = json!({"token": token, "username": name, "password": PASSWORD});
        self.page(http, Method::POST, "/setup").json(&body)
    }
}

fn head(log: &str) -> String {
    let mut heads = log.lines().filter_map(|line| line.split("head=\"").nth(1));
    let head = heads.next_back().and_then(|rest| rest.split('"').next());
    head.expect("the head of the audit log").to_owned()
}

fn verify(data: &Path, head: &str) -> bool {
    admin_command(data, &["audit", "verify", "--head", head]).succeeded
}

#[tokio::test]
async fn whoever_opens_the_link_of_the_last_start_is_the_first_admin() {
    let mut logged = Logged::start();
    let http = logged.server.http_client();
    logged.restart();
    let links = logged.links();
    let [former, link] = &links[..] else {
        panic!("one link a start: {links:?}");
    };
    let (status, problem) = answer(logged.set_up(&http, former, "eve")).await;
    assert_eq!(status, 410, "{problem}");
    let made = logged
        .set_up(&http, link, "ada")
        .send()
        .await
        .expect("an answer");
    assert_eq!(made.status(), 201);
    let cookie = made.headers()["set-cookie"].to_str().expect("text");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    assert!(cookie.starts_with("belfry-admin="), "{cookie}");
    assert_eq!(answer(logged.set_up(&http, link, "eve")).await.0, 410);
    let session = async |logged: &Logged| {
        // A new client: the former's connection is of a former start.
        let http = logged.server.http_client();
        let request = logged.page(&http, Method::GET, "/session");
        answer(request.header("Cookie", &cookie)).await
    };
    assert_eq!(session(&logged).await.1["role"], "admin");
    logged.restart();
    assert_eq!(logged.links().len(), 2, "there is an admin");
    assert_eq!(session(&logged).await.0, 200);
    let refused = admin_command(logged.server.data(), &["setup-link"]);
    assert!(!refused.succeeded && refused.error.contains("there is an admin"));
    // And what was logged of the audit log tells it from another one.
    let head = head(&logged.log());
    assert!(verify(logged.server.data(), &head));
    let other = head.replace(':', ":0");
    assert!(!verify(logged.server.data(), &other[..head.len()]));
}

#[tokio::test]
async fn an_operator_on_the_machine_gets_back_in() {
    let server = TestServer::start();
    server.user("ada").await;
    let data = server.data();
    let sign_in = async || {
        let url = format!("{}/admin/v1/sign-in", server.url());
        let body = json!({"username": "ada", "password": PASSWORD});
        let request = server.http_client().post(url).json(&body);
        let request = request.header("Origin", server.url());
        answer(request.header("X-Belfry-Admin", "1")).await.0
    };
    assert_eq!(sign_in().await, 401);
    let link = admin_command(data, &["setup-link"]).one();
    let link = link["link"].as_str().expect("a link");
    assert!(link.contains("/admin#setup="), "{link}");
    assert!(admin_command(data, &["user", "role", "ada", "admin"]).succeeded);
    assert_eq!(sign_in().await, 200);
    let last = admin_command(data, &["user", "role", "ada", "none"]);
    assert!(
        !last.succeeded && last.error.contains("last admin"),
        "{}",
        last.error
    );
    let reset = admin_command(data, &["user", "reset", "ada"]).one();
    assert!(reset["link"].as_str().expect("a link").contains("/#reset="));
}
