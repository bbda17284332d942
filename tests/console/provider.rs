//! A small identity provider: one person, whom it never asks for a password, and every way of answering wrongly.

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

pub const CLIENT: &str = "ketenpoort";
pub const SECRET: &str = "geheim: a b&c";

/// How it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    Nothing,
    OtherIssuer,
    OtherAudience,
    SecondAudience,
    OtherNonce,
    Expired,
    /// Signed with a key that it does not publish.
    OtherKey,
    /// Signed with the secret of the client.
    Secret,
    Unsigned,
    NoRole,
    /// Says that another provider answers.
    OtherAnswer,
}

pub struct Provider {
    pub issuer: String,
    state: Arc<Inner>,
}

struct Inner {
    issuer: String,
    keys: Vec<(Algorithm, EncodingKey)>,
    other: EncodingKey,
    now: Mutex<Now>,
}

struct Now {
    lie: Lie,
    /// Which of the keys signs.
    key: usize,
    codes: HashMap<String, BTreeMap<String, String>>,
    /// Codes that were refused, as they did not come with what they were given for.
    refused: usize,
}

fn key(kind: &'static rcgen::SignatureAlgorithm) -> EncodingKey {
    let pem = rcgen::KeyPair::generate_for(kind).unwrap().serialize_pem();
    match kind == &rcgen::PKCS_RSA_SHA256 {
        true => EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
        false => EncodingKey::from_ec_pem(pem.as_bytes()).unwrap(),
    }
}

impl Provider {
    pub async fn start() -> Provider {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Another site than the gateway, for a browser.
        let issuer = format!("http://localhost:{}/realms/keten", listener.local_addr().unwrap().port());
        let keys = vec![
            (Algorithm::ES256, key(&rcgen::PKCS_ECDSA_P256_SHA256)),
            (Algorithm::RS256, key(&rcgen::PKCS_RSA_SHA256)),
        ];
        let other = key(&rcgen::PKCS_ECDSA_P256_SHA256);
        let now = Mutex::new(Now { lie: Lie::Nothing, key: 0, codes: HashMap::new(), refused: 0 });
        let state = Arc::new(Inner { issuer: issuer.clone(), keys, other, now });
        let router = Router::new()
            .route("/realms/keten/.well-known/openid-configuration", get(about))
            .route("/realms/keten/jwks", get(keys_of))
            .route("/realms/keten/authorize", get(authorize))
            .route("/realms/keten/go", get(go))
            .route("/realms/keten/token", post(token))
            .with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Provider { issuer, state }
    }

    pub fn lie(&self, lie: Lie, key: usize) {
        let mut now = self.state.now.lock().unwrap();
        (now.lie, now.key) = (lie, key);
    }

    pub fn refused(&self) -> usize {
        self.state.now.lock().unwrap().refused
    }
}

async fn about(State(state): State<Arc<Inner>>) -> Json<Value> {
    let issuer = &state.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "authorization_response_iss_parameter_supported": true,
        "code_challenge_methods_supported": ["S256"],
    }))
}

async fn keys_of(State(state): State<Arc<Inner>>) -> Json<Value> {
    let jwk = |(at, (algorithm, key)): (usize, &(Algorithm, EncodingKey))| {
        let mut jwk = Jwk::from_encoding_key(key, *algorithm).unwrap();
        jwk.common.key_id = Some(format!("key-{at}"));
        serde_json::to_value(jwk).unwrap()
    };
    Json(json!({ "keys": state.keys.iter().enumerate().map(jwk).collect::<Vec<_>>() }))
}

