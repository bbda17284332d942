//! Certificates: looks after the files of everything that speaks TLS, and says when they change, are wrong or expire. Makes
//! no connection; what is new is used by the next one.

use crate::code::Code;
use crate::telemetry::metrics::Metrics;
use crate::tls::{Expiry, Kept, Renewed};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two looks at the files, which are few and small.
pub const LOOK: Duration = Duration::from_secs(60);
/// Before the end, when a new one should be on its way.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);
const REMIND: SignedDuration = SignedDuration::from_hours(24);

/// What was made of certificate files, whichever way it is used.
pub trait Watched: Debug + Send + Sync {
    fn usage(&self) -> &'static str;
    fn renew(&self, asked: bool) -> Renewed;
    fn expiries(&self) -> Vec<Expiry>;
}

impl<T: Send + Sync> Watched for Kept<T> {
    fn usage(&self) -> &'static str {
        self.usage
    }
    fn renew(&self, asked: bool) -> Renewed {
        Kept::renew(self, asked)
    }
    fn expiries(&self) -> Vec<Expiry> {
        Kept::expiries(self)
    }
}

#[derive(Debug)]
pub struct Certificates {
    all: Vec<Arc<dyn Watched>>,
    metrics: Metrics,
    /// When an end that comes was last told of.
    told: Mutex<HashMap<(&'static str, &'static str), Timestamp>>,
}

impl Certificates {
    pub fn new(all: Vec<Arc<dyn Watched>>, metrics: Metrics) -> Certificates {
        let certificates = Certificates { all, metrics, told: Mutex::default() };
        certificates.tell_expiries(Timestamp::now());
        certificates
    }

    pub async fn keep_looking(&self, every: Duration, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            self.look(false);
        }
    }

    /// `asked` by a person, who wants to hear of everything that is wrong.
    pub fn look(&self, asked: bool) {
        for watched in &self.all {
            let usage = watched.usage();
            match watched.renew(asked) {
                Renewed::Same => {}
                Renewed::Changed => {
                    self.metrics.certificates_reloaded(usage, "ok");
                    // Of the new one it is the first time.
                    self.told().retain(|(of, _), _| *of != usage);
                    tracing::info!(usage, "certificates were read anew: the next connection uses them");
                }
                Renewed::Refused(error) => {
                    self.metrics.certificates_reloaded(usage, "refused");
                    let code = Code::CertificateInvalid;
                    tracing::error!(usage, %code, %error, "new certificates do not load: the ones before go on");
                }
            }
        }
        self.tell_expiries(Timestamp::now());
    }

    fn tell_expiries(&self, now: Timestamp) {
        for watched in &self.all {
            let usage = watched.usage();
            for Expiry { part, at } in watched.expiries() {
                self.metrics.certificate_expires(usage, part, at);
                if at.duration_since(now) >= SOON {
                    continue;
                }
                let told = self.told().get(&(usage, part)).is_some_and(|told| now.duration_since(*told) < REMIND);
                if !told {
                    self.told().insert((usage, part), now);
                    let code = Code::CertificateExpires;
                    tracing::warn!(usage, part, expires = %at, %code, "a certificate is valid for less than 30 days");
                }
            }
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, HashMap<(&'static str, &'static str), Timestamp>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Files, Outgoing};
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn put(folder: &std::path::Path, ends: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.not_after = date_time_ymd(ends, 1, 1);
        std::fs::write(folder.join("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    }

    fn looked_after(folder: &std::path::Path) -> Certificates {
        let file = |name| Some(folder.join(name));
        let files = Files { cert: file("cert.pem"), key: file("key.pem"), ca: file("cert.pem") };
        let kept = Outgoing::outgoing("broker", files).unwrap();
        Certificates::new(vec![Arc::new(kept)], Metrics::new().unwrap())
    }

    #[tokio::test]
    async fn a_file_that_changed_is_seen_without_anybody_asking() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), 2040);
        let certificates = looked_after(folder.path());
        let (looking, seen) = (Duration::from_millis(5), Duration::from_secs(20));
        let until = async |line: &str| {
            let there = async {
                while !certificates.metrics.render().lines().any(|l| l == line) {
                    tokio::time::sleep(looking).await;
                }
            };
            tokio::time::timeout(seen, there)
                .await
                .unwrap_or_else(|_| panic!("{line} in {}", certificates.metrics.render()));
        };
        let changes = async {
            let ends = |part: &str, at: &str| {
                let at: Timestamp = at.parse().unwrap();
                let at = at.as_second();
                format!("ketenpoort_certificate_expires_seconds{{part=\"{part}\",use=\"broker\"}} {at}")
            };
            until(&ends("own", "2040-01-01T00:00:00Z")).await;
            // The key comes after the certificate: in between it may be seen as broken, in the end it is not.
            put(folder.path(), 2050);
            until(&ends("own", "2050-01-01T00:00:00Z")).await;
            until(&ends("authority", "2050-01-01T00:00:00Z")).await;
            std::fs::remove_file(folder.path().join("cert.pem")).unwrap();
            let refused = || certificates.metrics.render().contains("result=\"refused\",use=\"broker\"");
            while !refused() {
                tokio::time::sleep(looking).await;
            }
            until(&ends("own", "2050-01-01T00:00:00Z")).await;
        };
        tokio::select! {
            () = certificates.keep_looking(looking, CancellationToken::new()) => unreachable!("nobody stops it"),
            () = changes => {}
        }
    }

    #[test]
    fn what_ends_within_a_month_is_told_of_once_a_day() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), 2040);
        let certificates = looked_after(folder.path());
        let told = |now: &str| {
            let now: Timestamp = now.parse().unwrap();
            certificates.tell_expiries(now);
            certificates.told().get(&("broker", "own")) == Some(&now)
        };
        assert!(!told("2039-12-01T00:00:00Z"), "31 days before");
        assert!(told("2039-12-03T00:00:00Z"));
        assert!(!told("2039-12-03T23:59:00Z"), "the same day");
        assert!(told("2039-12-04T00:00:00Z"));
        assert!(told("2040-02-01T00:00:00Z"), "after it");
        // Of another one it is told anew, when it is time.
        put(folder.path(), 2050);
        certificates.look(true);
        assert!(certificates.told().is_empty());
    }
}
