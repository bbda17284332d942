//! The way out over HTTP, the same for everyone we ask or send to. Knows nothing of questions and messages.

use crate::party::Oin;
use crate::tls::{self, Files, Outgoing, Trust};
use rustls::ClientConfig;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Tls(#[from] tls::Error),
    #[error("the HTTP client cannot be built")]
    Unbuildable(#[source] reqwest::Error),
}

/// Connections of now: those that were made under other certificates are not used again.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    tls: Arc<Outgoing>,
    timeouts: Timeouts,
    made: RwLock<Made>,
}

#[derive(Clone, Copy)]
struct Timeouts {
    connect: Duration,
    /// For everything from connecting to the last byte of the answer.
    whole: Duration,
}

struct Made {
    under: Arc<Trust>,
    anyone: reqwest::Client,
    /// Each with connections of its own: one that was made to whoever has the name is not good enough for them.
    holders: HashMap<Oin, reqwest::Client>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.0.tls).finish()
    }
}

impl Client {
    pub fn new(usage: &'static str, files: Files, connect: Duration, whole: Duration) -> Result<Client, Error> {
        let tls = Arc::new(Outgoing::outgoing(usage, files)?);
        let timeouts = Timeouts { connect, whole };
        let made = RwLock::new(Made::under(tls.now(), timeouts)?);
        Ok(Client(Arc::new(Inner { tls, timeouts, made })))
    }

    /// What of it is in files, to be read anew when these change.
    pub fn certificates(&self) -> Arc<Outgoing> {
        self.0.tls.clone()
    }

    /// To whoever has the name in the URL.
    pub fn to_anyone(&self) -> Result<reqwest::Client, Error> {
        self.with(|made| Some(made.anyone.clone()), |made, _| Ok(made.anyone.clone()))
    }

    /// To him only if his certificate has this OIN as well.
    pub fn to_holder_of(&self, oin: &Oin) -> Result<reqwest::Client, Error> {
        let make = |made: &mut Made, timeouts| {
            let client = build(made.under.config_for(oin)?, timeouts)?;
            made.holders.insert(oin.clone(), client.clone());
            Ok(client)
        };
        self.with(|made| made.holders.get(oin).cloned(), make)
    }

    fn with(
        &self,
        find: impl Fn(&Made) -> Option<reqwest::Client>,
        make: impl FnOnce(&mut Made, Timeouts) -> Result<reqwest::Client, Error>,
    ) -> Result<reqwest::Client, Error> {
        let now = self.0.tls.now();
        {
            let made = self.0.made.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(client) = find(&made).filter(|_| Arc::ptr_eq(&made.under, &now)) {
                return Ok(client);
            }
        }
        let mut made = self.0.made.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&made.under, &now) {
            *made = Made::under(now, self.0.timeouts)?;
        }
        match find(&made) {
            Some(client) => Ok(client),
            None => make(&mut made, self.0.timeouts),
        }
    }
}

impl Made {
    fn under(trust: Arc<Trust>, timeouts: Timeouts) -> Result<Made, Error> {
        let anyone = build((*trust.config()).clone(), timeouts)?;
        Ok(Made { under: trust, anyone, holders: HashMap::new() })
    }
}

fn build(tls: ClientConfig, timeouts: Timeouts) -> Result<reqwest::Client, Error> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("ketenpoort/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.whole)
        // Personal data goes where the configuration says, and nowhere else: no redirect, and no proxy that
        // happens to be in the environment.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        // Attempts are counted by those who make them.
        .retry(reqwest::retry::never());
    builder.build().map_err(Error::Unbuildable)
}

/// Did it end before anything was sent, because we do not accept the other's certificate or his TLS?
pub fn is_mistrust(error: &reqwest::Error) -> bool {
    use rustls::Error::{InvalidCertificate, NoCertificatesPresented, PeerIncompatible};
    matches!(tls_error(error), Some(InvalidCertificate(_) | NoCertificatesPresented | PeerIncompatible(_)))
}

fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // What an io::Error holds is not what it calls its source.
    let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    held.and_then(|held| tls_error(held)).or_else(|| error.source().and_then(tls_error))
}
