//! Certificates and keys in PEM files, read as a whole: what they hold is good together, or it is an error that
//! says which file.

use super::certificate;
use super::kept::Expiry;
use super::provider;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a configuration names. `cert` and `key` come together.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Our own certificate, and those between it and the authority.
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Trusted instead of the system's authorities.
    pub ca: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} {1}: {2}")]
    Unreadable(&'static str, PathBuf, io::Error),
    #[error("{0} {1}: holds no certificate in PEM")]
    NoCertificate(&'static str, PathBuf),
    #[error("key_file {0}: holds no private key in PEM")]
    NoKey(PathBuf),
    #[error("cert_file {0}: {1}, with its key_file")]
    Identity(PathBuf, rustls::Error),
    #[error("ca_file {0}: {1}")]
    Authority(PathBuf, rustls::Error),
    #[error("a cert_file and a key_file come together")]
    Half,
    #[error("{0}")]
    Unusable(String),
}

/// The bytes of the files, to see when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    cert: Vec<u8>,
    key: Vec<u8>,
    ca: Vec<u8>,
}

/// What they mean.
pub(super) struct Material {
    pub identity: Option<Arc<CertifiedKey>>,
    /// Those of the file, where there is one.
    pub authorities: Option<RootCertStore>,
    pub expiries: Vec<Expiry>,
}

impl Files {
    pub(super) fn has_none(&self) -> bool {
        self.cert.is_none() && self.key.is_none() && self.ca.is_none()
    }

    /// Are they good, as they are now?
    pub fn check(&self) -> Result<(), Error> {
        self.understand(&self.read()?).map(drop)
    }

    pub(super) fn read(&self) -> Result<Content, Error> {
        Ok(Content {
            cert: read("cert_file", &self.cert)?,
            key: read("key_file", &self.key)?,
            ca: read("ca_file", &self.ca)?,
        })
    }

    pub(super) fn understand(&self, content: &Content) -> Result<Material, Error> {
        let mut expiries = Vec::new();
        let identity = match (&self.cert, &self.key) {
            (None, None) => None,
            (Some(cert), Some(key)) => {
                let chain = certificates("cert_file", cert, &content.cert)?;
                expiries.extend(chain.iter().filter_map(|der| certificate::not_after(der)).min().map(Expiry::own));
                let key = PrivateKeyDer::from_pem_slice(&content.key).map_err(|_| Error::NoKey(key.clone()))?;
                let identity = CertifiedKey::from_der(chain, key, &provider());
                Some(Arc::new(identity.map_err(|error| Error::Identity(cert.clone(), error))?))
            }
            _ => return Err(Error::Half),
        };
        let authorities = match &self.ca {
            None => None,
            Some(path) => {
                let mut authorities = RootCertStore::empty();
                for der in certificates("ca_file", path, &content.ca)? {
                    expiries.extend(certificate::not_after(&der).map(Expiry::authority));
                    authorities.add(der).map_err(|error| Error::Authority(path.clone(), error))?;
                }
                Some(authorities)
            }
        };
        Ok(Material { identity, authorities, expiries: Expiry::first_of_each(expiries) })
    }
}

fn read(key: &'static str, path: &Option<PathBuf>) -> Result<Vec<u8>, Error> {
    let Some(path) = path else { return Ok(Vec::new()) };
    std::fs::read(path).map_err(|error| Error::Unreadable(key, path.clone(), error))
}

fn certificates(key: &'static str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| Error::NoCertificate(key, path.to_owned()))
}
