use super::*;
use crate::receipt::keys::KeySet;

const AUDIENCE: &str = "urn:nld:oin:00000099000900000004";

/// What we sign, whoever has our published keys verifies, by the very rules that partners are held to.
#[test]
fn our_own_signatures_are_as_we_ask_them_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    Signer::generate(&file).unwrap();
    let signer = Signer::read(&file).unwrap();
    let published = serde_json::to_string(&KeySet { keys: vec![signer.key()] }).unwrap();
    let keys = Keys::read(&published).unwrap();
    let attributes = [("id", "e-1".to_owned()), ("type", "t".to_owned())];
    let event = Event { attributes: &attributes, content_type: "application/json" };
    let now = "2026-11-24T10:00:00Z".parse().unwrap();

    let jws = sign(&signer, &event, AUDIENCE, b"{}");
    let mut seen: BTreeMap<String, String> =
        [("id", "e-1"), ("type", "t"), ("datacontenttype", "application/json"), ("traceparent", "x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let signature = verify(&jws, b"{}", &seen, &keys, now).unwrap();
    assert_eq!((signature.kid.as_str(), signature.alg.as_str()), (signer.kid(), "EdDSA"));
    let header: Value = serde_json::from_slice(&decode(jws.split('.').next().unwrap()).unwrap()).unwrap();
    assert_eq!((&header["aud"], &header["typ"]), (&AUDIENCE.into(), &TYP.into()));
    seen.insert("id".to_owned(), "e-2".to_owned());
    assert_eq!(verify(&jws, b"{}", &seen, &keys, now).unwrap_err()[0].code, Code::SignedAttributesDiffer);

    let whole = sign_whole(&signer, &event, AUDIENCE, b"{}", "application/xml");
    let parts: Vec<&str> = whole.split('.').collect();
    assert_eq!(decode(parts[1]).unwrap(), b"{}");
    let header: Value = serde_json::from_slice(&decode(parts[0]).unwrap()).unwrap();
    assert_eq!(
        (&header["cty"], &header["ce"]["datacontenttype"]),
        (&"application/xml".into(), &"application/json".into())
    );
    seen.insert("id".to_owned(), "e-1".to_owned());
    assert!(verify(&format!("{}..{}", parts[0], parts[2]), b"{}", &seen, &keys, now).is_ok());
    assert!(crate::receipt::keys::verify(&whole, &KeySet { keys: vec![signer.key()] }).is_err(), "no receipt");
}
