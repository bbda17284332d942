use super::*;
use crate::jose::keys::Keys;
use aws_lc_rs::agreement::PrivateKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

fn bytes(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// RFC 7518 appendix C.
#[test]
fn a_key_is_agreed_on_as_in_the_example_of_the_standard() {
    let alice = bytes("0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo");
    let alice = PrivateKey::from_private_key(&ECDH_P256, &alice).unwrap();
    let [x, y] =
        ["weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ", "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"].map(bytes);
    let bob = [&[4][..], &x, &y].concat();
    let secret = agreed(&alice, &bob, |secret| Ok(secret.to_vec())).unwrap();
    assert_eq!(secret[..4], [158, 86, 217, 29]);
    assert_eq!(encode(derived(&secret, "A128GCM", b"Alice", b"Bob", 128)), "VqqN6vgjbSBcIijNcacQGg");
    let ours = Curve::P256.jwk(alice.compute_public_key().unwrap().as_ref());
    assert_eq!(ours["x"], "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0");
    assert_eq!(ours["y"], "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps");
}

/// A recipient: the gateway itself can open nothing.
struct Owner {
    private: PrivateKey,
    key: Key,
}

impl Owner {
    fn new(curve: Curve, way: Way) -> Owner {
        let private = PrivateKey::generate(curve.algorithm()).unwrap();
        let public = private.compute_public_key().unwrap().as_ref().to_vec();
        Owner { private, key: Key { kid: "k-1".to_owned(), curve, way, public } }
    }

    fn open(&self, jwe: &str) -> Option<(Value, Vec<u8>)> {
        let parts: Vec<&str> = jwe.split('.').collect();
        let header: Value = serde_json::from_slice(&bytes(parts[0])).unwrap();
        let member = |name: &str| header["epk"][name].as_str().map(bytes).unwrap_or_default();
        let other = match self.key.curve {
            Curve::P256 => [&[4][..], &member("x"), &member("y")].concat(),
            Curve::X25519 => member("x"),
        };
        let key = agreed(&self.private, &other, |secret| match self.key.way {
            Way::Direct => Ok(derived(secret, ENC, b"", b"", 256)),
            Way::Wrapped => {
                let kek = derived(secret, "ECDH-ES+A256KW", b"", b"", 256);
                let mut key = vec![0; 32];
                AesKek::new(&AES_256, &kek)?.unwrap(&bytes(parts[1]), &mut key)?;
                Ok(key)
            }
        });
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key.ok()?).unwrap());
        let mut text = [bytes(parts[3]), bytes(parts[4])].concat();
        let nonce = Nonce::try_assume_unique_for_key(&bytes(parts[2])).unwrap();
        let plain = key.open_in_place(nonce, Aad::from(parts[0]), &mut text).ok()?.to_vec();
        Some((header, plain))
    }
}

const ALL: [(Curve, Way); 4] = [
    (Curve::P256, Way::Direct),
    (Curve::P256, Way::Wrapped),
    (Curve::X25519, Way::Direct),
    (Curve::X25519, Way::Wrapped),
];

#[test]
fn only_the_owner_opens_it_and_the_event_is_bound_to_it() {
    for (curve, way) in ALL {
        let (owner, other) = (Owner::new(curve, way), Owner::new(curve, way));
        let attributes = [("id", "e-1".to_owned()), ("signature", "x".to_owned()), ("traceparent", "y".to_owned())];
        let event = Event { attributes: &attributes, content_type: "application/jose" };
        let content = Personal::new(b"persoonsgegeven".to_vec());
        let jwe = owner.key.encrypt(&content, "application/json", &event).unwrap();
        assert!(!jwe.contains("persoonsgegeven"));
        let (header, plain) = owner.open(&jwe).unwrap();
        assert_eq!(plain, b"persoonsgegeven");
        assert_eq!(header["ce"], json!({ "id": "e-1", "datacontenttype": "application/jose" }));
        assert_eq!((&header["alg"], &header["enc"]), (&way.algorithm().into(), &ENC.into()));
        assert_eq!((&header["cty"], &header["kid"]), (&"application/json".into(), &"k-1".into()));
        assert_eq!(kid_of(jwe.as_bytes()).as_deref(), Some("k-1"));
        assert_eq!(jwe.split('.').nth(1).unwrap().is_empty(), matches!(way, Way::Direct));

        assert!(other.open(&jwe).is_none(), "another's key opens it");
        let changed = header.to_string().replace("e-1", "e-2");
        let (_, rest) = jwe.split_once('.').unwrap();
        assert!(owner.open(&format!("{}.{rest}", encode(changed))).is_none(), "under another header");
        let again = owner.key.encrypt(&content, "application/json", &event).unwrap();
        assert!(jwe.split('.').zip(again.split('.')).all(|(a, b)| a != b || a.is_empty()), "nothing is used twice");
    }
}

#[test]
fn the_first_key_that_is_valid_is_the_one() {
    let key = |kid: &str, from: i64, until: i64| json!({ "kty": "OKP", "crv": "X25519", "x": encode([9; 32]), "use": "enc", "kid": kid, "nbf": from, "exp": until });
    let keys = json!({ "keys": [key("a", 10, 20), key("b", 15, 40), key("c", 30, 40)] }).to_string();
    let keys = Keys::read(&keys).unwrap();
    let at = |second| jiff::Timestamp::from_second(second).unwrap();
    for (second, expected) in
        [(9, None), (10, Some("a")), (19, Some("a")), (20, Some("b")), (39, Some("b")), (40, None)]
    {
        assert_eq!(keys.encrypting(at(second)).map(|key| key.kid.as_str()), expected, "{second}");
    }
    assert!(keys.may_encrypt("b", at(15)) && !keys.may_encrypt("a", at(20)) && !keys.may_encrypt("x", at(15)));
}

#[test]
fn of_what_is_no_jwe_there_is_no_key() {
    for text in ["", ".", "e30", "e30.a", "{}", "W10.a", "eyJraWQiOjF9.a", "\u{e9}.a"] {
        assert_eq!(kid_of(text.as_bytes()), None, "{text}");
    }
}
