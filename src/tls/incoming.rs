//! The way in: the certificate of our own HTTP face, and who comes with one of his own.

use super::files::Material;
use super::{Error, Files, Kept, VERSIONS, certificate, provider};
use crate::party::Oin;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::{ServerConfig, ServerConnection};
use std::sync::Arc;

pub type Incoming = Kept<Arc<ServerConfig>>;

/// Who is at the other end, as far as his certificate tells.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    pub oin: Option<Oin>,
}

impl Incoming {
    /// `ca` are the authorities of those who come with a certificate; who has none gets in as well, and may be
    /// told less.
    pub fn incoming(usage: &'static str, files: Files) -> Result<Incoming, Error> {
        Kept::read(usage, files, config)
    }
}

impl Peer {
    pub fn of(connection: &ServerConnection) -> Peer {
        let own = connection.peer_certificates().and_then(<[_]>::first);
        Peer { oin: own.and_then(|der| certificate::oin(der)) }
    }
}

fn config(material: Material) -> Result<Arc<ServerConfig>, Error> {
    let unusable = |error: &dyn std::fmt::Display| Error::Unusable(error.to_string());
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&VERSIONS);
    let builder = builder.map_err(|error| unusable(&error))?;
    let builder = match material.authorities {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider());
            let verifier = verifier.allow_unauthenticated().build().map_err(|error| unusable(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let identity = material.identity.ok_or(Error::Half)?;
    Ok(Arc::new(builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))))
}
