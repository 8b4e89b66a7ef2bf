//! A plain HTTP/1.1 connection to the server under measurement, kept for one request after another.

use hyper::Response;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::http::request::Builder;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

pub(super) struct Connection<B> {
    requests: SendRequest<B>,
    host: String,
    _connection: AbortOnDropHandle<()>,
}

impl<B> Connection<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    pub(super) async fn connect(server: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Self::over(stream, server).await
    }

    /// Over a stream to the server.
    pub(super) async fn over(stream: TcpStream, server: SocketAddr) -> anyhow::Result<Self> {
        let (requests, connection) = handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(async move {
            // Its end shows in the next request.
            let _ = connection.await;
        });
        Ok(Self {
            requests,
            host: server.to_string(),
            _connection: AbortOnDropHandle::new(connection),
        })
    }

    /// Sends a request once the answer before it was read.
    pub(super) async fn send(
        &mut self,
        request: Builder,
        body: B,
    ) -> anyhow::Result<Response<Incoming>> {
        let request = request.header("host", &self.host).body(body)?;
        self.requests.ready().await?;
        Ok(self.requests.send_request(request).await?)
    }
}
