//! The user's side of a server's HTTP API: account, devices, permissions, mailbox, keyring.
//!
//! Keys never travel here, and a server's refusal comes back as the problem it answered.

mod records;

pub use records::{
    Account, Device, DeviceInfo, DeviceKind, Keyring, MailboxEntry, MqttAccess, NewPermission,
    Permission, PermissionChange, PermissionInfo, PermissionState, SignedIn, Topics,
};

use crate::keys::encode;
use belfry_protocol::id::{DeviceId, NotificationId, PermissionId, SessionId};
use belfry_protocol::problem::Problem;
use reqwest::header::{ETAG, IF_MATCH, IF_NONE_MATCH, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long an answer may take; sign-in waits in a queue behind other sign-ins.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read, in bytes: a page of 100 notifications or a keyring.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Pages of a list that are followed, so that a server's mistake cannot hold a client for ever.
const PAGES_MAX: usize = 100;

/// The recipient of the wrap for the recovery key.
pub const RECOVERY: &str = "recovery";

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The server refused.
    #[error("{}", refusal(problem, *retry_after))]
    Refused {
        /// What it said.
        problem: Box<Problem>,
        /// Seconds after which it may be asked again.
        retry_after: Option<u64>,
    },
    /// No answer.
    #[error("{url} does not answer ({reason}); is the server running, and is this its address?")]
    Unreachable {
        /// Which server.
        url: String,
        /// Why.
        reason: String,
    },
    /// Not a server's address.
    #[error("{0} is not a server's address; give one such as https://push.example")]
    Address(String),
    /// An answer that no Belfry server gives.
    #[error("{url} answered something else than a Belfry server would: {reason}")]
    Answer {
        /// Which server.
        url: String,
        /// What was wrong.
        reason: String,
    },
}

impl ServerError {
    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { problem, .. } => Some(problem.status),
            _ => None,
        }
    }
}

/// `detail (title, 422; field: username)`, on one line.
fn refusal(problem: &Problem, retry_after: Option<u64>) -> String {
    let mut text = format!("{} ({}, {}", problem.detail, problem.title, problem.status);
    if let Some(field) = &problem.field {
        text.push_str(&format!("; field: {field}"));
    }
    if let Some(seconds) = retry_after {
        text.push_str(&format!("; try again in {seconds} s"));
    }
    text.push(')');
    text
}

/// A server, and with a token the user's place on it.
#[derive(Clone)]
pub struct Server {
    base: String,
    http: reqwest::Client,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    #[serde(default)]
    next: Option<String>,
}

/// An HTTP client for this address: no redirects, and no proxy for this machine itself.
///
/// # Errors
/// `url` is not an http or https address.
pub fn http_client(url: &str, tls: rustls::ClientConfig) -> Result<reqwest::Client, ServerError> {
    let invalid = || ServerError::Address(url.to_owned());
    let parsed = url::Url::parse(url).map_err(|_| invalid())?;
    let local = match parsed.host().ok_or_else(invalid)? {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
    };
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(invalid());
    }
    let mut builder = reqwest::Client::builder()
        .use_preconfigured_tls(tls)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_TIMEOUT);
    if local {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|_| invalid())
}

impl Server {
    /// A server by its base URL.
    ///
    /// # Errors
    /// [`ServerError::Address`].
    pub fn new(base: &str, tls: rustls::ClientConfig) -> Result<Self, ServerError> {
        Ok(Self {
            http: http_client(base, tls)?,
            base: base.trim_end_matches('/').to_owned(),
            token: None,
        })
    }

    /// The same server with a user's token.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The base URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Makes an account.
    ///
    /// # Errors
    /// 403 closed, 409 taken, 422 a weak password or a bad name, 429 too many.
    pub async fn sign_up(
        &self,
        username: &str,
        password: &str,
        invite: Option<&str>,
    ) -> Result<Account, ServerError> {
        let mut body = json!({"username": username, "password": password});
        if let Some(invite) = invite {
            body["invite"] = invite.into();
        }
        self.json(self.post("/v1/accounts").json(&body)).await
    }

