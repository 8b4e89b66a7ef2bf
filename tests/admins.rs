//! What a test needs of admins: the operator's commands, and the API with a token of theirs.

use crate::harness::{PASSWORD, PATIENCE, TestServer};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What `belfry admin …` printed and how it ended.
pub(crate) struct Said {
    pub(crate) succeeded: bool,
    pub(crate) lines: Vec<Value>,
    pub(crate) error: String,
}

impl Said {
    /// The only line.
    pub(crate) fn one(mut self) -> Value {
        assert!(self.succeeded, "{}", self.error);
        assert_eq!(self.lines.len(), 1, "{:?}", self.lines);
        self.lines.remove(0)
    }
}

/// Runs `belfry admin` with these arguments on this data, for its JSON.
pub(crate) fn admin_command(data: &Path, arguments: &[&str]) -> Said {
    let data = data.to_str().expect("a path of a test");
    run(&[arguments, &["--data-dir", data]].concat(), &[])
}

/// Runs it with these arguments at a server, with an API token or without one.
pub(crate) fn admin_command_at(server: &str, token: &str, arguments: &[&str]) -> Said {
    let environment = [("BELFRY_ADMIN_TOKEN", token), ("BELFRY_PASSWORD", PASSWORD)];
    run(&[arguments, &["--server", server]].concat(), &environment)
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belfry"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BELFRY_")) {
        command.env_remove(name);
    }
    let output = command
        .arg("admin")
        .args(arguments)
        .arg("--json")
        .envs(environment.iter().copied())
        .output()
        .expect("it runs");
    let lines = String::from_utf8(output.stdout).expect("text");
    Said {
        succeeded: output.status.success(),
        lines: lines
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect(),
        error: String::from_utf8(output.stderr).expect("text"),
    }
}

impl TestServer {
    /// The admins' API with a new token of the role `admin`.
    pub(crate) fn admin(&self) -> AdminApi {
        self.admin_as("admin")
    }

    /// The same with another role.
    pub(crate) fn admin_as(&self, role: &str) -> AdminApi {
        let made = admin_command(self.data(), &["token", "create", "test", "--role", role]).one();
        AdminApi {
            http: self.http_client(),
            url: format!("{}/admin/v1", self.url()),
            token: made["token"].as_str().expect("a token").to_owned(),
            token_id: made["id"].as_str().expect("an id").to_owned(),
        }
    }

    /// A client that knows the server's certificate.
    pub(crate) fn http_client(&self) -> Client {
        let tls = belfry_client::tls::client_config(self.authority());
        let client = Client::builder()
            .use_preconfigured_tls(tls.expect("a configuration"))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE);
        client.build().expect("a client")
    }
}

/// The admins' API with a token.
pub(crate) struct AdminApi {
    http: Client,
    url: String,
    pub(crate) token: String,
    pub(crate) token_id: String,
}

/// A status, and the JSON where there is any.
pub(crate) type Answer = (u16, Value);

impl AdminApi {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, None).await
    }

    /// With the path below `/admin/v1`.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    /// To be sent as the test likes.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.url);
        self.http.request(method, url).bearer_auth(&self.token)
    }
}

/// Sends it.
pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}
