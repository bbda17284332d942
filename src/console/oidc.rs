//! OpenID Connect, as a relying party: code flow with PKCE. Talks to the identity provider and believes what it
//! signed, and nothing else. Keeps nothing between the two halves of a login but what the browser brings back.

use super::access::Role;
use super::session::random;
use crate::config::{self, Secret};
use crate::httpclient;
use crate::tls::Files;
use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use reqwest::{RequestBuilder, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// What an ID token may be signed with. Neither `none` nor a secret that the client knows too.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
/// How long a login may take at the provider.
pub const PATIENCE: Duration = Duration::from_secs(600);
/// Of the provider's clock against ours, in seconds.
const LEEWAY: u64 = 60;
const MOST_BYTES: usize = 512 * 1024;
/// What the provider says of itself is asked again after this.
const FRESH: Duration = Duration::from_secs(3600);
/// Keys are looked for anew at an unknown id, but not more often.
const AGAIN: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the identity provider: {0}")]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Client(#[from] httpclient::Error),
    #[error("the identity provider answered with status {0}")]
    Status(u16),
    #[error("the identity provider: {0}")]
    Wrong(&'static str),
    #[error("the ID token: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
    #[error("the login was not begun here, or too long ago")]
    Stale,
    #[error("the system has no random numbers")]
    Random,
}

/// Who came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    pub roles: Vec<Role>,
}

/// What the first half of a login gives the browser.
#[derive(Debug)]
pub struct Begun {
    pub url: String,
    /// To be brought back by the same browser.
    pub ticket: String,
}

pub struct Provider {
    issuer: String,
    client_id: String,
    client_secret: Option<Secret>,
    scope: String,
    name_claim: String,
    role_claim: String,
    roles: Vec<(Role, Vec<String>)>,
    redirect_uri: String,
    http: httpclient::Client,
    /// Under which state, nonce and verifier are made from a ticket; lives as long as this process.
    key: hmac::Key,
    known: Mutex<Option<Known>>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("issuer", &self.issuer).field("client_id", &self.client_id).finish()
    }
}

#[derive(Clone)]
struct Known {
    at: Instant,
    about: Arc<About>,
    keys: Arc<JwkSet>,
}

/// OpenID Connect Discovery 1.0.
#[derive(Debug, Deserialize)]
struct About {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    /// RFC 9207.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    nonce: String,
    aud: Value,
    #[serde(default)]
    azp: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// What is derived from a ticket; nobody without the key can.
struct Secrets {
    state: String,
    nonce: String,
    verifier: String,
}

impl Provider {
    pub fn new(settings: &config::Oidc, public_url: &str) -> Result<Provider, Error> {
        let role = |(name, values): (&String, &Vec<String>)| Some((Role::parse(name)?, values.clone()));
        let key = random().ok_or(Error::Random)?;
        let files = Files { ca: settings.ca_file.clone(), ..Files::default() };
        Ok(Provider {
            issuer: settings.issuer.clone(),
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
            scope: settings.scope.clone(),
            name_claim: settings.name_claim.clone(),
            role_claim: settings.role_claim.clone(),
            roles: settings.roles.iter().filter_map(role).collect(),
            redirect_uri: format!("{public_url}/console/oidc/terug"),
            http: httpclient::Client::new("console.oidc", files, CONNECT, TIMEOUT)?,
            key: hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()),
            known: Mutex::new(None),
        })
    }

    /// Where to send the browser.
    pub async fn begin(&self, now: u64) -> Result<Begun, Error> {
        let known = self.known().await?;
        let ticket = format!("{now}.{}", random().ok_or(Error::Random)?);
        let secrets = self.secrets(&ticket);
        let challenge = digest::digest(&digest::SHA256, secrets.verifier.as_bytes());
        let mut url = self.endpoint(&known.about.authorization_endpoint)?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", &self.scope)
            .append_pair("state", &secrets.state)
            .append_pair("nonce", &secrets.nonce)
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
            .append_pair("code_challenge_method", "S256");
        Ok(Begun { url: url.into(), ticket })
    }

    /// What came back: the ticket out of the browser's cookie, and the parameters of its question.
    pub async fn finish(
        &self,
        ticket: &str,
        answer: &(dyn Fn(&str) -> Option<String> + Sync),
        now: u64,
    ) -> Result<Identity, Error> {
        let begun: u64 = ticket.split('.').next().and_then(|begun| begun.parse().ok()).ok_or(Error::Stale)?;
        let secrets = self.secrets(ticket);
        let state = answer("state").ok_or(Error::Stale)?;
        let is_ours = constant_time::verify_slices_are_equal(state.as_bytes(), secrets.state.as_bytes()).is_ok();
        if !is_ours || now.saturating_sub(begun) > PATIENCE.as_secs() {
            return Err(Error::Stale);
        }
        let known = self.known().await?;
        match answer("iss") {
            Some(issuer) if issuer != self.issuer => return Err(Error::Wrong("another one answered")),
            None if known.about.authorization_response_iss_parameter_supported => {
                return Err(Error::Wrong("the answer does not say whose it is"));
            }
            _ => {}
        }
        if answer("error").is_some() {
            return Err(Error::Wrong("it refused the login"));
        }
        let code = answer("code").ok_or(Error::Wrong("it gave no code"))?;
        let tokens = self.redeem(&known.about, &code, &secrets.verifier).await?;
        let claims = self.verify(&tokens.id_token, &secrets.nonce).await?;
        Ok(self.identity(&claims))
    }

