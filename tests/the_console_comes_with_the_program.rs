//! The console comes with the program: its pages are locked down, and kept exactly as long as they
//! may be.
//!
//! It tries what `./dev console` built, which `./dev test` does first.

use crate::harness::TestServer;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str());
        value.map_or("", |value| value.expect("text"))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

async fn ask(server: &TestServer, method: Method, path: &str, with: &[(&str, &str)]) -> Answer {
    let http = Client::builder().no_proxy().build().expect("a client");
    let mut request = http.request(method, format!("{}{path}", server.url()));
    for (name, value) in with {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("an answer");
    Answer {
        status: answer.status(),
        headers: answer.headers().clone(),
        body: answer.bytes().await.expect("a body").to_vec(),
    }
}

async fn get(server: &TestServer, path: &str) -> Answer {
    let answer = ask(server, Method::GET, path, &[]).await;
    assert_eq!(answer.status, 200, "{path}: was ./dev console run?");
    answer
}

/// The addresses of this server that a page's attributes name.
fn named_in(page: &Answer) -> Vec<String> {
    let values = [" src=\"", " href=\""].into_iter().flat_map(|attribute| {
        let values = page.text().split(attribute).skip(1);
        values.filter_map(|rest| rest.split('"').next())
    });
    let own = values.filter(|value| !value.starts_with('#') && !value.contains(':'));
    own.map(|value| format!("/{}", value.trim_start_matches(['.', '/'])))
        .collect()
}

#[tokio::test]
async fn pages_run_nothing_that_is_not_the_servers_and_are_in_no_frame() {
    let server = TestServer::start();
    let address = server.http;
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self' http://{address} ws://{address}; manifest-src 'self'; \
         worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types belfry"
    );
    for (path, opener) in [
        ("/", "same-origin"),
        ("/consent", "unsafe-none"),
        ("/sw.js", "same-origin"),
    ] {
        let page = get(&server, path).await;
        for (name, expected) in [
            ("content-security-policy", policy.as_str()),
            ("cross-origin-opener-policy", opener),
            ("cross-origin-resource-policy", "same-origin"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("access-control-allow-origin", ""),
        ] {
            assert_eq!(page.header(name), expected, "{path} {name}");
        }
        let permissions = page.header("permissions-policy");
        for feature in ["camera=()", "geolocation=()", "microphone=()"] {
            assert!(permissions.contains(feature), "{path}: {permissions}");
        }
        assert!(!page.headers.contains_key("set-cookie"), "{path}");
    }
    for path in ["/", "/consent"] {
        let page = get(&server, path).await;
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        for inline in [" style=", "<style", "javascript:", " onload=", " onclick="] {
            assert!(!page.text().contains(inline), "{path} has {inline}");
        }
        for script in page.text().split("<script").skip(1) {
            let (tag, body) = script.split_once('>').expect("a tag");
            assert!(tag.contains(" src="), "{path}: a script of its own: {body}");
        }
    }
}

#[tokio::test]
async fn what_a_page_names_is_there_and_kept_only_under_a_name_of_its_contents() {
    let server = TestServer::start();
    let mut kept = 0;
    for path in ["/", "/consent"] {
        let page = get(&server, path).await;
        assert_eq!(page.header("cache-control"), "no-cache", "{path}");
        let named = named_in(&page);
        assert!(!named.is_empty(), "{path} names nothing");
        for named in named {
            let named = get(&server, &named).await;
            let caching = named.header("cache-control");
            match caching {
                "public, max-age=31536000, immutable" => kept += 1,
                caching => assert_eq!(caching, "no-cache"),
            }
            assert_ne!(named.header("content-type"), "application/octet-stream");
        }
    }
    assert!(kept > 0, "no script or style has a name that changes");
    for path in ["/sw.js", "/sdk/site.js"] {
        let script = get(&server, path).await;
        assert_eq!(script.header("cache-control"), "no-cache", "{path}");
        let kind = script.header("content-type");
        assert_eq!(kind, "text/javascript; charset=utf-8", "{path}");
    }
}

#[tokio::test]
async fn any_site_may_include_the_script_and_nothing_else() {
    let server = TestServer::start();
    let origin = [("Origin", "https://news.example")];
    for path in ["/sdk/site.js", "/sdk/site.mjs"] {
        let script = ask(&server, Method::GET, path, &origin).await;
        assert_eq!(script.status, 200, "{path}: was ./dev console run?");
        for (name, expected) in [
            ("access-control-allow-origin", "*"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("content-type", "text/javascript; charset=utf-8"),
            ("cache-control", "no-cache"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(script.header(name), expected, "{path} {name}");
        }
    }
    let page = ask(&server, Method::GET, "/", &origin).await;
    assert_eq!(page.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again() {
    let server = TestServer::start();
    for path in ["/", "/sdk/site.js"] {
        let page = get(&server, path).await;
        let etag = page.header("etag").to_owned();
        assert!(etag.starts_with('"'), "{path}: {etag}");
        assert_eq!(page.header("vary"), "accept-encoding", "{path}");
        let again = [("If-None-Match", etag.as_str())];
        let again = ask(&server, Method::GET, path, &again).await;
        assert_eq!(
            (again.status, again.body.len()),
            (StatusCode::NOT_MODIFIED, 0)
        );
        assert_eq!(again.header("etag"), etag, "{path}");
        let policy = |answer: &Answer| answer.header("content-security-policy").to_owned();
        assert_eq!(policy(&again), policy(&page), "{path}");
        let other = [("If-None-Match", "\"another\"")];
        let other = ask(&server, Method::GET, path, &other).await;
        assert_eq!((other.status, &other.body), (StatusCode::OK, &page.body));
    }
}

#[tokio::test]
async fn a_large_script_travels_compressed_under_a_tag_of_its_own() {
    let server = TestServer::start();
    let page = get(&server, "/").await;
    let mut scripts = Vec::new();
    for path in named_in(&page)
        .into_iter()
        .filter(|path| path.ends_with(".js"))
    {
        scripts.push((get(&server, &path).await, path));
    }
    let largest = scripts
        .into_iter()
        .max_by_key(|(script, _)| script.body.len());
    let (plain, path) = largest.expect("the page has scripts");
    assert_eq!(plain.header("content-encoding"), "");
    let gzip = [("Accept-Encoding", "br, gzip")];
    let compressed = ask(&server, Method::GET, &path, &gzip).await;
    assert_eq!(compressed.header("content-encoding"), "gzip");
    assert_eq!(compressed.body[..2], [0x1f, 0x8b]);
    assert!(compressed.body.len() < plain.body.len());
    // The last four bytes are the size before (RFC 1952 §2.3.1).
    let (_, size) = compressed.body.split_last_chunk().expect("four bytes");
    assert_eq!(u32::from_le_bytes(*size) as usize, plain.body.len());
    assert_ne!(compressed.header("etag"), plain.header("etag"));
    let has_plain = [gzip[0], ("If-None-Match", plain.header("etag"))];
    let answer = ask(&server, Method::GET, &path, &has_plain).await;
    assert_eq!(answer.status, 200);
    let has_it = [gzip[0], ("If-None-Match", compressed.header("etag"))];
    let answer = ask(&server, Method::GET, &path, &has_it).await;
    assert_eq!(answer.status, 304);
}

#[tokio::test]
async fn pages_are_read_and_no_more() {
    let server = TestServer::start();
    let page = get(&server, "/").await;
    let head = ask(&server, Method::HEAD, "/", &[]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-length"), page.body.len().to_string());
    for name in ["etag", "content-type", "content-security-policy"] {
        assert_eq!(head.header(name), page.header(name), "{name}");
    }
    for (method, path, status) in [
        (Method::POST, "/", 405),
        (Method::PUT, "/consent", 405),
        (Method::DELETE, "/sdk/site.js", 405),
        (Method::GET, "/.gitignore", 404),
        (Method::GET, "/index.htm", 404),
        (Method::GET, "/sdk/.gitignore", 404),
        (Method::GET, "/assets/", 404),
        (Method::GET, "/../Cargo.toml", 404),
        (Method::GET, "/sdk/%2e%2e/site.js", 404),
    ] {
        let answer = ask(&server, method.clone(), path, &[]).await;
        assert_eq!(answer.status, status, "{method} {path}");
        let kind = answer.header("content-type");
        assert_eq!(kind, "application/problem+json", "{method} {path}");
    }
}

#[tokio::test]
async fn the_dashboard_comes_too_and_may_use_less() {
    let server = TestServer::start();
    let page = get(&server, "/admin").await;
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'; manifest-src 'none'; worker-src 'none'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'";
    for (name, expected) in [
        ("content-security-policy", policy),
        ("content-type", "text/html; charset=utf-8"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-cache"),
    ] {
        assert_eq!(page.header(name), expected, "{name}");
    }
    let permissions = page.header("permissions-policy");
    for may in [
        "publickey-credentials-get=(self)",
        "publickey-credentials-create=(self)",
    ] {
        assert!(permissions.contains(may), "{permissions}");
    }
    let slash = server.http_client().get(format!("{}/admin/", server.url()));
    let slash = slash.send().await.expect("an answer");
    assert_eq!(slash.status(), 308);
    assert_eq!(slash.headers()["location"], "/admin");
    let named = named_in(&page);
    assert!(named.iter().any(|path| path.ends_with(".js")), "{named:?}");
    for path in named {
        let file = get(&server, &path).await;
        if path.starts_with("/admin/assets/") {
            let kept = "public, max-age=31536000, immutable";
            assert_eq!(file.header("cache-control"), kept, "{path}");
        }
    }
}
