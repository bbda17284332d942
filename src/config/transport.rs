//! What a configuration says about TLS: certificates that go together, and where there may be none at all.

use super::{Broker, Config, Delivery, Http, Iris, Loader, Secret};
use crate::tls::Files;

impl Loader<'_> {
    pub(super) fn certificates(&mut self, config: &mut Config) {
        let Config { broker, iris, delivery, http, .. } = config;
        for (section, cert, key, ca) in [
            ("broker", &mut broker.cert_file, &mut broker.key_file, &mut broker.ca_file),
            ("iris", &mut iris.cert_file, &mut iris.key_file, &mut iris.ca_file),
            ("delivery", &mut delivery.cert_file, &mut delivery.key_file, &mut delivery.ca_file),
            ("http", &mut http.cert_file, &mut http.key_file, &mut http.client_ca_file),
        ] {
            if cert.is_some() != key.is_some() {
                self.wrong(section, "cert_file and key_file come together");
            }
            let base = self.base;
            [cert, key, ca].into_iter().flatten().for_each(|path| *path = base.join(&*path));
        }
        if http.client_ca_file.is_some() && http.cert_file.is_none() {
            self.wrong("http", "client_ca_file needs cert_file and key_file");
        }
    }

    /// Personal data in the clear goes no further than this machine, unless somebody says so.
    pub(super) fn plaintext(&mut self, config: &Config) {
        for (section, key) in config.in_the_clear() {
            let allowed = if section == "broker" { config.broker.allow_plaintext } else { config.iris.allow_plaintext };
            if !allowed {
                let hint =
                    format!("{key} leaves this machine without TLS: make it a secure one, or set allow_plaintext");
                self.wrong(section, hint);
            }
        }
    }
}

impl Config {
    /// Sections and keys with an address on another machine that is reached without TLS. Webhooks are none: the partner
    /// directory takes no such address.
    pub fn in_the_clear(&self) -> Vec<(&'static str, &'static str)> {
        let mut found = Vec::new();
        if self.broker.urls.iter().map(Secret::reveal).any(leaves_in_the_clear) {
            found.push(("broker", "urls"));
        }
        if leaves_in_the_clear(&self.iris.base_url) {
            found.push(("iris", "base_url"));
        }
        found
    }
}

macro_rules! certificates {
    ($($section:ident, $ca:ident;)+) => {$(
        impl $section {
            /// The files that its TLS is made of.
            pub fn certificates(&self) -> Files {
                Files { cert: self.cert_file.clone(), key: self.key_file.clone(), ca: self.$ca.clone() }
            }
        }
    )+};
}

certificates! {
    Broker, ca_file;
    Iris, ca_file;
    Delivery, ca_file;
    Http, client_ca_file;
}

/// What is no URL is told elsewhere.
fn leaves_in_the_clear(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let Some(host) = url.host_str() else { return false };
    matches!(url.scheme(), "amqp" | "http") && !is_loopback(host)
}

/// An address that is listened on, with its port.
pub(super) fn is_here(listen: &str) -> bool {
    listen.rsplit_once(':').is_some_and(|(host, _)| is_loopback(host))
}

/// For amqp the parser of URLs knows no IP addresses.
fn is_loopback(host: &str) -> bool {
    let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    ip.map_or(host.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
}
