//! An authority of one's own, and the certificates that it signs.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What a certificate is to hold. As it stands it is good.
pub struct Wanted<'a> {
    pub name: &'a str,
    pub oin: Option<&'a str>,
    pub host: &'a str,
    /// Year, month and day.
    pub from: (i32, u8, u8),
    pub until: (i32, u8, u8),
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Wanted { name: "test", oin: None, host: "localhost", from: (2020, 1, 1), until: (2099, 1, 1) }
    }
}

pub struct Issued {
    pub certificate: String,
    pub key: String,
    pub der: CertificateDer<'static>,
    /// By which the other side tells one certificate from another.
    pub serial: u64,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        Authority { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    pub fn issue(&self, wanted: &Wanted<'_>) -> Issued {
        static SERIAL: AtomicU64 = AtomicU64::new(1001);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let mut params = CertificateParams::new([wanted.host.to_owned()]).unwrap();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CountryName, "NL");
        if let Some(oin) = wanted.oin {
            subject.push(DnType::CustomDnType(vec![2, 5, 4, 5]), DnValue::PrintableString(oin.try_into().unwrap()));
        }
        subject.push(DnType::CommonName, wanted.name);
        params.distinguished_name = subject;
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = date_time_ymd(wanted.from.0, wanted.from.1, wanted.from.2);
        params.not_after = date_time_ymd(wanted.until.0, wanted.until.1, wanted.until.2);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        Issued { certificate: signed.pem(), key: key.serialize_pem(), der: signed.der().clone(), serial }
    }
}

impl Issued {
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        use rustls::pki_types::pem::PemObject;
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

/// The files that a configuration names.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `cert.pem` and `key.pem`, as somebody puts new ones in their place.
    pub fn put(&self, issued: &Issued) {
        self.write("cert.pem", &issued.certificate);
        self.write("key.pem", &issued.key);
    }

    /// The keys of a section that name what is in here.
    pub fn settings(&self, ca: bool, own: bool) -> String {
        let key = |name: &str, file: &str| format!("{name} = {:?}\n", self.path(file));
        let ca = if ca { key("ca_file", "ca.pem") } else { String::new() };
        let own = if own { key("cert_file", "cert.pem") + &key("key_file", "key.pem") } else { String::new() };
        ca + &own
    }
}

/// `localhost` with the port of an address.
pub fn localhost(address: std::net::SocketAddr) -> String {
    format!("localhost:{}", address.port())
}
