use anyhow::Context as _;
use reqwest::header::{LOCATION, RETRY_AFTER};
use serde_json::{Value, json};
use std::fs::{read, remove_file};
use std::process::ExitCode;
use std::time::Duration;
use web_push::{ContentEncoding, SubscriptionInfo, Urgency, request_builder};
use web_push::{VapidSignatureBuilder, WebPushMessageBuilder};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let subscription: SubscriptionInfo = serde_json::from_slice(&read("subscription.json")?)?;
    let vapid: Value = serde_json::from_slice(&read("vapid.json")?)?;
    let private_key = vapid["privateKey"].as_str().context("a privateKey")?;
    let title = std::env::args().nth(1).context("a title")?;
    let content =
        json!({"title": title, "body": "All tests are green", "url": "https://news.example/42"});
    let content = content.to_string();

    let audience = reqwest::Url::parse(&subscription.endpoint)?.origin();
    let mut vapid = VapidSignatureBuilder::from_base64(private_key, &subscription)?;
    vapid.add_claim("aud", audience.ascii_serialization());
    vapid.add_claim("sub", "mailto:you@news.example");
    let mut message = WebPushMessageBuilder::new(&subscription);
    message.set_payload(ContentEncoding::Aes128Gcm, content.as_bytes());
    message.set_ttl(86400);
    message.set_urgency(Urgency::High);
    message.set_topic("build-42".to_owned());
    message.set_vapid_signature(vapid.build()?);
    let request = request_builder::build_request::<Vec<u8>>(message.build()?);

    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(10))
        .build()?;
    let (parts, body) = request.into_parts();
    let mut post = http.post(parts.uri.to_string()).body(body);
    for (name, value) in &parts.headers {
        post = post.header(name.as_str(), value.as_bytes());
    }
    let answer = post.send().await?;
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
