//! The way out over HTTP, the same for everyone we ask or send to. Knows nothing of questions and messages.

use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("ca_file {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    #[error("ca_file {0}: holds no certificate in PEM")]
    NoCertificate(PathBuf),
    #[error("the HTTP client cannot be built")]
    Unbuildable(#[source] reqwest::Error),
}

/// `timeout` is for everything from connecting to the last byte of the answer. Where there is a `ca_file`, its
/// certificates are trusted instead of the system's.
pub fn client(ca_file: Option<&Path>, connect_timeout: Duration, timeout: Duration) -> Result<reqwest::Client, Error> {
    let builder = || {
        reqwest::Client::builder()
            .user_agent(concat!("ketenpoort/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(connect_timeout)
            .timeout(timeout)
            // Personal data goes where the configuration says, and nowhere else: no redirect, and no proxy that
            // happens to be in the environment.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            // Attempts are counted by those who make them.
            .retry(reqwest::retry::never())
    };
    if let Some(file) = ca_file {
        return builder().tls_certs_only(certificates(file)?).build().map_err(Error::Unbuildable);
    }
    builder().build().or_else(|_| {
        tracing::warn!("the system has no certificate authorities: without a ca_file nobody is trusted over https");
        builder().tls_certs_only([]).build().map_err(Error::Unbuildable)
    })
}

fn certificates(file: &Path) -> Result<Vec<reqwest::Certificate>, Error> {
    let pem = std::fs::read(file).map_err(|error| Error::Unreadable(file.to_owned(), error))?;
    match reqwest::Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(Error::NoCertificate(file.to_owned())),
    }
}
