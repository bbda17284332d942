//! The signature of an event: a detached JWS (RFC 7515 appendix F) over its data, whose protected header names its
//! attributes. What a header brings along in keys or addresses of keys is not looked at.

use super::keys::{Algorithm, Keys, NoKey};
use super::{EVENT, Event, UNSIGNED, decode, encode};
use crate::code::Code;
use crate::outcome::Problem;
use crate::receipt::Signature;
use crate::receipt::keys::Signer;
use crate::validation::{json, schema};
use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// As intake bounds every header.
const MAX_LENGTH: usize = 8 * 1024;
/// What our own signatures call themselves, so that none passes for a receipt.
const TYP: &str = "cloudevent+jws";
/// The one thing in `crit` that is understood (RFC 7797).
const B64: &str = "b64";

/// Did one of these keys sign this data, as that of an event with these attributes? They are as in binary mode, all
/// of them text. Says whose signature it is, or what is wrong.
pub fn verify(
    jws: &str,
    data: &[u8],
    attributes: &BTreeMap<String, String>,
    keys: &Keys,
    now: Timestamp,
) -> Result<Signature, Vec<Problem>> {
    let signed = Parts::of(jws)?;
    let key = keys.verifying(&signed.header.kid, now).map_err(|none| {
        wrong(match none {
            NoKey::Unknown => Code::SignatureKeyUnknown,
            NoKey::OtherUse => Code::SignatureKeyUse,
            NoKey::NotNow => Code::SignatureKeyNotNow,
        })
    })?;
    if key.algorithm != signed.header.algorithm {
        return Err(wrong(Code::SignatureAlgorithm));
    }
    let fits = key.key.verify_sig(&signed.input(data), &signed.signature);
    fits.map_err(|_| wrong(Code::SignatureWrong))?;
    let differing = differing(&signed.header.event, attributes);
    if !differing.is_empty() {
        return Err(differing);
    }
    Ok(Signature { kid: signed.header.kid, alg: key.algorithm.as_str().to_owned() })
}

fn wrong(code: Code) -> Vec<Problem> {
    vec![Problem::new(code, super::SIGNATURE, code.hint())]
}

fn malformed(hint: &str) -> Vec<Problem> {
    vec![Problem::new(Code::SignatureMalformed, super::SIGNATURE, hint)]
}

/// What was signed for another event, and what is in this one without having been signed.
fn differing(signed: &BTreeMap<String, String>, attributes: &BTreeMap<String, String>) -> Vec<Problem> {
    let counts = |name: &&String| !UNSIGNED.contains(&name.as_str());
    let names: BTreeSet<&String> = signed.keys().chain(attributes.keys()).filter(counts).collect();
    let differing = names.into_iter().filter(|name| signed.get(*name) != attributes.get(*name));
    differing
        .map(|name| {
            let hint = match (signed.get(name), attributes.get(name)) {
                (Some(_), Some(_)) => "is another than the one that was signed",
                (Some(_), None) => "was signed, but the event has none",
                _ => "the event has it, but it was not signed",
            };
            Problem::new(Code::SignedAttributesDiffer, schema::safe_name(name), hint)
        })
        .collect()
}

struct Parts<'a> {
    encoded: &'a str,
    header: Header,
    signature: Vec<u8>,
}

struct Header {
    algorithm: Algorithm,
    kid: String,
    /// Whether the data is signed in base64 (RFC 7797).
    base64: bool,
    event: BTreeMap<String, String>,
}

impl Parts<'_> {
    fn of(jws: &str) -> Result<Parts<'_>, Vec<Problem>> {
        if jws.len() > MAX_LENGTH {
            return Err(malformed("at most 8 KiB"));
        }
        let parts: Vec<&str> = jws.splitn(4, '.').collect();
        let [encoded, payload, signature] = parts[..] else {
            return Err(malformed(Code::SignatureMalformed.hint()));
        };
        if !payload.is_empty() {
            return Err(malformed("the payload is the data of the event: leave it out of the JWS"));
        }
        let (Some(header), Some(signature)) = (decode(encoded), decode(signature)) else {
            return Err(malformed("header and signature are base64url without padding"));
        };
        Ok(Parts { encoded, header: Header::read(&header)?, signature })
    }

    fn input(&self, data: &[u8]) -> Vec<u8> {
        signing_input(self.encoded, data, self.header.base64)
    }
}

