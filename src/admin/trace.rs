//! `belfry admin trace`: what became of a message, by its URL.

use super::remote::{Answered, Remote};
use clap::Args;
use reqwest::Method;
use serde_json::json;

#[derive(Args)]
pub(crate) struct Trace {
    /// The message URL, as its site was answered it
    message: String,
}

impl Trace {
    pub(super) async fn run_at(self, remote: &Remote) -> anyhow::Result<()> {
        let asked = json!({ "message": self.message });
        let trace = remote.ask(Method::POST, "/trace", Some(&asked)).await?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let mut lines = vec![format!(
            "{}, {} bytes, expires {}",
            text(&trace["site"]),
            trace["bytes"],
            text(&trace["expires"])
        )];
        let milestones = trace["milestones"].as_array().into_iter().flatten();
        lines.extend(milestones.map(|it| format!("{}  {}", text(&it["at"]), text(&it["what"]))));
        remote.show(&Answered(trace, lines.join("\n")))
    }
}
