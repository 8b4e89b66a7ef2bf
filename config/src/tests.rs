use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(text), environment, None)
}

/// The message, after its heading.
fn check(text: &str, expected: &[&str]) {
    let error = load(text, &[]).expect_err(text).to_string();
    let lines: Vec<_> = error.lines().skip(1).map(str::trim).collect();
    assert_eq!(lines, expected, "{text}");
}

#[test]
fn nothing_given_is_the_embedded_default() {
    assert_eq!(load("", &[]), Ok(Config::default()));
    let config = Config::default();
    assert_eq!(config.registration(), Registration::Open);
    assert_eq!(
        config.public_url_for(config.http.listen).as_str(),
        "http://127.0.0.1:8080/"
    );
}

#[test]
fn each_error_names_key_value_and_remedy() {
    check(
        "limits.permission_burst = 0",
        &["limits.permission_burst = 0: must be at least 1"],
    );
    check(
        "away_grace = \"61m\"",
        &["away_grace = 3660s: must be at most 1h"],
    );
    check(
        "limits.permision_burst = 5",
        &["limits.permision_burst = 5: unknown key; did you mean limits.permission_burst?"],
    );
    check(
        "frobnicate = 1",
        &["frobnicate = 1: unknown key; `belfry config show` prints all there are"],
    );
    check(
        "http.listen = \"nowhere\"",
        &["http.listen = \"nowhere\": must be an address with a port, such as 127.0.0.1:8080"],
    );
    check(
        "http.listen = \"0.0.0.0:80\"",
        &[
            "http.listen = 0.0.0.0:80: not a loopback address, so public_url must say what sites and devices call",
        ],
    );
    check(
        "admin.public_url = \"https://admin.example\"",
        &[
            "admin.public_url = https://admin.example/: is of admin.listen, which is not set; else it is all at public_url",
        ],
    );
    check(
        "admin.listen = \"0.0.0.0:8081\"",
        &[
            "admin.listen = 0.0.0.0:8081: not a loopback address, so admin.public_url must say what admins open",
        ],
    );
    check(
        "admin.listen = \"127.0.0.1:8080\"",
        &["admin.listen = 127.0.0.1:8080: must differ from http.listen and mqtt.listen"],
    );
    check(
        "tls.cert = \"c.pem\"",
        &["tls.cert = c.pem: needs tls.key beside it"],
    );
    check(
        "mqtt.listen = \"127.0.0.1:8080\"",
        &["mqtt.listen = 127.0.0.1:8080: must differ from http.listen"],
    );
    check(
        "public_url = \"https://push.example/belfry\"",
        &[
            "public_url = https://push.example/belfry: must be an origin such as https://push.example, without a path",
        ],
    );
    check(
        "retention.ttl_max = 0\nlimits.mailbox_bytes = 1",
        &[
            "limits.mailbox_bytes = 1: must be at least 16384",
            "retention.ttl_max = 0: must be at least 1",
        ],
    );
    check(
        "retention.audit = \"6d\"",
        &["retention.audit = 518400s: must be 0s, for ever, or at least 7d"],
    );
    check(
        "accounts.registration = \"maybe\"",
        &["accounts.registration = \"maybe\": must be open, invite or closed"],
    );
    check(
        "limits.site_per_day = -1",
        &["limits.site_per_day = -1: must be a whole number"],
    );
    check(
        "trusted_proxies = [\"proxy\"]",
        &[
            "trusted_proxies = [\"proxy\"]: must be a list (in a variable, separated by commas), each an address or a range, such as 10.0.0.1 or 10.0.0.0/8",
        ],
    );
    check(
        "mqtt.listen = \"0.0.0.0:1883\"",
        &[
            "mqtt.listen = 0.0.0.0:1883: not a loopback address, so mqtt.public_url (or public_url) must say what devices call",
        ],
    );
    assert!(load("[", &[]).is_err_and(|errors| errors.to_string().contains("is not TOML")));
}

