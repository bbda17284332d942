//! What counts in a certificate besides who signed it: the OIN of its holder, and until when it is valid.

use crate::party::Oin;
use jiff::Timestamp;
use x509_parser::oid_registry::OID_X509_SERIALNUMBER;
use x509_parser::parse_x509_certificate;

/// The OIN in the subject's serialNumber, as PKIoverheid has it. None where it has no such attribute, or more than one:
/// whoever reads another one than we do would see another party.
pub fn oin(der: &[u8]) -> Option<Oin> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let mut numbers = certificate.subject().iter_by_oid(&OID_X509_SERIALNUMBER);
    let (Some(number), None) = (numbers.next(), numbers.next()) else { return None };
    Oin::parse(number.as_str().ok()?)
}

pub fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair};

    fn serial_number() -> DnType {
        DnType::CustomDnType(vec![2, 5, 4, 5])
    }

    fn certificate(attributes: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        attributes.iter().for_each(|(kind, value)| params.distinguished_name.push(kind.clone(), *value));
        // An OIN elsewhere counts for nothing.
        let elsewhere = CustomExtension::from_oid_content(&[1, 2, 3], b"00000099000000000001".to_vec());
        params.custom_extensions = vec![elsewhere];
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_oin_is_all_of_the_subjects_serial_number() {
        let own = "00000099000000000363";
        for (attributes, expected) in [
            (vec![(DnType::CommonName, "gemeente.example"), (serial_number(), own)], Some(own)),
            (vec![(DnType::CommonName, own)], None),
            (vec![(serial_number(), "34100000")], None),
            (vec![(serial_number(), "000000990000000003630")], None),
            (vec![(serial_number(), " 00000099000000000363")], None),
            (vec![], None),
        ] {
            let found = oin(&certificate(&attributes));
            assert_eq!(found.as_ref().map(Oin::as_str), expected, "{attributes:?}");
        }
        assert_eq!(oin(b"no certificate"), None);
    }
}
