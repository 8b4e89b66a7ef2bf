//! One connection that asks one thing after another, as a site and as a user.

use crate::bench::connection::Connection;
use anyhow::{Context as _, ensure};
use belfry_protocol::secret::Secret;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{HeaderMap, LOCATION};
use hyper::{Request, StatusCode};
use serde_json::Value;
use std::net::SocketAddr;

pub(super) struct Asking(Connection<Full<Bytes>>);

impl Asking {
    pub(super) async fn connect(server: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self(Connection::connect(server).await?))
    }

    /// Posts, and gives the path of the message URL when the 201 is there.
    pub(super) async fn post(&mut self, endpoint: &Secret, body: Bytes) -> anyhow::Result<String> {
        let request = Request::post(format!("/push/{}", endpoint.expose()))
            .header("ttl", "86400")
            .header("content-encoding", "crypto-box");
        let (status, headers, said) = self.ask(request, body).await?;
        let said = String::from_utf8_lossy(&said);
        ensure!(status == 201, "a post was answered {status}: {said}");
        let location = headers.get(LOCATION).and_then(|url| url.to_str().ok());
        let path = location.and_then(|url| Some(&url[url.find("/push/message/")?..]));
        Ok(path.context("no message URL")?.to_owned())
    }

    /// Takes a notification back.
    pub(super) async fn withdraw(&mut self, message: &str) -> anyhow::Result<()> {
        let (status, ..) = self.ask(Request::delete(message), Bytes::new()).await?;
        ensure!(status == 204, "a withdrawal was answered {status}");
        Ok(())
    }

    pub(super) async fn json(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        given: &Value,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let (status, _, said) = self.ask(request, given.to_string().into()).await?;
        Ok((status, serde_json::from_slice(&said)?))
    }

    async fn ask(
        &mut self,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, HeaderMap, Bytes)> {
        let (head, said) = self.0.send(request, Full::new(body)).await?.into_parts();
        let said = said.collect().await?.to_bytes();
        Ok((head.status, head.headers, said))
    }
}