fn signing_input(header: &str, data: &[u8], base64: bool) -> Vec<u8> {
    let mut input = format!("{header}.").into_bytes();
    if base64 {
        input.extend_from_slice(encode(data).as_bytes());
    } else {
        input.extend_from_slice(data);
    }
    input
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Header, Vec<Problem>> {
        let members = json::top_level(bytes).map_err(|_| malformed("the header is one JSON object, no key twice"))?;
        let member = |name: &str| members.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref());
        let text = |name: &str| member(name).and_then(|value| serde_json::from_str::<String>(value.get()).ok());
        critical(member("crit"), &|name| member(name).is_some())?;
        let alg = text("alg").ok_or_else(|| malformed("the header needs `alg`"))?;
        let algorithm = Algorithm::parse(&alg).ok_or_else(|| wrong(Code::SignatureAlgorithm))?;
        let kid = text("kid").ok_or_else(|| malformed("the header needs `kid`"))?;
        let base64 = match (member(B64), member("crit")) {
            (None, _) => true,
            (Some(_), None) => return Err(malformed("a header with `b64` names it in `crit`")),
            (Some(value), Some(_)) => {
                serde_json::from_str(value.get()).map_err(|_| malformed("`b64` is true or false"))?
            }
        };
        let hint = "the header needs `ce`: an object with the attributes of the event, all of them text";
        let event = member(EVENT).ok_or_else(|| malformed(hint))?;
        let event = json::top_level(event.get().as_bytes()).map_err(|_| malformed(hint))?;
        let event = event.into_iter().map(|(name, value)| Some((name, serde_json::from_str(value.get()).ok()?)));
        let event = event.collect::<Option<_>>().ok_or_else(|| malformed(hint))?;
        Ok(Header { algorithm, kid, base64, event })
    }
}

/// RFC 7515 section 4.1.11: what is said to be critical must be there, once, and understood.
fn critical(crit: Option<&RawValue>, is_there: &dyn Fn(&str) -> bool) -> Result<(), Vec<Problem>> {
    let Some(crit) = crit else { return Ok(()) };
    let hint = "`crit` is a list of names that stand in the header, each of them once";
    let names: Vec<String> = serde_json::from_str(crit.get()).map_err(|_| malformed(hint))?;
    let once = names.iter().collect::<BTreeSet<_>>().len() == names.len();
    if names.is_empty() || !once || !names.iter().all(|name| is_there(name)) {
        return Err(malformed(hint));
    }
    if names.iter().any(|name| name != B64) { Err(wrong(Code::SignatureCritical)) } else { Ok(()) }
}

/// For an attribute of the event: what it goes with, the data, is not in it.
pub fn sign(signer: &Signer, event: &Event<'_>, audience: &str, data: &[u8]) -> String {
    let header = header(signer, event, audience, None);
    let signature = signer.sign_bytes(&signing_input(&header, data, true));
    format!("{header}..{signature}")
}

/// The same as a whole, with its data in it: for what is then encrypted.
pub fn sign_whole(signer: &Signer, event: &Event<'_>, audience: &str, data: &[u8], content_type: &str) -> String {
    let header = header(signer, event, audience, Some(content_type));
    let input = signing_input(&header, data, true);
    let signature = signer.sign_bytes(&input);
    format!("{}.{signature}", String::from_utf8_lossy(&input))
}

/// `aud`, so that who receives it cannot pass it on as something that we sent to another.
fn header(signer: &Signer, event: &Event<'_>, audience: &str, content_type: Option<&str>) -> String {
    let mut header = json!({
        "alg": Algorithm::EdDsa.as_str(), "kid": signer.kid(), "typ": TYP, "aud": audience, EVENT: event.signed(),
    });
    if let (Some(content_type), Value::Object(header)) = (content_type, &mut header) {
        header.insert("cty".to_owned(), content_type.into());
    }
    encode(header.to_string())
}

#[cfg(test)]
mod tests;
