//! What the OpenAPI document says of all routes alike, beyond what each says of itself: who may
//! call, that errors are problem details, and the routes that no OpenAPI router has.

use belfry_protocol::problem::PROBLEM_CONTENT_TYPE;
use std::collections::BTreeMap;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, PathItem};
use utoipa::openapi::schema::{ArrayItems, Schema, SchemaType};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Content, ContentBuilder, Header, Info, License, ObjectBuilder, OpenApi, Ref, RefOr, Required,
    Response, ResponseBuilder, Server, Tag, Type,
};

/// The tags, in the order in which the reference shows them.
const TAGS: [(&str, &str); 8] = [
    ("Accounts", "Accounts and sign-ins"),
    ("Devices", "The user's browsers, phones and programs"),
    ("Permissions", "Which sites may notify the user"),
    ("Notifications", "The mailbox with its history"),
    ("Keyring", "What the user's devices share, sealed"),
    ("Publishing", "What sites call"),
    ("Operation", "What operators ask"),
    ("Administration", "What operators decide, and who may"),
];

/// Completes what the routes said of themselves.
pub(super) fn complete(mut document: OpenApi) -> OpenApi {
    let mut info = Info::new("Belfry", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "End-to-end encrypted web notifications. Errors are problem details (RFC 9457).".to_owned(),
    );
    let mut license = License::new(env!("CARGO_PKG_LICENSE"));
    license.identifier = Some(env!("CARGO_PKG_LICENSE").to_owned());
    info.license = Some(license);
    document.info = info;
    document.servers = Some(vec![Server::new("/")]);
    document.tags = Some(TAGS.map(|(name, text)| tag(name, text)).into());
    let components = document.components.get_or_insert_default();
    let http = |scheme, text: &str| {
        let mut http = Http::new(scheme);
        http.description = Some(text.to_owned());
        SecurityScheme::Http(http)
    };
    let token = http(HttpAuthScheme::Bearer, "A token of POST /v1/sessions");
    let device = http(HttpAuthScheme::Basic, "A device's id and its MQTT password");
    let vapid = ApiKeyValue::with_description(
        "Authorization",
        "`vapid t=…, k=…` (RFC 8292): required by some endpoints, verified wherever it stands",
    );
    let site = http(
        HttpAuthScheme::Bearer,
        "An API key of `belfry admin site key`",
    );
    let admin = http(
        HttpAuthScheme::Bearer,
        "An API token of `POST /admin/v1/tokens` or `belfry admin token create`",
    );
    let session = ApiKeyValue::with_description(
        "__Host-belfry-admin",
        "The cookie of a sign-in at `/admin`. What writes needs `Origin` and `X-Belfry-Admin: 1` too",
    );
    components.add_security_scheme("admin", admin);
    components.add_security_scheme(
        "admin_session",
        SecurityScheme::ApiKey(ApiKey::Cookie(session)),
    );
    components.add_security_scheme("token", token);
    components.add_security_scheme("site", site);
    components.add_security_scheme("device", device);
    components.add_security_scheme("vapid", SecurityScheme::ApiKey(ApiKey::Header(vapid)));
    name_items_of_pages(&mut components.schemas);
    let paths = &mut document.paths.paths;
    paths.insert("/openapi.json".to_owned(), this_document());
    paths.insert("/mqtt".to_owned(), websocket());
    for (path, item) in paths.iter_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            complete_operation(path, operation);
        }
    }
    document
}