#[test]
fn a_variable_goes_over_the_file_and_the_command_line_over_both() {
    let environment = [
        ("BELFRY__LIMITS__PERMISSION_PER_MINUTE", "5"),
        ("BELFRY__RETENTION__HISTORY", "12h"),
        ("BELFRY__TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
        ("BELFRY_DATA_DIR", "/from/variable"),
        ("BELFRY_PASSWORD", "not ours"),
        ("HOME", "/root"),
    ];
    let config = load(
        "limits.permission_per_minute = 9\ndata_dir = \"/from/file\"",
        &environment,
    )
    .expect("good");
    assert_eq!(config.limits.permission_per_minute, 5);
    assert_eq!(config.retention.history, Duration::from_secs(12 * 3_600));
    let proxies = ["10.0.0.0/8", "::1/128"].map(|range| range.parse().expect("a range"));
    assert_eq!(config.trusted_proxies, proxies);
    assert_eq!(config.data_dir, PathBuf::from("/from/variable"));
    let over = Config::load(
        None,
        [("BELFRY_DATA_DIR".to_owned(), "/a".to_owned())],
        Some("/b".into()),
    );
    assert_eq!(over.expect("good").data_dir, PathBuf::from("/b"));
    assert!(load("", &[("BELFRY__NO__SUCH", "1")]).is_err());
}

#[test]
fn what_is_shown_loads_again_without_secrets() {
    let text = "database.url = \"postgres://belfry:hunter2@db/belfry\"\n\
                public_url = \"https://push.example\"\nhttp.listen = \"0.0.0.0:8080\"\nlimits.mailbox_bytes = \"8MiB\"";
    let config = load(text, &[]).expect("good");
    assert_eq!(config.registration(), Registration::Invite);
    let shown = config.show();
    assert!(!shown.contains("hunter2"), "{shown}");
    let again = load(&shown, &[]).expect("good");
    assert_eq!(again.limits, config.limits);
    let defaults = Config::default();
    assert_eq!(load(&defaults.show(), &[]), Ok(defaults));
}

/// The example file with its keys in force: "#key" is one, "# text" is not.
fn example_in_force() -> String {
    let text = include_str!("../../deploy/belfry.toml");
    let key = |line: &str| {
        let rest = line.strip_prefix('#')?;
        rest.starts_with(|first: char| first.is_ascii_lowercase())
            .then(|| rest.to_owned())
    };
    let lines = text
        .lines()
        .map(|line| key(line).unwrap_or_else(|| line.to_owned()));
    lines.collect::<Vec<_>>().join("\n")
}

fn keys(toml: &str) -> Vec<&str> {
    let lines = toml.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter(|line| !line.is_empty())
        .map(|line| line.split(" = ").next().unwrap_or(line))
        .collect()
}

#[test]
fn the_example_file_has_every_key_and_says_its_default() {
    let text = include_str!("../../deploy/belfry.toml");
    let defaults = Config::default();
    assert_eq!(load(text, &[]), Ok(defaults.clone()), "as it is shipped");

    let in_force = example_in_force();
    let all = load(&in_force, &[]).expect("each example is good");
    assert_eq!(
        keys(&in_force),
        keys(&all.show()),
        "each key once, in order"
    );
    // What has a default stands there with it; what has none is what the examples are for.
    let without_default = Config {
        public_url: None,
        mqtt: Mqtt {
            public_url: None,
            ..all.mqtt.clone()
        },
        http: Http {
            connections: None,
            ..all.http.clone()
        },
        limits: Limits {
            connections: None,
            ..all.limits.clone()
        },
        tls: Tls::default(),
        webhooks: Webhooks {
            authority: None,
            ..all.webhooks.clone()
        },
        database: Database::default(),
        accounts: Accounts::default(),
        admin: Admin::default(),
        ..all
    };
    assert_eq!(without_default, defaults);
}

#[test]
fn the_measurements_file_raises_limits() {
    let bench = load(include_str!("../../deploy/bench.toml"), &[]).expect("good");
    assert!(bench.limits.permission_per_minute > Config::default().limits.permission_per_minute);
}

proptest! {
    #[test]
    fn no_text_and_no_variable_panics(text in "\\PC{0,80}", name in "BELFRY__[A-Z_]{0,20}", value in "\\PC{0,20}") {
        let _ = load(&text, &[(&name, &value)]);
    }

    #[test]
    fn no_value_of_a_known_key_panics(value in "\\PC{0,12}") {
        for key in ["RETENTION__HISTORY", "LIMITS__MAILBOX_BYTES", "PUBLIC_URL", "MQTT__WINDOW", "TRUSTED_PROXIES"] {
            let _ = load("", &[(&format!("BELFRY__{key}"), &value)]);
        }
    }
}

#[test]
fn admins_open_what_was_set_for_them() {
    let check = |text: &str, admin_bound: Option<&str>, expected: &str| {
        let config = load(text, &[]).expect(text);
        let address = |text: &str| text.parse().expect("an address");
        let url = config.admin_url_for(address("127.0.0.1:8080"), admin_bound.map(address));
        assert_eq!(url.as_str(), expected, "{text}");
    };
    check("", None, "http://127.0.0.1:8080/");
    let public = "public_url = \"https://push.example\"\n";
    check(public, None, "https://push.example/");
    let listen = "admin.listen = \"127.0.0.1:0\"\n";
    let both = format!("{public}{listen}");
    check(&both, Some("127.0.0.1:8081"), "http://127.0.0.1:8081/");
    let named = format!("{both}admin.public_url = \"https://admin.example\"");
    check(&named, Some("127.0.0.1:8081"), "https://admin.example/");
}

#[test]
fn devices_are_told_an_address_that_they_can_reach() {
    let check = |text: &str, bound: &str, expected: &str| {
        let config = load(text, &[]).expect(text);
        let bound = bound.parse().expect("an address");
        assert_eq!(config.mqtt_url_for(bound), expected, "{text}");
    };
    check("", "127.0.0.1:1883", "mqtt://127.0.0.1:1883");
    let public = "public_url = \"https://push.example\"\n";
    check(public, "127.0.0.1:1883", "mqtt://127.0.0.1:1883");
    check(public, "192.0.2.1:1883", "mqtt://192.0.2.1:1883");
    check(public, "0.0.0.0:1883", "mqtt://push.example:1883");
    let tls = "[tls]\ncert = \"c\"\nkey = \"k\"";
    check(
        &format!("{public}{tls}"),
        "[::]:8883",
        "mqtts://push.example:8883",
    );
    let named = "mqtt.public_url = \"mqtts://mqtt.example:443\"";
    check(named, "0.0.0.0:1883", "mqtts://mqtt.example:443");
}
