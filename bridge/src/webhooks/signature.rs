//! Signatures as Standard Webhooks has them: HMAC-SHA256 over `id.timestamp.body`, under a secret that
//! only the site and this server have. The database has none: each is made of the server's own secret,
//! the site and a number.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use belfry_protocol::site::Origin;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// What secrets are made of.
pub(super) struct Secrets([u8; 32]);

/// The secret of one webhook.
pub(super) struct Secret([u8; 32]);

impl Secrets {
    pub(super) fn new(server: [u8; 32]) -> Self {
        Self(server)
    }

    /// The secret of a site's webhook, the n-th of it.
    pub(super) fn of(&self, site: &Origin, generation: u64) -> Secret {
        // The number first: it has one length, so nothing else can read the same.
        Secret(mac(
            &self.0,
            &[&generation.to_be_bytes(), site.as_str().as_bytes()],
        ))
    }
}

impl Secret {
    /// As the site is told it.
    pub(super) fn expose(&self) -> String {
        format!("whsec_{}", STANDARD.encode(self.0))
    }

    /// The value of `webhook-signature`.
    pub(super) fn sign(&self, id: &str, seconds: u64, body: &[u8]) -> String {
        signed(&self.0, id, seconds, body)
    }
}

fn signed(key: &[u8], id: &str, seconds: u64, body: &[u8]) -> String {
    let head = format!("{id}.{seconds}.");
    format!("v1,{}", STANDARD.encode(mac(key, &[head.as_bytes(), body])))
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_has_its_signature() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = signed(
            &key.expect("base64"),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_site_and_generation_has_a_secret_of_its_own() {
        let site = |text: &str| text.parse::<Origin>().expect("an origin");
        let (news, shop) = (site("https://news.example"), site("https://shop.example"));
        let secrets = Secrets::new([1; 32]);
        let first = secrets.of(&news, 1).expose();
        assert_eq!(first, secrets.of(&news, 1).expose());
        assert_ne!(first, secrets.of(&news, 2).expose());
        assert_ne!(first, secrets.of(&shop, 1).expose());
        assert_ne!(first, Secrets::new([2; 32]).of(&news, 1).expose());
        assert!(first.starts_with("whsec_") && first.len() == 6 + 44);
    }
}
