//! What the API's description says of these routes.

use super::*;
use serde_json::Value;

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(|key| &**key)
        .collect()
}

#[tokio::test]
async fn every_header_and_status_is_described() {
    let site = Site::new().await;
    let (_, document) = router(site.bridge.clone()).split_for_parts();
    let document = serde_json::to_value(document).unwrap();
    let post = &document["paths"]["/push/{secret}"]["post"];
    let parameters = post["parameters"].as_array().unwrap();
    let check = |name: &str, required: bool| {
        let found = parameters
            .iter()
            .find(|one| one["name"] == name)
            .expect(name);
        assert_eq!(
            (&found["in"], &found["required"]),
            (&"header".into(), &required.into())
        );
    };
    check("TTL", true);
    check("Content-Encoding", true);
    for optional in ["Urgency", "Topic", "Prefer", "Link", "Idempotency-Key"] {
        check(optional, false);
    }
    assert_eq!(parameters.len(), 8);
    let responses = &post["responses"];
    let statuses = "201 202 400 401 403 404 405 408 410 413 415 422 429 503";
    assert_eq!(keys(responses).join(" "), statuses);
    assert_eq!(keys(&responses["201"]["headers"]), ["Location", "TTL"]);
    let told = ["Link", "Location", "Preference-Applied", "TTL"];
    assert_eq!(keys(&responses["202"]["headers"]), told);
    assert_eq!(keys(&responses["429"]["headers"]), ["Retry-After"]);
    assert_eq!(keys(&responses["503"]["headers"]), ["Retry-After"]);
    let security = serde_json::json!([{}, {"vapid": []}]);
    assert_eq!(post["security"], security);
    let body = &post["requestBody"]["content"]["application/octet-stream"]["schema"];
    assert_eq!(body, &Value::Null, "{body}");
    let get = &document["paths"]["/push/{secret}"]["get"];
    assert_eq!(keys(&get["responses"]).join(" "), "200");
    let delete = &document["paths"]["/push/message/{message}"]["delete"];
    assert_eq!(keys(&delete["responses"]).join(" "), "204 404 405 503");
    let receipts = &document["paths"]["/push/receipts/{receipts}"];
    let statuses = "200 400 404 405 429 503";
    assert_eq!(keys(&receipts["get"]["responses"]).join(" "), statuses);
    let shapes = keys(&receipts["get"]["responses"]["200"]["content"]).join(" ");
    assert_eq!(
        shapes,
        "application/json application/x-ndjson text/event-stream"
    );
    let statuses = keys(&receipts["delete"]["responses"]).join(" ");
    assert_eq!(statuses, "204 404 405 503");
    let schema = document["components"]["schemas"]["RateProblem"].to_string();
    assert!(schema.contains("#/components/schemas/Exceeded"), "{schema}");
    let exceeded = &document["components"]["schemas"]["Exceeded"];
    assert_eq!(
        keys(&exceeded["properties"]).join(" "),
        "limit resets scope used"
    );
}
