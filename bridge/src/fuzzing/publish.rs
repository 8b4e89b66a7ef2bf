//! A fuzz target: many items in a call, through the real route.

use super::{RESTRICTED, SITE};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use belfry_protocol::problem::Problem;
use belfry_protocol::secret::SecretHash;
use bytes::Bytes;
use serde_json::Value;
use std::convert::Infallible;

/// The API key of the site that all endpoints are for.
const KEY: &str = "belfry_site_fuzz";
/// As the route has it: a longer line is no item.
const LINE_BYTES_MAX: usize = 8 * 1_024;

pub(super) fn key() -> SecretHash {
    SecretHash::of(KEY.as_bytes())
}

/// A body; the first byte chooses JSON or NDJSON, and where the pieces of a stream end.
pub fn publish(input: &[u8]) {
    let [choices, body @ ..] = input else {
        return;
    };
    let streamed = choices % 2 == 1;
    let piece_bytes = 1 + usize::from(choices / 2) * 40;
    let pieces: Vec<_> = body
        .chunks(piece_bytes)
        .map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece)))
        .collect();
    let media = match streamed {
        true => "application/x-ndjson",
        false => "application/json",
    };
    let request = Request::post("/v1/publish")
        .header("Authorization", format!("Bearer {KEY}"))
        .header("Content-Type", media)
        .body(Body::from_stream(futures_util::stream::iter(pieces)))
        .expect("a request");
    let (status, _, answer) = SITE.runtime.block_on(SITE.ask(request));
    if streamed {
        assert_eq!(status, StatusCode::OK);
        judge_stream(body, &answer);
    } else if status == StatusCode::OK {
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        let results = answer["results"].as_array().expect("results");
        let items: Value = serde_json::from_slice(body).expect("what was taken is JSON");
        let items = items["items"].as_array().expect("items");
        assert_eq!(results.len(), items.len());
        for (item, result) in items.iter().zip(results) {
            judge(item, result);
        }
    } else {
        assert!(matches!(status.as_u16(), 400 | 413), "{status}");
        let problem: Problem = serde_json::from_slice(&answer).expect("a problem");
        assert_eq!(problem.status, status.as_u16());
    }
}

fn judge_stream(body: &[u8], answer: &[u8]) {
    let lines = body.split(|byte| *byte == b'\n');
    let lines: Vec<_> = lines
        .filter(|line| line.len() > LINE_BYTES_MAX || !line.trim_ascii().is_empty())
        .collect();
    let results = answer.strip_suffix(b"\n").unwrap_or(answer);
    let results: Vec<Value> = results
        .split(|byte| *byte == b'\n')
        .filter(|result| !result.is_empty())
        .map(|result| serde_json::from_slice(result).expect("JSON"))
        .collect();
    assert_eq!(results.len(), lines.len());
    for (line, result) in lines.into_iter().zip(&results) {
        match serde_json::from_slice(line) {
            Ok(item) if line.len() <= LINE_BYTES_MAX => judge(&item, result),
            _ => assert_eq!(result["status"], 400, "{result}"),
        }
    }
}

/// Whether the result is one that this item may have.
fn judge(item: &Value, result: &Value) {
    let status = result["status"].as_u64().expect("a status");
    if status != 201 {
        assert!(
            matches!(status, 400 | 403 | 404 | 410 | 413 | 415 | 422),
            "{status}"
        );
        let problem: Problem =
            serde_json::from_value(result["problem"].clone()).expect("a problem");
        assert_eq!(u64::from(problem.status), status);
        assert!(result.get("location").is_none());
        return;
    }
    let endpoint = item["endpoint"].as_str().expect("an endpoint");
    let may = [1, RESTRICTED].map(|number| super::secret(number).expose().to_owned());
    let secret = endpoint.strip_prefix("https://push.example/push/");
    assert!(
        may.iter().any(|may| Some(may.as_str()) == secret),
        "{endpoint}"
    );
    let ttl = item["ttl"].as_u64().expect("a TTL");
    assert_eq!(result["ttl"], ttl.min(super::TTL_MAX.into()));
    assert!(result["location"].is_string() && result.get("problem").is_none());
    assert!(item["body"].is_string() && item["encoding"].is_string());
}

#[test]
fn kept_inputs_and_changes_of_them_hold() {
    super::replay::replay("publish", 1_500, publish);
}
