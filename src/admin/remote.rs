//! `belfry admin --server URL`: the same over HTTP, at a server that runs, by an API token in
//! `BELFRY_ADMIN_TOKEN`. The token is no argument: others on the machine see those.

use anyhow::{Context as _, bail};
use clap::Args;
use reqwest::{Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::path::Path;

/// Where the API token is.
const TOKEN: &str = "BELFRY_ADMIN_TOKEN";
/// Items that are asked for at a time.
const PAGE: usize = 200;

/// A server's API with a token.
pub(super) struct Remote {
    http: reqwest::Client,
    base: String,
    token: String,
    json: bool,
}

impl Remote {
    pub(super) fn new(server: &str, ca: Option<&Path>, json: bool) -> anyhow::Result<Self> {
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        let token = token.with_context(|| {
            format!(
                "{TOKEN} is not set: --server needs an API token; make one with \
                 belfry admin token create NAME --role admin, or in the dashboard"
            )
        })?;
        let tls = belfry_client::tls::client_config(ca)?;
        Ok(Self {
            http: belfry_client::server::http_client(server, tls)?,
            base: format!("{}/admin/v1", server.trim_end_matches('/')),
            token,
            json,
        })
    }

    /// One line for programs, or the text for people.
    pub(super) fn show(&self, shown: &(impl Display + Serialize)) -> anyhow::Result<()> {
        super::print(shown, self.json)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Response> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await;
        response.with_context(|| format!("{} does not answer", self.base))
    }

    /// What was answered; nothing where there is nothing of this name.
    pub(super) async fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let response = self.send(Method::GET, path, None).await?;
        if response.status() == 404 {
            return Ok(None);
        }
        read(response).await.map(Some)
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let answer = read(self.send(Method::GET, path, None).await?).await?;
        serde_json::from_value(answer).context("the server answered something else")
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        read(self.send(method, path, body).await?).await
    }

    /// Sends a text that is no JSON.
    pub(super) async fn post_text(
        &self,
        path: &str,
        media_type: &str,
        text: String,
    ) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.base);
        let request = self.http.post(url).bearer_auth(&self.token);
        let request = request.header("Content-Type", media_type).body(text);
        let response = request.send().await;
        let response = response.with_context(|| format!("{} does not answer", self.base));
        read(response?).await
    }

    /// Each item of a list, as long as it is to go on. The path has a query, if an empty one.
    pub(super) async fn each(
        &self,
        path: &str,
        mut with: impl FnMut(Value) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let mut cursor = String::new();
        loop {
            let page = format!("{path}&limit={PAGE}{cursor}");
            let mut page: Value = self.get(&page).await?;
            let Value::Array(items) = page["items"].take() else {
                bail!("the server answered something else");
            };
            for item in items {
                if !with(item)? {
                    return Ok(());
                }
            }
            let Some(next) = page["next"].as_str() else {
                return Ok(());
            };
            cursor = format!("&cursor={}", encoded(next));
        }
    }

    /// Writes what is answered as it comes.
    pub(super) async fn copy(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<()> {
        let mut response = self.send(method, path, body).await?;
        if !response.status().is_success() {
            read(response).await?;
            return Ok(());
        }
        while let Some(piece) = response.chunk().await? {
            std::io::stdout().lock().write_all(&piece)?;
        }
        Ok(())
    }
}

/// An answer, with what it says to people.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Answered(pub(super) Value, #[serde(skip)] pub(super) String);

impl Display for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.1)
    }
}

/// The JSON of an answer, null where there is none; what a problem says is the error.
async fn read(response: Response) -> anyhow::Result<Value> {
    let status = response.status();
    let text = response.text().await?;
    if status.is_success() {
        if text.is_empty() {
            return Ok(Value::Null);
        }
        return serde_json::from_str(&text).context("the server answered no JSON");
    }
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    match problem["detail"].as_str() {
        Some(detail) if status == 401 => bail!("{detail}; {TOKEN} has no such token"),
        Some(detail) => bail!("{detail}"),
        None => bail!("the server answered {status}"),
    }
}

/// A text as a segment of a path or a value of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Any route of the API.
#[derive(Args)]
pub(crate) struct Api {
    /// GET, POST, PUT, PATCH or DELETE
    method: Method,
    /// What comes behind /admin/v1, such as /limits
    path: String,
    /// A JSON body; - reads it from stdin
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
}

impl Api {
    pub(super) async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        let body = match self.body.as_deref() {
            Some("-") => Some(std::io::read_to_string(std::io::stdin())?),
            other => other.map(str::to_owned),
        };
        let body: Option<Value> = body
            .map(|body| serde_json::from_str(&body).context("--body is no JSON"))
            .transpose()?;
        let path = self.path.trim_start_matches('/');
        remote
            .copy(self.method, &format!("/{path}"), body.as_ref())
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_one_segment() {
        assert_eq!(
            encoded("https://news.example:81"),
            "https%3A%2F%2Fnews.example%3A81"
        );
        assert_eq!(encoded("Zoë +&"), "Zo%C3%AB%20%2B%26");
    }
}