    /// Signs in; the answer's token goes into [`Server::with_token`]. On a device that there is, with
    /// its credentials, so that the sign-in ends with it.
    ///
    /// # Errors
    /// 401 a wrong name or password, 429 too many failures.
    pub async fn sign_in(
        &self,
        username: &str,
        password: &str,
        on: Option<&Device>,
    ) -> Result<SignedIn, ServerError> {
        let body = json!({"username": username, "password": password});
        let mut request = self.post("/v1/sessions").json(&body);
        if let Some(device) = on {
            request = request.basic_auth(device.device_id, Some(&device.mqtt.password));
        }
        self.json(request).await
    }

    /// Ends this sign-in.
    ///
    /// # Errors
    /// 401 the token is not good.
    pub async fn sign_out(&self) -> Result<(), ServerError> {
        self.done(self.request(Method::DELETE, "/v1/sessions/current"))
            .await
    }

    /// Ends another sign-in.
    ///
    /// # Errors
    /// 404 there is none.
    pub async fn end_session(&self, session: SessionId) -> Result<(), ServerError> {
        self.done(self.request(Method::DELETE, &format!("/v1/sessions/{session}")))
            .await
    }

    /// The account behind the token.
    ///
    /// # Errors
    /// 401 the token is not good.
    pub async fn me(&self) -> Result<Account, ServerError> {
        self.json(self.request(Method::GET, "/v1/me")).await
    }

    /// Makes a device with this X25519 public key.
    ///
    /// # Errors
    /// 401 the sign-in is older than 10 minutes; 403 or 409 too many devices.
    pub async fn create_device(
        &self,
        name: &str,
        kind: DeviceKind,
        public_key: &crate::keys::BoxPublicKey,
    ) -> Result<Device, ServerError> {
        let body = json!({"name": name, "kind": kind, "public_key": public_key.to_string()});
        self.json(self.post("/v1/devices").json(&body)).await
    }

    /// The user's devices.
    ///
    /// # Errors
    /// 401 the token is not good.
    pub async fn devices(&self) -> Result<Vec<DeviceInfo>, ServerError> {
        self.list("/v1/devices").await
    }

    /// Removes a device.
    ///
    /// # Errors
    /// 401 the sign-in is older than 10 minutes; 404 there is none.
    pub async fn delete_device(&self, device: DeviceId) -> Result<(), ServerError> {
        self.done(self.request(Method::DELETE, &format!("/v1/devices/{device}")))
            .await
    }

    /// Renames a device.
    ///
    /// # Errors
    /// 404 there is none; 422 a bad name.
    pub async fn rename_device(&self, device: DeviceId, name: &str) -> Result<(), ServerError> {
        let path = format!("/v1/devices/{device}");
        let body = json!({ "name": name });
        self.done(self.request(Method::PATCH, &path).json(&body))
            .await
    }

    /// Approves a site.
    ///
    /// # Errors
    /// 422 what is asked for is malformed; 403 or 409 too many permissions.
    pub async fn create_permission(&self, new: &NewPermission) -> Result<Permission, ServerError> {
        self.json(self.post("/v1/permissions").json(new)).await
    }

    /// The user's permissions.
    ///
    /// # Errors
    /// 401 the token is not good.
    pub async fn permissions(&self) -> Result<Vec<PermissionInfo>, ServerError> {
        self.list("/v1/permissions").await
    }

    /// Mutes, allows or renames a permission, or gives or takes receipts.
    ///
    /// # Errors
    /// 404 there is none.
    pub async fn change_permission(
        &self,
        permission: PermissionId,
        change: &PermissionChange,
    ) -> Result<(), ServerError> {
        let path = format!("/v1/permissions/{permission}");
        self.done(self.request(Method::PATCH, &path).json(change))
            .await
    }

    /// Revokes a permission: from this answer on the endpoint is gone.
    ///
    /// # Errors
    /// 404 there is none.
    pub async fn revoke_permission(&self, permission: PermissionId) -> Result<(), ServerError> {
        self.done(self.request(Method::DELETE, &format!("/v1/permissions/{permission}")))
            .await
    }

