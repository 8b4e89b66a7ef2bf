use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use reqwest::header::{AUTHORIZATION, HeaderValue, LOCATION, RETRY_AFTER};
use serde_json::{Value, json};
use std::fs::{read, remove_file};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use web_push_native::{Auth, WebPushBuilder, p256::PublicKey};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let subscription: Value = serde_json::from_slice(&read("subscription.json")?)?;
    let text = |value: &Value| value.as_str().context("a text").map(str::to_owned);
    let bytes = |value: &Value| anyhow::Ok(BASE64URL.decode(text(value)?)?);
    let endpoint = text(&subscription["endpoint"])?;
    let p256dh = PublicKey::from_sec1_bytes(&bytes(&subscription["keys"]["p256dh"])?)?;
    let auth = Auth::clone_from_slice(&bytes(&subscription["keys"]["auth"])?);
    let keys: Value = serde_json::from_slice(&read("vapid.json")?)?;
    let key = SigningKey::from_slice(&bytes(&keys["privateKey"])?)?;
    let title = std::env::args().nth(1).context("a title")?;
    let content =
        json!({"title": title, "body": "All tests are green", "url": "https://news.example/42"});

    let request = WebPushBuilder::new(endpoint.parse()?, p256dh, auth)
        .with_valid_duration(Duration::from_secs(86400))
        .build(content.to_string())?;
    let mut request = reqwest::Request::try_from(request)?;
    let audience = request.url().origin().ascii_serialization();
    let headers = request.headers_mut();
    headers.insert("Urgency", HeaderValue::from_static("high"));
    headers.insert("Topic", HeaderValue::from_static("build-42"));
    headers.insert(
        AUTHORIZATION,
        vapid(&key, &audience, "mailto:you@news.example")?.parse()?,
    );
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(10))
        .build()?;

    let answer = http.execute(request).await?;
    let header = |name| {
        answer
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    match answer.status().as_u16() {
        201 => {
            println!("sent: {}", header(LOCATION).unwrap_or_default());
            return Ok(ExitCode::SUCCESS);
        }
        404 | 410 => {
            remove_file("subscription.json")?;
            println!("gone: the subscription is deleted");
        }
        429 | 503 => println!("later: again in {} s", header(RETRY_AFTER).unwrap_or("60")),
        status => println!("refused: {status} {}", answer.text().await?),
    }
    Ok(ExitCode::FAILURE)
}

/// RFC 8292, good for twelve hours.
fn vapid(key: &SigningKey, audience: &str, contact: &str) -> anyhow::Result<String> {
    let expires = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 12 * 60 * 60;
    let claims = json!({"aud": audience, "exp": expires, "sub": contact});
    let header = BASE64URL.encode(json!({"typ": "JWT", "alg": "ES256"}).to_string());
    let signed = format!("{header}.{}", BASE64URL.encode(claims.to_string()));
    let signature: Signature = key.sign(signed.as_bytes());
    let signature = BASE64URL.encode(signature.to_bytes());
    let public_key = BASE64URL.encode(key.verifying_key().to_encoded_point(false).as_bytes());
    Ok(format!("vapid t={signed}.{signature}, k={public_key}"))
}
