//! A site's side: posting to an endpoint and taking a message back (RFC 8030).

use crate::server::{ServerError, answer, http_client};
use crate::vapid::VapidKey;
pub use belfry_protocol::push::{CollapseKey, ContentEncoding, IdempotencyKey, Ttl, Urgency};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, LOCATION};
use std::time::SystemTime;

/// An encrypted message with its headers.
#[derive(Debug, Clone)]
pub struct Message {
    /// How the body is encrypted.
    pub encoding: ContentEncoding,
    /// The encrypted body, at most 4096 bytes.
    pub body: Vec<u8>,
    /// How long it may wait.
    pub ttl: Ttl,
    /// How urgent it is.
    pub urgency: Urgency,
    /// Replaces an earlier one with the same key that still waits.
    pub collapse: Option<CollapseKey>,
    /// Repeating a post with the same key sends nothing twice.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// A site's VAPID identity.
#[derive(Debug, Clone)]
pub struct Vapid {
    /// Its key.
    pub key: VapidKey,
    /// A `mailto:` or `https:` address.
    pub contact: String,
}

/// What a push service answered.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Accepted {
    /// The message URL, for [`Sender::withdraw`]. Keep it secret.
    pub location: Option<String>,
    /// The time to live that it was given, in seconds.
    pub ttl: Option<u32>,
}

/// Posts to the endpoints of one push service.
#[derive(Clone)]
pub struct Sender {
    endpoint: url::Url,
    http: reqwest::Client,
    vapid: Option<Vapid>,
}

impl Sender {
    /// For one endpoint.
    ///
    /// # Errors
    /// `endpoint` is not an http or https URL.
    pub fn new(
        endpoint: &str,
        tls: rustls::ClientConfig,
        vapid: Option<Vapid>,
    ) -> Result<Self, ServerError> {
        let invalid = |_| ServerError::Address(endpoint.to_owned());
        Ok(Self {
            http: http_client(endpoint, tls)?,
            endpoint: url::Url::parse(endpoint).map_err(invalid)?,
            vapid,
        })
    }

    /// Posts a message. Success means that the service has it on stable storage.
    ///
    /// # Errors
    /// As the service refuses it: 400, 401, 403, 404 unknown, 410 revoked, 413, 422, 429, 503.
    pub async fn send(&self, message: Message) -> Result<Accepted, ServerError> {
        let mut request = self
            .http
            .post(self.endpoint.clone())
            .header(CONTENT_ENCODING, message.encoding.as_str())
            .header("TTL", message.ttl.as_secs())
            .header("Urgency", message.urgency.as_str())
            .body(message.body);
        if let Some(collapse) = &message.collapse {
            request = request.header("Topic", collapse.as_str());
        }
        if let Some(key) = &message.idempotency_key {
            request = request.header("Idempotency-Key", key.as_str());
        }
        let response = answer(self.authorized(request), &self.origin()).await?;
        let text = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let location = text(LOCATION.as_str()).map(|location| self.absolute(location));
        let ttl = text("TTL").and_then(|ttl| ttl.parse().ok());
        Ok(Accepted { location, ttl })
    }

    /// Takes a message back from every device that does not have it yet.
    ///
    /// # Errors
    /// Not a URL of this push service, which alone may see our VAPID token; 404 no such message.
    pub async fn withdraw(&self, message_url: &str) -> Result<(), ServerError> {
        let url = url::Url::parse(message_url).ok();
        let url = url
            .filter(|url| url.origin() == self.endpoint.origin())
            .ok_or_else(|| ServerError::Address("the message URL".into()))?;
        let request = self.http.delete(url);
        answer(self.authorized(request), &self.origin())
            .await
            .map(|_| ())
    }

    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.vapid {
            Some(vapid) => {
                let now = SystemTime::now();
                let header = vapid.key.authorization(&self.origin(), &vapid.contact, now);
                request.header(AUTHORIZATION, header)
            }
            None => request,
        }
    }

    /// Also what an error names: the rest of an endpoint is secret.
    fn origin(&self) -> String {
        self.endpoint.origin().ascii_serialization()
    }

    fn absolute(&self, location: String) -> String {
        self.endpoint
            .join(&location)
            .map_or(location, |location| location.to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_message_is_posted_with_its_headers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = String::new();
            let mut buffer = [0; 4096];
            while !asked.ends_with("sealed") {
                let read = stream.read(&mut buffer).await.unwrap();
                asked.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            }
            let answer = "HTTP/1.1 201 Created\r\nlocation: /message/x\r\nttl: 60\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
            asked
        });
        let vapid = Vapid {
            key: VapidKey::generate(),
            contact: "mailto:site@news.example".into(),
        };
        let tls = crate::tls::client_config(None).unwrap();
        let sender = Sender::new(&format!("{origin}/push/secret"), tls, Some(vapid)).unwrap();
        let message = Message {
            encoding: ContentEncoding::CryptoBox,
            body: b"sealed".to_vec(),
            ttl: Ttl::from_secs(90),
            urgency: Urgency::High,
            collapse: Some("upd".parse().unwrap()),
            idempotency_key: Some("k1".parse().unwrap()),
        };
        let accepted = sender.send(message).await.unwrap();
        assert_eq!(accepted.ttl, Some(60));
        assert_eq!(accepted.location, Some(format!("{origin}/message/x")));
        let elsewhere = sender.withdraw("https://elsewhere.example/message/x").await;
        assert!(matches!(elsewhere, Err(ServerError::Address(_))));
        let asked = asked.await.unwrap().to_lowercase();
        for header in [
            "post /push/secret http/1.1",
            "content-encoding: crypto-box",
            "ttl: 90",
            "urgency: high",
            "topic: upd",
            "idempotency-key: k1",
            "authorization: vapid t=",
        ] {
            assert!(asked.contains(header), "{header} in {asked}");
        }
    }
}
