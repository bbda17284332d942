//! The one way in to every page: who it is, whether he may, and that a form is one of ours. No page is reached
//! around it.

use super::Console;
use super::access::Power;
use super::session::{By, Session};
use super::text::{Lang, Text};
use super::view::Frame;
use crate::code::Code;
use crate::http::Remote;
use askama::Template;
use axum::Extension;
use axum::body::to_bytes;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Of a form: a pasted message and facts fit in.
const MOST_BYTES: usize = 2 * 1024 * 1024;
const LANGUAGE: &str = "ketenpoort-taal";

/// One question of one person, once it is known to be in order.
#[derive(Clone, Debug)]
pub struct Visit {
    pub t: Text,
    pub session: Option<Session>,
    pub remote: IpAddr,
    path: String,
    query: Pairs,
    form: Pairs,
    headers: HeaderMap,
}

type Pairs = Arc<Vec<(String, String)>>;

pub async fn visit(
    State((console, power)): State<(Arc<Console>, Option<Power>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut visit = console.visit(&request);
    let chosen = visit.query("taal").and_then(Lang::parse);
    let mut response = match console.admit(&mut visit, power, &mut request).await {
        Ok(()) => {
            request.extensions_mut().insert(visit);
            next.run(request).await
        }
        Err(refused) => *refused,
    };
    if let Some(lang) = chosen {
        let cookie = console.cookie(LANGUAGE, lang.code(), Duration::from_secs(365 * 86_400), "Strict");
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

impl Console {
    fn visit(&self, request: &Request) -> Visit {
        let query = request.uri().query().unwrap_or_default();
        let mut visit = Visit {
            t: Text(Lang::Nl),
            session: None,
            remote: self.remote(request),
            path: request.uri().path().to_owned(),
            query: Arc::new(form_urlencoded::parse(query.as_bytes()).into_owned().collect()),
            form: Arc::default(),
            headers: request.headers().clone(),
        };
        let chosen = visit.query("taal").map(str::to_owned).or_else(|| visit.cookie(LANGUAGE));
        visit.t = Text(chosen.as_deref().and_then(Lang::parse).unwrap_or(Lang::Nl));
        visit.session = self.session(&visit);
        visit
    }

    async fn admit(&self, visit: &mut Visit, power: Option<Power>, request: &mut Request) -> Result<(), Box<Response>> {
        if let Some(power) = power {
            let Some(session) = &visit.session else {
                return Err(Box::new(Redirect::to("/console/aanmelden").into_response()));
            };
            if !session.may(power) {
                return Err(Box::new(visit.problem(StatusCode::FORBIDDEN, Code::NotAllowed)));
            }
        }
        if request.method() == Method::POST {
            let invalid = |visit: &Visit| Box::new(visit.problem(StatusCode::FORBIDDEN, Code::FormInvalid));
            if !self.is_from_here(request.headers()) {
                return Err(invalid(visit));
            }
            let body = std::mem::take(request.body_mut());
            let Ok(body) = to_bytes(body, MOST_BYTES).await else {
                return Err(Box::new(visit.problem(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge)));
            };
            visit.form = Arc::new(form_urlencoded::parse(&body).into_owned().collect());
            // Who is not in yet has no token; that the form comes from here, his browser says.
            if visit.session.as_ref().is_some_and(|session| !session.is_csrf(visit.form("csrf"))) {
                return Err(invalid(visit));
            }
        }
        Ok(())
    }

    /// Every browser says with a form which page it stood on.
    fn is_from_here(&self, headers: &HeaderMap) -> bool {
        let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        let fetched_for = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
        origin == Some(self.config.console.public_url.as_str()) && fetched_for.is_none_or(|site| site == "same-origin")
    }

    /// What somebody is now, not what he was when he came in.
    fn session(&self, visit: &Visit) -> Option<Session> {
        let mut session = self.sessions.of(&visit.cookie(self.session_cookie())?, Instant::now())?;
        if session.by == By::Password {
            session.roles = self.users.as_ref()?.roles(&session.name)?;
        }
        Some(session)
    }

    fn remote(&self, request: &Request) -> IpAddr {
        let forwarded = || {
            let last = request.headers().get_all("x-forwarded-for").iter().next_back()?;
            last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
        };
        let proxied = if self.config.console.behind_proxy { forwarded() } else { None };
        let peer = request.extensions().get::<Remote>().map(|Remote(address)| address.ip());
        proxied.or(peer).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    fn is_https(&self) -> bool {
        self.config.console.public_url.starts_with("https://")
    }

    /// With this prefix a browser lets nobody else on the domain set it.
    pub fn session_cookie(&self) -> &'static str {
        if self.is_https() { "__Host-ketenpoort" } else { "ketenpoort-console" }
    }

    pub fn login_cookie(&self) -> &'static str {
        if self.is_https() { "__Host-ketenpoort-login" } else { "ketenpoort-login" }
    }

    pub fn cookie(&self, name: &str, value: &str, age: Duration, same_site: &str) -> HeaderValue {
        let secure = if self.is_https() { "; Secure" } else { "" };
        let age = age.as_secs();
        let cookie = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite={same_site}{secure}");
        HeaderValue::try_from(cookie).unwrap_or(HeaderValue::from_static(""))
    }
}

impl Visit {
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn queries<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Empty where it was left out.
    pub fn form(&self, name: &str) -> &str {
        self.form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    pub fn forms<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.form.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        let all = self.headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let mut pairs = all.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    }

    pub fn may(&self, power: Power) -> bool {
        self.session.as_ref().is_some_and(|session| session.may(power))
    }

    /// As it stands in the audit log.
    pub fn who(&self) -> &str {
        self.session.as_ref().map_or("", |session| &session.name)
    }

    pub fn frame(&self, title: impl Into<String>) -> Frame {
        Frame::new(self.t, title.into(), self.session.as_ref(), &self.path, &self.query)
    }

    pub fn problem(&self, status: StatusCode, code: Code) -> Response {
        self.problem_with(status, code, String::new())
    }

    pub fn problem_with(&self, status: StatusCode, code: Code, detail: String) -> Response {
        #[derive(Template)]
        #[template(path = "problem.html")]
        struct Problem {
            frame: Frame,
            t: Text,
            code: Code,
            hint: &'static str,
            detail: String,
        }
        let (title, hint) = self.t.code(code);
        let problem = Problem { frame: self.frame(title), t: self.t, code, hint, detail };
        (status, page(&problem)).into_response()
    }

    /// The ledger does not answer.
    pub fn unavailable(&self, error: &crate::ledger::Error) -> Response {
        match error {
            crate::ledger::Error::NoSuchRow => self.problem(StatusCode::NOT_FOUND, Code::NotFound),
            _ => self.problem(StatusCode::SERVICE_UNAVAILABLE, Code::LedgerUnavailable),
        }
    }
}

pub fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// [`visit`] puts it there.
impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Visit, Response> {
        let visit = Extension::<Visit>::from_request_parts(parts, state).await;
        visit.map(|Extension(visit)| visit).map_err(IntoResponse::into_response)
    }
}
