//! The public keys of a partner: a JWK Set (RFC 7517) out of the directory, each key tried when it is read. Several
//! at once, each with its term, so that a partner can rotate them.

use super::{decode, encrypted};
use crate::validation::formats::holds_bsn;
use crate::validation::json;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// Members of a JWK that only its owner may have.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

#[derive(Debug, Default)]
pub struct Keys {
    verifying: Vec<(Term, Verifying)>,
    encrypting: Vec<(Term, encrypted::Key)>,
}

/// By which name and for how long.
#[derive(Debug)]
struct Term {
    kid: String,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Term {
    fn holds(&self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }
}

/// A key has one algorithm: what a header asks for cannot make another of it.
#[derive(Debug)]
pub struct Verifying {
    pub algorithm: Algorithm,
    pub key: ParsedPublicKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    EdDsa,
    Es256,
    Ps256,
}

impl Algorithm {
    /// Also the name that RFC 9864 gives to EdDSA with this curve.
    pub fn parse(name: &str) -> Option<Algorithm> {
        Some(match name {
            "EdDSA" | "Ed25519" => Algorithm::EdDsa,
            "ES256" => Algorithm::Es256,
            "PS256" => Algorithm::Ps256,
            _ => return None,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Es256 => "ES256",
            Algorithm::Ps256 => "PS256",
        }
    }
}

/// Why there is no key to verify with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    Unknown,
    OtherUse,
    NotNow,
}

impl Keys {
    pub fn verifying(&self, kid: &str, now: Timestamp) -> Result<&Verifying, NoKey> {
        match self.verifying.iter().find(|(term, _)| term.kid == kid) {
            Some((term, key)) if term.holds(now) => Ok(key),
            Some(_) => Err(NoKey::NotNow),
            None if self.encrypting.iter().any(|(term, _)| term.kid == kid) => Err(NoKey::OtherUse),
            None => Err(NoKey::Unknown),
        }
    }

    /// The first one that may be used now.
    pub fn encrypting(&self, now: Timestamp) -> Option<&encrypted::Key> {
        self.encrypting.iter().find(|(term, _)| term.holds(now)).map(|(_, key)| key)
    }

    /// May what was encrypted to this key still be sent?
    pub fn may_encrypt(&self, kid: &str, now: Timestamp) -> bool {
        self.encrypting.iter().any(|(term, _)| term.kid == kid && term.holds(now))
    }

    pub fn can_verify(&self) -> bool {
        !self.verifying.is_empty()
    }

    pub fn can_encrypt(&self) -> bool {
        !self.encrypting.is_empty()
    }

    /// Everything that is wrong, each with its place in the file.
    pub fn read(text: &str) -> Result<Keys, Vec<(String, String)>> {
        let one = |place: &str, hint: &str| vec![(place.to_owned(), hint.to_owned())];
        let set = json::parse(text.as_bytes()).map_err(|problem| vec![(problem.place, problem.hint)])?;
        let Some(set) = set.get("keys").and_then(Value::as_array).filter(|keys| !keys.is_empty()) else {
            return Err(one("", "must be a JWK Set: {\"keys\": [...]} with one key or more"));
        };
        let (mut keys, mut wrong) = (Keys::default(), Vec::new());
        for (index, key) in set.iter().enumerate() {
            if let Err(hint) = keys.add(key) {
                wrong.push((format!("keys/{index}"), hint));
            }
        }
        if wrong.is_empty() { Ok(keys) } else { Err(wrong) }
    }

    fn add(&mut self, key: &Value) -> Result<(), String> {
        if let Some(private) = PRIVATE.iter().find(|name| key.get(**name).is_some()) {
            return Err(format!(
                "holds `{private}`, which is private or secret: leave it with its owner, who needs a new key now"
            ));
        }
        let jwk = Jwk::deserialize(key).map_err(|error| error.to_string())?;
        let term = jwk.term()?;
        let known = self.verifying.iter().map(|(term, _)| term).chain(self.encrypting.iter().map(|(term, _)| term));
        if known.into_iter().any(|known| known.kid == term.kid) {
            return Err("another key of the set has this `kid`".to_owned());
        }
        match jwk.usage.as_deref() {
            Some("sig") => self.verifying.push((term, jwk.verifying()?)),
            Some("enc") => {
                let key = jwk.encrypting(&term.kid)?;
                self.encrypting.push((term, key));
            }
            _ => return Err("needs `use`: sig or enc".to_owned()),
        }
        Ok(())
    }
}

/// What of a JWK counts; a set may say more, as certificates.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    // As OpenID Federation 1.0 registered them for keys.
    nbf: Option<i64>,
    exp: Option<i64>,
    revoked: Option<Revoked>,
}

