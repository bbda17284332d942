//! The way out: the certificate that we show, and whose word we take on who the other is.

use super::files::Material;
use super::{Error, Files, Kept, VERSIONS, certificate, provider};
use crate::party::Oin;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::sync::Arc;

pub type Outgoing = Kept<Trust>;

#[derive(Debug)]
pub struct Trust {
    identity: Option<Arc<CertifiedKey>>,
    authorities: Arc<RootCertStore>,
    /// For whoever has the name that we asked for.
    anyone: Arc<ClientConfig>,
}

impl Outgoing {
    pub fn outgoing(usage: &'static str, files: Files) -> Result<Outgoing, Error> {
        Kept::read(usage, files, Trust::new)
    }
}

impl Trust {
    fn new(material: Material) -> Result<Trust, Error> {
        let authorities = Arc::new(material.authorities.unwrap_or_else(systems));
        let builder = builder()?.with_root_certificates(authorities.clone());
        let anyone = Arc::new(showing(builder, material.identity.as_ref()));
        Ok(Trust { identity: material.identity, authorities, anyone })
    }

    pub fn shows_a_certificate(&self) -> bool {
        self.identity.is_some()
    }

    pub fn config(&self) -> Arc<ClientConfig> {
        self.anyone.clone()
    }

    /// Besides all else the other's certificate must hold this OIN. It shares no session with any other configuration:
    /// in a session that goes on, nobody looks at certificates.
    pub fn config_for(&self, oin: &Oin) -> Result<ClientConfig, Error> {
        let unusable = |error: &dyn std::fmt::Display| Error::Unusable(error.to_string());
        let usual = WebPkiServerVerifier::builder_with_provider(self.authorities.clone(), provider()).build();
        let verifier = HolderOf { usual: usual.map_err(|error| unusable(&error))?, oin: oin.clone() };
        let builder = builder()?.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Ok(showing(builder, self.identity.as_ref()))
    }
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&VERSIONS);
    builder.map_err(|error| Error::Unusable(error.to_string()))
}

fn showing(
    builder: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    identity: Option<&Arc<CertifiedKey>>,
) -> ClientConfig {
    match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.clone()))),
        None => builder.with_no_client_auth(),
    }
}

fn systems() -> RootCertStore {
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if authorities.is_empty() {
        tracing::warn!("the system has no certificate authorities: without a ca_file nobody is trusted over TLS");
    }
    authorities
}

/// Whatever else must hold, and the OIN.
#[derive(Debug)]
struct HolderOf {
    usual: Arc<WebPkiServerVerifier>,
    oin: Oin,
}

impl ServerCertVerifier for HolderOf {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        if certificate::oin(end_entity).as_ref() == Some(&self.oin) {
            return Ok(verified);
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