    /// A page of the mailbox: at most `limit` entries after this `seq`, oldest first.
    ///
    /// # Errors
    /// 401 the token is not good.
    pub async fn notifications(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<MailboxEntry>, ServerError> {
        let path = format!("/v1/notifications?after={after}&limit={limit}");
        let page: Page<MailboxEntry> = self.json(self.request(Method::GET, &path)).await?;
        Ok(page.items)
    }

    /// Acknowledges for a device, as PUBACK does over MQTT.
    ///
    /// # Errors
    /// 401 the device or its password is not good.
    pub async fn acknowledge(
        &self,
        device: &MqttAccess,
        ids: &[NotificationId],
    ) -> Result<(), ServerError> {
        let request = self
            .http
            .post(format!("{}/v1/notifications/ack", self.base))
            .basic_auth(&device.client_id, Some(&device.password))
            .json(&json!({ "ids": ids }));
        self.done(request).await
    }

    /// The sealed keyring, if there is one.
    ///
    /// # Errors
    /// 401 the token is not good.
    pub async fn keyring(&self) -> Result<Option<Keyring>, ServerError> {
        let response = match self.answer(self.request(Method::GET, "/v1/keyring")).await {
            Err(error) if error.status() == Some(404) => return Ok(None),
            answer => answer?,
        };
        let etag = response.headers().get(ETAG);
        let etag = etag.and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let etag = etag.ok_or_else(|| ServerError::Answer {
            url: self.base.clone(),
            reason: "a keyring without ETag".into(),
        })?;
        let sealed = self.bytes(response).await?;
        Ok(Some(Keyring { sealed, etag }))
    }

    /// Replaces the keyring if it still has this version; `None`: if there is none yet.
    ///
    /// # Errors
    /// 412 another device was faster: read it again.
    pub async fn put_keyring(
        &self,
        sealed: Vec<u8>,
        etag: Option<&str>,
    ) -> Result<(), ServerError> {
        let request = self.request(Method::PUT, "/v1/keyring").body(sealed);
        self.done(conditional(request, etag)).await
    }

    /// Replaces the keyring and these wraps by recipient, whole or not at all; with the version as in
    /// [`Server::put_keyring`].
    ///
    /// # Errors
    /// 412 another device was faster: read it again.
    pub async fn put_keys(
        &self,
        sealed: &[u8],
        wraps: &BTreeMap<String, String>,
        etag: Option<&str>,
    ) -> Result<(), ServerError> {
        let body = json!({"sealed": encode(sealed), "wraps": wraps});
        let request = self.request(Method::PUT, "/v1/keyring").json(&body);
        self.done(conditional(request, etag)).await
    }

    /// The wrap for a device or for [`RECOVERY`], if there is one.
    ///
    /// # Errors
    /// 401 the token is not good.
    pub async fn wrap(&self, recipient: &str) -> Result<Option<Vec<u8>>, ServerError> {
        let path = format!("/v1/keyring/wraps/{recipient}");
        match self.answer(self.request(Method::GET, &path)).await {
            Err(error) if error.status() == Some(404) => Ok(None),
            answer => Ok(Some(self.bytes(answer?).await?)),
        }
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, ServerError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut request = self.request(Method::GET, path);
            if let Some(cursor) = &cursor {
                request = request.query(&[("cursor", cursor)]);
            }
            let page: Page<T> = self.json(request).await?;
            items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(items)
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ServerError> {
        let response = self.answer(request).await?;
        let bytes = self.bytes(response).await?;
        serde_json::from_slice(&bytes).map_err(|error| ServerError::Answer {
            url: self.base.clone(),
            reason: error.to_string(),
        })
    }

    async fn done(&self, request: RequestBuilder) -> Result<(), ServerError> {
        self.answer(request).await.map(|_| ())
    }

    async fn bytes(&self, response: Response) -> Result<Vec<u8>, ServerError> {
        read(response, &self.base).await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Response, ServerError> {
        answer(request, &self.base).await
    }
}

/// On the version that is replaced; on there being none without it.
fn conditional(request: RequestBuilder, etag: Option<&str>) -> RequestBuilder {
    match etag {
        Some(etag) => request.header(IF_MATCH, etag),
        None => request.header(IF_NONE_MATCH, "*"),
    }
}

/// Sends a request; an answer that is no success comes back as the problem in it.
pub(crate) async fn answer(request: RequestBuilder, url: &str) -> Result<Response, ServerError> {
    let response = request
        .send()
        .await
        .map_err(|error| unreachable(&error, url))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = response.headers().get(RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let body = read(response, url).await?;
    let problem = serde_json::from_slice(&body).unwrap_or_else(|_| plain_problem(status));
    Err(ServerError::Refused {
        problem: Box::new(problem),
        retry_after,
    })
}

/// A refusal by something between here and the server, which writes no problem details.
fn plain_problem(status: StatusCode) -> Problem {
    let title = status.canonical_reason().unwrap_or("Error");
    Problem {
        kind: "about:blank".into(),
        title: title.into(),
        status: status.as_u16(),
        detail: "the server gave no reason".into(),
        field: None,
    }
}

async fn read(mut response: Response, url: &str) -> Result<Vec<u8>, ServerError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| unreachable(&error, url))?
    {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ServerError::Answer {
                url: url.to_owned(),
                reason: format!("more than {ANSWER_BYTES_MAX} bytes"),
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The innermost cause: "connection refused" says more than the layers around it.
fn unreachable(error: &reqwest::Error, url: &str) -> ServerError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    ServerError::Unreachable {
        url: url.to_owned(),
        reason: cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Answers one request with these bytes and returns what was asked.
    async fn one_answer(answer: &'static str) -> (Server, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = String::new();
            let mut buffer = [0; 4096];
            while !(asked.contains("\r\n\r\n") && asked.ends_with(['}', '\n'])) {
                let read = stream.read(&mut buffer).await.unwrap();
                asked.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            asked
        });
        let server = Server::new(&base, crate::tls::client_config(None).unwrap()).unwrap();
        (server, asked)
    }

    #[tokio::test]
    async fn a_refusal_is_told_as_the_server_said_it() {
        let (server, asked) = one_answer(concat!(
            "HTTP/1.1 422 Unprocessable Content\r\nconnection: close\r\n",
            "content-type: application/problem+json\r\n\r\n",
            r#"{"type":"https://belfry.dev/problems/invalid","title":"Invalid","status":422,"#,
            r#""detail":"a password has 8 characters or more","field":"password"}"#,
        ))
        .await;
        let refused = server.sign_up("ada", "short", None).await.unwrap_err();
        assert_eq!(refused.status(), Some(422));
        assert_eq!(
            refused.to_string(),
            "a password has 8 characters or more (Invalid, 422; field: password)"
        );
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("POST /v1/accounts "), "{asked}");
        assert!(!asked.contains("invite"), "{asked}");
    }

    #[tokio::test]
    async fn a_proxys_refusal_and_its_retry_time_are_told_too() {
        let (server, asked) = one_answer(
            "HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\nretry-after: 7\r\n\r\n<html>",
        )
        .await;
        let refused = server.with_token("secret").me().await.unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("429; try again in 7 s"), "{text}");
        let asked = asked.await.unwrap().to_lowercase();
        assert!(asked.contains("authorization: bearer secret"), "{asked}");
    }

    #[tokio::test]
    async fn a_silent_server_and_a_bad_address_are_named() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = closed.local_addr().unwrap();
        drop(closed);
        let tls = crate::tls::client_config(None).unwrap();
        let server = Server::new(&format!("http://{address}"), tls.clone()).unwrap();
        let text = server.me().await.unwrap_err().to_string();
        assert!(text.contains(&address.to_string()), "{text}");
        assert!(text.contains("refused"), "{text}");
        for address in ["push.example", "ftp://push.example", "http://"] {
            let error = Server::new(address, tls.clone()).err();
            assert!(matches!(error, Some(ServerError::Address(_))), "{address}");
        }
    }
}
