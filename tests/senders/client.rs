use anyhow::Context as _;
use belfry_client::keys::{PushSubscription, Sealing};
use belfry_client::send::{Message, Sender, Ttl, Urgency, Vapid};
use belfry_client::server::ServerError;
use belfry_client::tls;
use belfry_client::vapid::VapidKey;
use serde_json::{Value, json};
use std::fs::{read, remove_file};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let subscription: PushSubscription = serde_json::from_slice(&read("subscription.json")?)?;
    let vapid: Value = serde_json::from_slice(&read("vapid.json")?)?;
    let private_key = vapid["privateKey"].as_str().context("a privateKey")?;
    let vapid = Vapid {
        key: VapidKey::parse(private_key)?,
        contact: "mailto:you@news.example".to_owned(),
    };
    let title = std::env::args().nth(1).context("a title")?;
    let text =
        json!({"title": title, "body": "All tests are green", "url": "https://news.example/42"});

    let sealing = Sealing::Aes128gcm;
    let message = Message {
        encoding: sealing.encoding(),
        body: subscription.encrypt(text.to_string().as_bytes(), sealing)?,
        ttl: Ttl::from_secs(86400),
        urgency: Urgency::High,
        collapse: Some("build-42".parse()?),
        idempotency_key: None,
    };
    let sender = Sender::new(
        &subscription.endpoint,
        tls::client_config(None)?,
        Some(vapid),
    )?;
    match sender.send(message).await {
        Ok(accepted) => {
            println!("sent: {}", accepted.location.unwrap_or_default());
            return Ok(ExitCode::SUCCESS);
        }
        Err(ServerError::Refused {
            problem,
            retry_after,
        }) => match problem.status {
            404 | 410 => {
                remove_file("subscription.json")?;
                println!("gone: the subscription is deleted");
            }
            429 | 503 => println!("later: again in {} s", retry_after.unwrap_or(60)),
            status => println!("refused: {status} {}", problem.detail),
        },
        Err(no_answer) => return Err(no_answer.into()),
    }
    Ok(ExitCode::FAILURE)
}
