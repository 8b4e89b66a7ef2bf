//! Where a webhook may go: to addresses of the open internet, as IANA's registries of special-purpose
//! addresses (RFC 6890) have them. Else any site could have this server call its operator's own network.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use url::{Host, Url};

/// Longest URL of a webhook.
const URL_BYTES_MAX: usize = 1_024;

/// IPv4 that is not reached over the internet, or has no single host behind it.
const SPECIAL_V4: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),       // this network, RFC 791
    v4([10, 0, 0, 0], 8),      // private, RFC 1918
    v4([100, 64, 0, 0], 10),   // shared (carrier-grade NAT), RFC 6598
    v4([127, 0, 0, 0], 8),     // loopback, RFC 1122
    v4([169, 254, 0, 0], 16),  // link local, RFC 3927: metadata of cloud machines
    v4([172, 16, 0, 0], 12),   // private, RFC 1918
    v4([192, 0, 0, 0], 24),    // IETF protocol assignments, RFC 6890
    v4([192, 0, 2, 0], 24),    // documentation, RFC 5737
    v4([192, 88, 99, 0], 24),  // 6to4 relays, RFC 7526
    v4([192, 168, 0, 0], 16),  // private, RFC 1918
    v4([198, 18, 0, 0], 15),   // benchmarks, RFC 2544
    v4([198, 51, 100, 0], 24), // documentation, RFC 5737
    v4([203, 0, 113, 0], 24),  // documentation, RFC 5737
    v4([224, 0, 0, 0], 4),     // multicast, RFC 5771
    v4([240, 0, 0, 0], 4),     // reserved, and the broadcast address, RFC 1112
    v4([255, 255, 255, 255], 32),
];

/// The only IPv6 that is given to hosts of the internet (RFC 4291 §2.4, RFC 3587). Loopback, mapped and
/// NAT64 addresses, unique local, link local, site local and multicast ones are all outside.
const UNICAST_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// What of it is special.
const SPECIAL_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // IETF protocol assignments, Teredo and ORCHID too
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation, RFC 3849
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4, which has an IPv4 address in it, RFC 3056
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation, RFC 9637
];

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), bits)
}

/// Whether it is an address of a host of the open internet.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) => {
            UNICAST_V6.contains(&address) && !SPECIAL_V6.iter().any(|net| net.contains(&address))
        }
    }
}

/// What may be reached.
#[derive(Clone)]
pub(super) struct Reach {
    allow: Arc<[IpNet]>,
    /// Whether the server is on this machine alone, as where somebody tries it.
    local: bool,
}

/// Why a URL is no webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoWebhook {
    #[error(
        "url is an absolute URL of at most {URL_BYTES_MAX} bytes, such as https://news.example/hooks/belfry"
    )]
    Url,
    #[error(
        "url begins with https:// (http is for this machine alone, where the server runs on it alone too)"
    )]
    Scheme,
    #[error("url has no user name, password or fragment")]
    Extra,
    #[error(
        "url is in a network that this server does not call; its operator can allow it (webhooks.allow)"
    )]
    Address,
}

impl Reach {
    pub(super) fn new(allow: Vec<IpNet>, local: bool) -> Self {
        Self {
            allow: allow.into(),
            local,
        }
    }

    /// Whether an address that this host has may be called.
    pub(super) fn permits(&self, host: &str, address: IpAddr) -> bool {
        let allowed = self.allow.iter().any(|net| net.contains(&address));
        let own = self.local && is_loopback_host(host) && address.is_loopback();
        allowed || own || is_global(address)
    }

    /// A webhook's URL, as far as that can be judged without looking its name up.
    pub(super) fn webhook(&self, text: &str) -> Result<Url, NoWebhook> {
        if text.len() > URL_BYTES_MAX {
            return Err(NoWebhook::Url);
        }
        let url = Url::parse(text).map_err(|_| NoWebhook::Url)?;
        let host = url.host_str().ok_or(NoWebhook::Url)?;
        match url.scheme() {
            "https" => {}
            "http" if self.local && is_loopback_host(host) => {}
            _ => return Err(NoWebhook::Scheme),
        }
        let nobody = url.username().is_empty() && url.password().is_none();
        if !nobody || url.fragment().is_some() {
            return Err(NoWebhook::Extra);
        }
        match self.literal_of(&url) {
            Some(false) => Err(NoWebhook::Address),
            Some(true) | None => Ok(url),
        }
    }

    /// Whether a URL without a name may be called; nothing where a name is to be looked up.
    pub(super) fn literal_of(&self, url: &Url) -> Option<bool> {
        let address = match url.host()? {
            Host::Domain(_) => return None,
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
        };
        Some(self.permits(url.host_str()?, address))
    }
}