#[derive(Deserialize)]
struct Revoked {
    revoked_at: i64,
}

const CURVES: &str = "a signing key is OKP Ed25519 (EdDSA), EC P-256 (ES256) or RSA (PS256)";
const ENCRYPTING: &str = "an encryption key is EC P-256 or OKP X25519, for ECDH-ES or ECDH-ES+A256KW";

impl Jwk {
    fn term(&self) -> Result<Term, String> {
        let kid = self.kid.clone().unwrap_or_default();
        // It is named in receipts.
        if kid.is_empty() || kid.len() > 255 || !kid.bytes().all(|b| b.is_ascii_graphic()) || holds_bsn(&kid) {
            return Err("needs `kid`: 1 to 255 printable characters without spaces, and no personal number".to_owned());
        }
        let at = |seconds: Option<i64>| {
            let moment = seconds.map(Timestamp::from_second).transpose();
            moment.map_err(|_| "`nbf`, `exp` and `revoked_at` are seconds since 1970".to_owned())
        };
        let (from, expires, revoked) = (at(self.nbf)?, at(self.exp)?, at(self.revoked.as_ref().map(|r| r.revoked_at))?);
        if from.zip(expires).is_some_and(|(from, expires)| from >= expires) {
            return Err("`nbf` must be before `exp`".to_owned());
        }
        Ok(Term { kid, from, until: expires.into_iter().chain(revoked).min() })
    }

    fn verifying(&self) -> Result<Verifying, String> {
        let (algorithm, key) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, ParsedPublicKey::new(&ED25519, self.bytes(&["x"])?)),
            ("EC", Some("P-256")) => {
                (Algorithm::Es256, ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.uncompressed()?))
            }
            ("RSA", None) => {
                let (n, e) = (self.bytes(&["n"])?, self.bytes(&["e"])?);
                if !(256..=1024).contains(&n.len()) || n.first().is_none_or(|first| first.leading_zeros() > 0) {
                    return Err("an RSA key has 2048 to 8192 bits".to_owned());
                }
                let parsed = RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PSS_2048_8192_SHA256);
                (Algorithm::Ps256, parsed)
            }
            _ => return Err(CURVES.to_owned()),
        };
        if self.alg.as_deref().is_some_and(|alg| Algorithm::parse(alg) != Some(algorithm)) {
            return Err(format!("`alg` must be {} for this key: {CURVES}", algorithm.as_str()));
        }
        let key = key.map_err(|_| "is not a key: its members do not make a point or a modulus".to_owned())?;
        Ok(Verifying { algorithm, key })
    }

    fn encrypting(&self, kid: &str) -> Result<encrypted::Key, String> {
        let (curve, public) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => (encrypted::Curve::P256, self.uncompressed()?),
            ("OKP", Some("X25519")) => (encrypted::Curve::X25519, self.bytes(&["x"])?),
            _ => return Err(ENCRYPTING.to_owned()),
        };
        let way = match self.alg.as_deref() {
            None | Some("ECDH-ES") => encrypted::Way::Direct,
            Some("ECDH-ES+A256KW") => encrypted::Way::Wrapped,
            Some(_) => return Err(ENCRYPTING.to_owned()),
        };
        let key = encrypted::Key { kid: kid.to_owned(), curve, way, public };
        // What cannot be encrypted to is found now, not when something must go out.
        key.try_out().map_err(|_| "is not a key: its members do not make a point that can be used".to_owned())?;
        Ok(key)
    }

    fn uncompressed(&self) -> Result<Vec<u8>, String> {
        let point = self.bytes(&["x", "y"])?;
        if point.len() == 64 {
            Ok([&[4][..], &point].concat())
        } else {
            Err("`x` and `y` have 32 bytes each".to_owned())
        }
    }

    fn bytes(&self, members: &[&str]) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        for name in members {
            let text = match *name {
                "x" => &self.x,
                "y" => &self.y,
                "n" => &self.n,
                _ => &self.e,
            };
            let bytes = text.as_deref().and_then(decode);
            all.extend(bytes.ok_or_else(|| format!("needs `{name}` in base64url without padding"))?);
        }
        Ok(all)
    }
}
