//! The signature of an event, and the header of what is encrypted: only the very text that was signed verifies, with
//! whatever a header says, and of a text that is none of both no key comes.

use super::{assert_repeats_nothing, now};
use ketenpoort::jose::keys::Keys;
use ketenpoort::jose::{Event, detached, encrypted};
use ketenpoort::receipt::keys::{KeySet, Signer};
use std::collections::BTreeMap;
use std::sync::OnceLock;

const DATA: &[u8] = b"<Verlof><Bsn>999993653</Bsn></Verlof>";
const AUDIENCE: &str = "urn:nld:oin:00000099000900000003";

struct Signed {
    jws: String,
    attributes: BTreeMap<String, String>,
    keys: Keys,
    kid: String,
}

fn signed() -> &'static Signed {
    static SIGNED: OnceLock<Signed> = OnceLock::new();
    SIGNED.get_or_init(|| {
        let file = std::env::temp_dir().join(format!("ketenpoort-fuzz-signature-{}.pem", std::process::id()));
        Signer::generate(&file).expect("a key can be made");
        let signer = Signer::read(&file).expect("the key that was made");
        std::fs::remove_file(&file).expect("the key that was made");
        let set = serde_json::to_string(&KeySet { keys: vec![signer.key()] }).expect("a key set is JSON");
        let attributes = [("id", "m-1".to_owned()), ("type", "nl.ketenpoort.x.v1".to_owned())];
        let event = Event { attributes: &attributes, content_type: "application/xml" };
        let jws = detached::sign(&signer, &event, AUDIENCE, DATA);
        let mut seen: BTreeMap<_, _> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        seen.insert("datacontenttype".to_owned(), "application/xml".to_owned());
        let keys = Keys::read(&set).expect("what we publish can be read");
        Signed { jws, attributes: seen, keys, kid: signer.kid().to_owned() }
    })
}

pub fn seeds() -> Vec<Vec<u8>> {
    let Signed { jws, kid, .. } = signed();
    let encode = |text: &str| base64_url(text.as_bytes());
    let header =
        |rest: &str| format!("{}..AAAA", encode(&format!("{{\"kid\":\"{kid}\",\"ce\":{{\"id\":\"m-1\"}}{rest}}}")));
    let jwe = format!("{}.a.b.c.d", encode("{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"kid\":\"k\",\"epk\":{}}"));
    let more = [
        header(",\"alg\":\"none\""),
        header(",\"alg\":\"HS256\""),
        header(",\"alg\":\"EdDSA\",\"b64\":false,\"crit\":[\"b64\"]"),
        header(",\"alg\":\"EdDSA\",\"crit\":[\"exp\"],\"exp\":1"),
        jwe,
        "..".to_owned(),
    ];
    let texts = more.into_iter().map(String::into_bytes);
    texts.chain([jws.clone().into_bytes(), vec![0, 0, 1], vec![1, 0, 255]]).collect()
}

/// Not a dependency of the fuzzer for the sake of a seed.
fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let group = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let letters = (0..=chunk.len()).map(move |at| ALPHABET[(bits >> (18 - 6 * at) & 63) as usize] as char);
        letters.collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

/// The bytes as they are, and the good signature with the changes that they say, as for a receipt.
pub fn check(data: &[u8]) {
    let Signed { jws, attributes, keys, kid } = signed();
    let mut changed = jws.clone().into_bytes();
    for change in data.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % changed.len();
        changed[place] ^= change[2];
    }
    for bytes in [data, &changed] {
        let text = String::from_utf8_lossy(bytes);
        match detached::verify(&text, DATA, attributes, keys, now()) {
            Ok(signature) => {
                assert_eq!(text, *jws, "a signature that was changed verifies");
                assert_eq!((&signature.kid, signature.alg.as_str()), (kid, "EdDSA"));
            }
            Err(problems) => {
                assert_ne!(text, *jws);
                assert!(!problems.is_empty());
                for problem in problems {
                    assert!(problem.code.as_str() >= "KP-1012" && problem.code.as_str() <= "KP-1019");
                    assert_repeats_nothing(&problem, DATA);
                }
            }
        }
        // Whoever it names, it cannot be one of ours: nobody but a recipient has keys for that.
        if let Some(named) = encrypted::kid_of(bytes) {
            assert!(!keys.may_encrypt(&named, now()));
        }
        let _ = Keys::read(&text);
    }
}
