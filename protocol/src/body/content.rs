//! What a decrypted message says: a title and what goes with it, or plain text.
//!
//! Nothing here is fetched and no address is opened: an icon is a `data:` image or nothing, and
//! only https addresses survive the parse. Fields of the wrong type are left out rather than
//! failing the notification, so that a site's slip costs an icon, not the message.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Actions kept of a notification; systems show two or three.
pub const ACTIONS_MAX: usize = 4;

/// A notification's content as a device may show it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Content {
    /// The headline; the whole text of a message that is not a JSON object with a title.
    pub title: String,
    /// More text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<String>,
    /// A `data:image/…` URL.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub icon: Option<String>,
    /// What a click opens: https.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
    /// A later notification with the same tag replaces this one on screen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tag: Option<String>,
    /// Buttons, at most [`ACTIONS_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub actions: Vec<Action>,
    /// The site's own data, for a program that listens.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub data: Option<Value>,
}

/// A button.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// What it says.
    pub title: String,
    /// The site's name for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub action: Option<String>,
    /// What it opens: https.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
}

impl Content {
    /// Reads a decrypted message. Never fails: what is not a JSON object with a title is shown as
    /// text, and bytes that are not UTF-8 as U+FFFD.
    pub fn from_plaintext(plaintext: &[u8]) -> Self {
        Self::from_json(plaintext).unwrap_or_else(|| Self {
            title: String::from_utf8_lossy(plaintext).into_owned(),
            ..Self::default()
        })
    }

    fn from_json(plaintext: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(plaintext).ok()?;
        let title = text(&value, "title")?;
        let actions = value.get("actions").and_then(Value::as_array);
        Some(Self {
            title,
            body: text(&value, "body"),
            icon: text(&value, "icon").filter(|icon| is_data_image(icon)),
            url: https(&value, "url"),
            tag: text(&value, "tag"),
            actions: actions
                .into_iter()
                .flatten()
                .filter_map(Action::from_json)
                .take(ACTIONS_MAX)
                .collect(),
            data: value.get("data").filter(|data| !data.is_null()).cloned(),
        })
    }
}

impl Action {
    fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            title: text(value, "title")?,
            action: text(value, "action"),
            url: https(value, "url"),
        })
    }
}

fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field)?.as_str().map(str::to_owned)
}

/// The normalised address, so that what is shown is what is opened.
fn https(value: &Value, field: &str) -> Option<String> {
    let url = url::Url::parse(value.get(field)?.as_str()?).ok()?;
    (url.scheme() == "https").then(|| url.into())
}

fn is_data_image(icon: &str) -> bool {
    const PREFIX: &str = "data:image/";
    icon.get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check(plaintext: &str, expected: Value) {
        let content = Content::from_plaintext(plaintext.as_bytes());
        assert_eq!(
            serde_json::to_value(content).ok(),
            Some(expected),
            "{plaintext}"
        );
    }

    #[test]
    fn a_whole_notification_is_read() {
        check(
            r#"{"title":"T","body":"B","icon":"data:image/png;base64,AA==","url":"https://a.example/x",
               "tag":"t","actions":[{"title":"Go","action":"go","url":"https://b.example"}],"data":{"n":1},"more":2}"#,
            json!({"title":"T","body":"B","icon":"data:image/png;base64,AA==","url":"https://a.example/x",
               "tag":"t","actions":[{"title":"Go","action":"go","url":"https://b.example/"}],"data":{"n":1}}),
        );
    }

    #[test]
    fn what_must_not_be_fetched_or_opened_is_left_out() {
        check(
            r#"{"title":"T","icon":"https://a.example/i.png","url":"http://a.example","actions":[
                {"title":"a","url":"javascript:alert(1)"},{"url":"https://a.example"},7,{"title":"b"},
                {"title":"c"},{"title":"d"},{"title":"e"}]}"#,
            json!({"title":"T","actions":[{"title":"a"},{"title":"b"},{"title":"c"},{"title":"d"}]}),
        );
        check(
            r#"{"title":"T","icon":"data:text/html,x","url":"file:///etc/passwd","body":3,"tag":[],"data":null,"actions":{}}"#,
            json!({"title":"T"}),
        );
        check(
            r#"{"title":"T","icon":"DATA:image/png,x"}"#,
            json!({"title":"T","icon":"DATA:image/png,x"}),
        );
    }

    #[test]
    fn other_text_is_shown_as_it_is() {
        check("When I grow up", json!({"title":"When I grow up"}));
        check(
            r#"{"body":"no title"}"#,
            json!({"title":r#"{"body":"no title"}"#}),
        );
        check(r#"{"title":5}"#, json!({"title":r#"{"title":5}"#}));
        check("[1]", json!({"title":"[1]"}));
        check("", json!({"title":""}));
        assert_eq!(Content::from_plaintext(b"a\xff").title, "a\u{fffd}");
    }

    proptest! {
        #[test]
        fn every_text_without_a_title_is_shown_whole(text in "[^{]{0,80}") {
            prop_assert_eq!(Content::from_plaintext(text.as_bytes()).title, text);
        }
    }
}