/// Whether a host names this machine by itself.
fn is_loopback_host(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let by_name = host == "localhost" || host.ends_with(".localhost");
    by_name || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(super) fn is_loopback_url(url: &str) -> bool {
    let url = Url::parse(url).ok();
    url.is_some_and(|url| url.host_str().is_some_and(is_loopback_host))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every block of IANA's two registries of special-purpose addresses, as of 2025-10, and beside
    /// them what surrounds those: `false` for what is not called.
    #[test]
    fn nothing_special_is_called() {
        let open = Reach::new(Vec::new(), false);
        let check = |addresses: &[&str], expected: bool| {
            for text in addresses {
                let address: IpAddr = text.parse().expect(text);
                assert_eq!(open.permits("hooks.example", address), expected, "{text}");
            }
        };
        check(
            &["0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255"],
            false,
        );
        check(
            &[
                "100.64.0.0",
                "100.127.255.255",
                "127.0.0.1",
                "127.255.255.255",
            ],
            false,
        );
        check(
            &["169.254.0.0", "169.254.169.254", "169.254.255.255"],
            false,
        );
        check(
            &["172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.8"],
            false,
        );
        check(
            &["192.0.0.9", "192.0.0.10", "192.0.0.170", "192.0.0.255"],
            false,
        );
        check(
            &["192.0.2.0", "192.0.2.255", "192.88.99.0", "192.88.99.2"],
            false,
        );
        check(
            &[
                "192.168.0.0",
                "192.168.255.255",
                "198.18.0.0",
                "198.19.255.255",
            ],
            false,
        );
        check(
            &[
                "198.51.100.7",
                "203.0.113.7",
                "224.0.0.1",
                "239.255.255.255",
            ],
            false,
        );
        check(&["240.0.0.1", "255.255.255.254", "255.255.255.255"], false);
        check(
            &["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255"],
            true,
        );
        check(
            &[
                "100.128.0.0",
                "126.255.255.255",
                "128.0.0.0",
                "169.253.255.255",
            ],
            true,
        );
        check(
            &["169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0"],
            true,
        );
        check(
            &[
                "192.0.3.0",
                "192.88.98.255",
                "192.167.255.255",
                "192.169.0.0",
            ],
            true,
        );
        check(&["198.17.255.255", "198.20.0.0", "223.255.255.255"], true);
        // AS112 and AMT, which are reached over the internet.
        check(&["192.31.196.1", "192.52.193.1", "192.175.48.1"], true);

        check(
            &[
                "::",
                "::1",
                "::ffff:10.0.0.1",
                "::ffff:1.1.1.1",
                "::1.1.1.1",
            ],
            false,
        );
        check(
            &["64:ff9b::1.1.1.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1"],
            false,
        );
        check(
            &["100::1", "100:0:0:1::1", "5f00::1", "fc00::1", "fdff::1"],
            false,
        );
        check(
            &["fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1"],
            false,
        );
        check(
            &[
                "2001::1",
                "2001:1::1",
                "2001:2::1",
                "2001:3::1",
                "2001:4:112::1",
            ],
            false,
        );
        check(
            &["2001:10::1", "2001:20::1", "2001:30::1", "2001:1ff:ffff::1"],
            false,
        );
        check(
            &[
                "2001:db8::1",
                "2002:a00:1::1",
                "2002:101:101::1",
                "3fff::1",
                "3fff:fff::1",
            ],
            false,
        );
        check(&["1fff::1", "4000::1"], false);
        check(
            &[
                "2000::1",
                "2001:200::1",
                "2001:db7::1",
                "2001:db9::1",
                "2003::1",
            ],
            true,
        );
        check(
            &[
                "2606:4700::1111",
                "2620:4f:8000::1",
                "3ffe::1",
                "3fff:1000::1",
            ],
            true,
        );
    }

    #[test]
    fn an_operator_allows_networks_and_a_local_server_calls_this_machine() {
        let intranet = Reach::new(vec!["10.1.0.0/16".parse().expect("a network")], false);
        let ip = |text: &str| text.parse().expect("an address");
        assert!(intranet.permits("hooks.intranet", ip("10.1.2.3")));
        assert!(!intranet.permits("hooks.intranet", ip("10.2.2.3")));
        assert!(!intranet.permits("localhost", ip("127.0.0.1")));
        let local = Reach::new(Vec::new(), true);
        assert!(local.permits("localhost", ip("::1")));
        assert!(local.permits("127.0.0.1", ip("127.0.0.1")));
        // A name that only happens to lead here.
        assert!(!local.permits("hooks.example", ip("127.0.0.1")));
        assert!(!local.permits("localhost", ip("10.1.2.3")));
        for (url, expected) in [
            ("http://127.0.0.1:8080", true),
            ("http://[::1]/base", true),
            ("http://localhost", true),
            ("https://push.example", false),
            ("https://127.push.example", false),
        ] {
            assert_eq!(is_loopback_url(url), expected, "{url}");
        }
    }

    #[test]
    fn a_webhook_is_https_to_somewhere_else() {
        let check = |local: bool, text: &str, expected: Result<(), NoWebhook>| {
            let read = Reach::new(Vec::new(), local).webhook(text).map(|_| ());
            assert_eq!(read, expected, "{local} {text}");
        };
        check(false, "https://news.example/hooks?a=b", Ok(()));
        check(false, "https://news.example:8443/", Ok(()));
        check(false, "https://1.1.1.1/", Ok(()));
        check(false, "http://news.example/", Err(NoWebhook::Scheme));
        check(true, "http://news.example/", Err(NoWebhook::Scheme));
        check(true, "http://localhost:3000/", Ok(()));
        check(true, "http://127.0.0.1:3000/", Ok(()));
        check(false, "http://127.0.0.1:3000/", Err(NoWebhook::Scheme));
        check(false, "ftp://news.example/", Err(NoWebhook::Scheme));
        check(false, "file:///etc/passwd", Err(NoWebhook::Url));
        check(false, "news.example", Err(NoWebhook::Url));
        check(false, "https://me:pw@news.example/", Err(NoWebhook::Extra));
        check(false, "https://news.example/#f", Err(NoWebhook::Extra));
        let long = format!("https://news.example/{}", "a".repeat(URL_BYTES_MAX));
        check(false, &long, Err(NoWebhook::Url));
        // However an address is spelt.
        for inside in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://169.254.169.254/latest",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[fe80::1]/",
        ] {
            check(false, inside, Err(NoWebhook::Address));
        }
    }
}