/// A generic page has its items written out; they have names of their own.
fn name_items_of_pages(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    for (name, schema) in schemas {
        let (Some(item), RefOr::T(Schema::Object(page))) = (name.strip_prefix("Page_"), schema)
        else {
            continue;
        };
        if let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items") {
            items.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
}

fn tag(name: &str, text: &str) -> Tag {
    let mut tag = Tag::new(name);
    tag.description = Some(text.to_owned());
    tag
}

fn complete_operation(path: &str, operation: &mut Operation) {
    if operation.security.is_none() {
        // The secret in the path is what lets a site in; a VAPID token is asked for by some endpoints.
        let nobody = SecurityRequirement::default();
        operation.security = Some(if path == "/push/{secret}" {
            vec![
                nobody,
                SecurityRequirement::new("vapid", Vec::<String>::new()),
            ]
        } else {
            vec![]
        });
    }
    // An empty requirement alone says what an empty list does.
    if operation.security == Some(vec![SecurityRequirement::default()]) {
        operation.security = Some(vec![]);
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && let Some(schema) = &mut parameter.schema
        {
            take_null(schema);
        }
    }
    let responses = &mut operation.responses.responses;
    if !responses.keys().any(|status| status.starts_with('4')) {
        let refused = refusal("The request itself is wrong, such as 405 for another method");
        responses.insert("4XX".to_owned(), RefOr::T(refused));
    }
    let other = refusal("Any other error, such as 429 for too much and 503 for not now");
    responses
        .entry("default".to_owned())
        .or_insert(RefOr::T(other));
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        take_schemas_of_bytes(body.content.iter_mut());
        if body.required != Some(Required::True) {
            body.content.values_mut().for_each(take_null_of_body);
        }
    }
    for (status, response) in responses.iter_mut() {
        let RefOr::T(response) = response else {
            continue;
        };
        take_schemas_of_bytes(response.content.iter_mut());
        let refuses = status.starts_with('4') || status.starts_with('5') || status == "default";
        let said = response.content.shift_remove("application/json");
        if let Some(said) = said {
            let media = if refuses {
                PROBLEM_CONTENT_TYPE
            } else {
                "application/json"
            };
            response.content.insert(media.to_owned(), said);
        }
        let header = match status.as_str() {
            "401" => Some(("WWW-Authenticate", Type::String)),
            "429" | "503" => Some(("Retry-After", Type::Integer)),
            _ => None,
        };
        if let Some((name, schema)) = header {
            let schema = ObjectBuilder::new().schema_type(schema);
            response
                .headers
                .insert(name.to_owned(), RefOr::T(Header::new(schema)));
        }
    }
}

/// A parameter that may be absent is never null: there is no null in a path, a query or a header.
fn take_null(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = schema else {
        if let RefOr::T(Schema::OneOf(one_of)) = schema {
            let null = SchemaType::Type(Type::Null);
            let mut others = one_of.items.iter().filter(|item| {
                !matches!(item, RefOr::T(Schema::Object(object)) if object.schema_type == null)
            });
            if let (Some(only), None) = (others.next().cloned(), others.next()) {
                *schema = only;
            }
        }
        return;
    };
    if let SchemaType::Array(types) = &mut object.schema_type {
        types.retain(|one| *one != Type::Null);
        if let [only] = &types[..] {
            object.schema_type = SchemaType::Type(only.clone());
        }
    }
}

/// Nor is a body that may be left out.
fn take_null_of_body(content: &mut RefOr<Content>) {
    if let RefOr::T(content) = content
        && let Some(schema) = &mut content.schema
    {
        take_null(schema);
    }
}

/// Bytes are no JSON, so that no schema can tell of them (OpenAPI 3.1 §4.8.14.2); a `Vec<u8>` would be an
/// array of numbers.
fn take_schemas_of_bytes<'a>(content: impl Iterator<Item = (&'a String, &'a mut RefOr<Content>)>) {
    for (media, content) in content {
        if let ("application/octet-stream", RefOr::T(content)) = (media.as_str(), content) {
            content.schema = None;
        }
    }
}

fn refusal(text: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    let problem = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(text)
        .content("application/json", problem)
        .build()
}

fn this_document() -> PathItem {
    let object = ObjectBuilder::new().schema_type(Type::Object);
    let content = ContentBuilder::new().schema(Some(object)).build();
    let answer = ResponseBuilder::new()
        .description("OpenAPI 3.1")
        .content("application/json", content)
        .build();
    get("openapi", "This document", "200", answer)
}

fn websocket() -> PathItem {
    let answer = ResponseBuilder::new()
        .description("MQTT 3.1.1 or 5.0 from here on")
        .build();
    let summary =
        "MQTT over WebSocket, subprotocol `mqtt` (MQTT 5.0 §6); devices sign in by CONNECT";
    get("mqtt", summary, "101", answer)
}

fn get(id: &str, summary: &str, status: &str, answer: Response) -> PathItem {
    let operation = OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(summary))
        .tag("Operation")
        .response(status, answer)
        .build();
    PathItem::new(HttpMethod::Get, operation)
}
