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
