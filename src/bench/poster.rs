//! A site's connection: posts one notification after another.

use super::connection::Connection;
use anyhow::{Context as _, bail};
use belfry_protocol::secret::Secret;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// A crypto-box body of 512 padded bytes: nonce, authenticator, text.
pub(super) const BODY_BYTES: usize = 24 + 16 + 512;

/// Bytes at the start of a body that tell posts apart.
const MARK_BYTES: usize = 8;

/// A body that nobody can open but that carries `mark`.
pub(super) fn body(mark: u64) -> Bytes {
    let mut body = vec![0x5a; BODY_BYTES];
    body[..MARK_BYTES].copy_from_slice(&mark.to_be_bytes());
    body.into()
}

/// The mark of a [`body`].
pub(super) fn mark(body: &[u8]) -> Option<u64> {
    let bytes = body.get(..MARK_BYTES)?.try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

pub(super) struct Poster {
    connection: Connection<Full<Bytes>>,
    /// What proves the site, where something does.
    authorization: Option<String>,
}

impl Poster {
    pub(super) async fn connect(server: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            connection: Connection::connect(server).await?,
            authorization: None,
        })
    }

    /// Over a connection to the server.
    pub(super) async fn over(stream: TcpStream, server: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            connection: Connection::over(stream, server).await?,
            authorization: None,
        })
    }

    /// As this site.
    pub(super) fn with_authorization(self, authorization: Option<String>) -> Self {
        Self {
            authorization,
            ..self
        }
    }

    /// Posts, and returns when the 201 is there.
    pub(super) async fn post(&mut self, endpoint: &Secret, body: Bytes) -> anyhow::Result<()> {
        match self.ask(endpoint.expose(), body).await? {
            (StatusCode::CREATED, _) => Ok(()),
            (status, problem) => {
                let problem = String::from_utf8_lossy(&problem);
                bail!("a post was answered {status}: {problem}");
            }
        }
    }

    /// Posts, and returns what it is answered.
    pub(super) async fn ask(
        &mut self,
        endpoint: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut request = Request::post(format!("/push/{endpoint}"))
            .header("ttl", "86400")
            .header("content-encoding", "crypto-box");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let answer = self.connection.send(request, Full::new(body)).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}

/// So many connections.
pub(super) async fn connect(server: SocketAddr, posters: usize) -> anyhow::Result<Vec<Poster>> {
    let mut connected = Vec::with_capacity(posters);
    for _ in 0..posters {
        let poster = Poster::connect(server).await;
        connected.push(poster.context("a poster could not connect")?);
    }
    Ok(connected)
}