/// The page on which somebody would log in.
async fn authorize(State(state): State<Arc<Inner>>, Query(asked): Query<BTreeMap<String, String>>) -> Response {
    let is = |name: &str, value: &str| asked.get(name).is_some_and(|given| given == value);
    let good = is("response_type", "code")
        && is("client_id", CLIENT)
        && is("code_challenge_method", "S256")
        && asked.get("scope").is_some_and(|scope| scope.split(' ').any(|one| one == "openid"))
        && ["state", "nonce", "code_challenge", "redirect_uri"].iter().all(|name| asked.contains_key(*name));
    if !good {
        return (StatusCode::BAD_REQUEST, "not as agreed").into_response();
    }
    let code = uuid::Uuid::new_v4().to_string();
    state.now.lock().unwrap().codes.insert(code.clone(), asked);
    let html = format!(
        "<!doctype html><html lang=\"nl\"><title>Organisatie</title><h1>Account van de organisatie</h1>\
         <p><a id=\"door\" href=\"/realms/keten/go?code={code}\">Verder als p.peters</a></p></html>"
    );
    Html(html).into_response()
}

async fn go(State(state): State<Arc<Inner>>, Query(asked): Query<BTreeMap<String, String>>) -> Redirect {
    let now = state.now.lock().unwrap();
    let given = &now.codes[&asked["code"]];
    let mut url: reqwest::Url = given["redirect_uri"].parse().unwrap();
    let issuer = if now.lie == Lie::OtherAnswer { "http://localhost/other" } else { &state.issuer };
    url.query_pairs_mut()
        .append_pair("code", &asked["code"])
        .append_pair("state", &given["state"])
        .append_pair("iss", issuer);
    Redirect::to(url.as_str())
}

async fn token(
    State(state): State<Arc<Inner>>,
    headers: HeaderMap,
    Form(asked): Form<BTreeMap<String, String>>,
) -> Response {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(SECRET))));
    let mut now = state.now.lock().unwrap();
    let given = asked.get("code").and_then(|code| now.codes.remove(code));
    let challenge = |verifier: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
        URL_SAFE_NO_PAD.encode(digest)
    };
    let is_the_same = |given: &BTreeMap<String, String>| {
        given["code_challenge"] == challenge(&asked["code_verifier"])
            && given["redirect_uri"] == asked["redirect_uri"]
            && headers.get("authorization").is_some_and(|sent| *sent == basic)
    };
    let Some(given) = given.filter(is_the_same) else {
        now.refused += 1;
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response();
    };
    let token = id_token(&state, now.lie, now.key, &given["nonce"]);
    Json(json!({ "access_token": "x", "token_type": "Bearer", "id_token": token })).into_response()
}

fn id_token(state: &Inner, lie: Lie, key: usize, nonce: &str) -> String {
    let now = Timestamp::now().as_second();
    let mut claims = json!({
        "iss": state.issuer, "sub": "248289761001", "aud": CLIENT, "nonce": nonce,
        "iat": now, "exp": now + 300, "preferred_username": "p.peters",
        "realm_access": { "roles": ["keten-operator", "iets-anders"] },
    });
    match lie {
        Lie::OtherIssuer => claims["iss"] = "http://localhost/other".into(),
        Lie::OtherAudience => claims["aud"] = "other".into(),
        Lie::SecondAudience => claims["aud"] = json!([CLIENT, "other"]),
        Lie::OtherNonce => claims["nonce"] = "other".into(),
        Lie::Expired => claims["exp"] = (now - 120).into(),
        Lie::NoRole => claims["realm_access"] = json!({ "roles": ["iets-anders"] }),
        _ => {}
    }
    let (algorithm, signer) = &state.keys[key];
    let mut header = Header::new(*algorithm);
    header.kid = Some(format!("key-{key}"));
    match lie {
        Lie::OtherKey => encode(&header, &claims, &state.other).unwrap(),
        Lie::Secret => {
            header.alg = Algorithm::HS256;
            encode(&header, &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
        }
        Lie::Unsigned => {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.", part(&json!({ "alg": "none", "kid": "key-0" })), part(&claims))
        }
        _ => encode(&header, &claims, signer).unwrap(),
    }
}