    async fn redeem(&self, about: &About, code: &str, verifier: &str) -> Result<Tokens, Error> {
        let request =
            self.http.to_anyone()?.post(self.endpoint(&about.token_endpoint)?).header("accept", "application/json");
        answered(self.with_code(request, about, code, verifier).send().await?).await
    }

    fn with_code(&self, request: RequestBuilder, about: &About, code: &str, verifier: &str) -> RequestBuilder {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("client_id", &self.client_id)
            .append_pair("code_verifier", verifier);
        let mut request = request.header("content-type", "application/x-www-form-urlencoded");
        if let Some(secret) = &self.client_secret {
            let knows = |method: &str| about.token_endpoint_auth_methods_supported.iter().any(|known| known == method);
            if knows("client_secret_post") && !knows("client_secret_basic") {
                form.append_pair("client_secret", secret.reveal());
            } else {
                // RFC 6749, 2.3.1: both are encoded before they are joined.
                let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                request = request.basic_auth(encoded(&self.client_id), Some(encoded(secret.reveal())));
            }
        }
        request.body(form.finish())
    }

    async fn verify(&self, token: &str, nonce: &str) -> Result<Claims, Error> {
        let header = decode_header(token)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Error::Wrong("its ID token is signed in a way that is not accepted"));
        }
        let jwk = self.key_of(header.kid.as_deref()).await?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.client_id]);
        validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
        let claims = decode::<Claims>(token, &DecodingKey::from_jwk(&jwk)?, &validation)?.claims;
        let is_for_many = claims.aud.as_array().is_some_and(|audiences| audiences.len() > 1);
        let is_for_us = claims.azp.as_ref().map_or(!is_for_many, |party| *party == self.client_id);
        if !is_for_us {
            return Err(Error::Wrong("its ID token is for another client"));
        }
        if constant_time::verify_slices_are_equal(claims.nonce.as_bytes(), nonce.as_bytes()).is_err() {
            return Err(Error::Wrong("its ID token belongs to another login"));
        }
        Ok(claims)
    }

    fn identity(&self, claims: &Claims) -> Identity {
        let name = claims.others.get(&self.name_claim).and_then(Value::as_str).filter(|name| !name.trim().is_empty());
        let name: String = name.unwrap_or(&claims.sub).chars().filter(|c| !c.is_control()).take(100).collect();
        let mut path = self.role_claim.split('.');
        let first = path.next().and_then(|name| claims.others.get(name));
        let found = match (claims.others.get(&self.role_claim), first) {
            // A name may have dots of its own, as that of a namespace.
            (Some(whole), _) => Some(whole),
            (None, first) => path.fold(first, |value, name| value?.get(name)),
        };
        let said: Vec<&str> = match found {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => vec![one],
            _ => Vec::new(),
        };
        let roles = self.roles.iter().filter(|(_, values)| values.iter().any(|value| said.contains(&value.as_str())));
        Identity { name, roles: roles.map(|(role, _)| *role).collect() }
    }

    async fn known(&self) -> Result<Known, Error> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.at.elapsed() < FRESH) {
            return Ok(known.clone());
        }
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let about: About = self.get(&url).await?;
        if about.issuer != self.issuer {
            return Err(Error::Wrong("it calls itself otherwise than `issuer`"));
        }
        let keys = self.get(self.endpoint(&about.jwks_uri)?.as_str()).await?;
        Ok(known.insert(Known { at: Instant::now(), about: Arc::new(about), keys: Arc::new(keys) }).clone())
    }

    async fn key_of(&self, id: Option<&str>) -> Result<Jwk, Error> {
        let find = |keys: &JwkSet| match (id, keys.keys.as_slice()) {
            (Some(id), _) => keys.find(id).cloned(),
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
        };
        let known = self.known().await?;
        if let Some(key) = find(&known.keys) {
            return Ok(key);
        }
        if known.at.elapsed() >= AGAIN {
            *self.known.lock().await = None;
            if let Some(key) = find(&self.known().await?.keys) {
                return Ok(key);
            }
        }
        Err(Error::Wrong("its ID token is signed with a key that it does not name"))
    }

    /// An address that the provider says is its own: never in the clear where it is not itself.
    fn endpoint(&self, url: &str) -> Result<Url, Error> {
        let url = Url::parse(url).map_err(|_| Error::Wrong("it names an address that is none"))?;
        let in_the_clear = self.issuer.starts_with("http://");
        if url.scheme() == "https" || (in_the_clear && url.scheme() == "http") {
            return Ok(url);
        }
        Err(Error::Wrong("it names an address without TLS"))
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, Error> {
        answered(self.http.to_anyone()?.get(url).header("accept", "application/json").send().await?).await
    }

    fn secrets(&self, ticket: &str) -> Secrets {
        let derived = |what: &str| {
            let tag = hmac::sign(&self.key, format!("{what}.{ticket}").as_bytes());
            URL_SAFE_NO_PAD.encode(tag.as_ref())
        };
        Secrets { state: derived("state"), nonce: derived("nonce"), verifier: derived("verifier") }
    }
}

async fn answered<T: DeserializeOwned>(mut response: reqwest::Response) -> Result<T, Error> {
    if !response.status().is_success() {
        return Err(Error::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST_BYTES {
            return Err(Error::Wrong("it says too much"));
        }
    }
    serde_json::from_slice(&body).map_err(|_| Error::Wrong("it answers with something else than was asked"))
}
