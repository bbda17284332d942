//! Coming in and going out: with a password of our own, or over an identity provider.

use super::access::Role;
use super::guard::{Visit, page};
use super::session::By;
use super::text::Text;
use super::users::LONGEST;
use super::view::{Frame, first_page};
use super::{Console, oidc};
use crate::code::Code;
use crate::record::Subject;
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    frame: Frame,
    t: Text,
    with_password: bool,
    with_provider: bool,
    /// Said before the form.
    wrong: Option<(Code, &'static str, String)>,
    name: String,
}

/// The first page that somebody may see.
pub async fn home(visit: Visit) -> Redirect {
    match &visit.session {
        Some(session) => Redirect::to(first_page(session)),
        None => Redirect::to("/console/aanmelden"),
    }
}

pub async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    page(&console.form(&visit, None))
}

pub async fn with_password(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    let (name, password) = (visit.form("naam").trim().to_owned(), visit.form("wachtwoord").to_owned());
    let refused = |status, code, detail| {
        let (_, hint) = visit.t.code(code);
        (status, page(&console.form(&visit, Some((code, hint, detail))))).into_response()
    };
    if console.users.is_none() || name.is_empty() || password.chars().count() > LONGEST {
        return refused(StatusCode::UNAUTHORIZED, Code::LoginRefused, String::new());
    }
    let attempt = {
        let mut limit = console.limit.lock().unwrap_or_else(PoisonError::into_inner);
        limit.attempt(&name, visit.remote, Instant::now())
    };
    if let Err(wait) = attempt {
        tracing::warn!(code = %Code::LoginLimited, "a login at the console was too soon after others that failed");
        let mut response =
            refused(StatusCode::TOO_MANY_REQUESTS, Code::LoginLimited, visit.t.wait_minutes(wait.as_secs() / 60 + 1));
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        return response;
    }
    if !console.is_right(&name, password).await {
        // Not which name: people type their password there.
        tracing::warn!(code = %Code::LoginRefused, "a login at the console was refused");
        return refused(StatusCode::UNAUTHORIZED, Code::LoginRefused, String::new());
    }
    console.limit.lock().unwrap_or_else(PoisonError::into_inner).right(&name, visit.remote);
    let roles = console.users.as_ref().and_then(|users| users.roles(&name)).unwrap_or_default();
    match console.let_in(&visit, name, roles, By::Password).await {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/console")).into_response(),
        Err(response) => *response,
    }
}

pub async fn out(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    if let Some(session) = visit.cookie(console.session_cookie()).and_then(|id| console.sessions.end(&id)) {
        let _ = console.ledger.note(Subject::default(), &session.name, "logout", "").await;
    }
    let gone = console.cookie(console.session_cookie(), "", Duration::ZERO, "Strict");
    ([(header::SET_COOKIE, gone)], Redirect::to("/console/aanmelden")).into_response()
}

pub async fn at_provider(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    let Some(provider) = &console.provider else { return visit.problem(StatusCode::NOT_FOUND, Code::NotFound) };
    match provider.begin(seconds()).await {
        Ok(begun) => {
            // The provider leads the browser back from elsewhere: a strict one would stay behind.
            let ticket = console.cookie(console.login_cookie(), &begun.ticket, oidc::PATIENCE, "Lax");
            ([(header::SET_COOKIE, ticket)], Redirect::to(&begun.url)).into_response()
        }
        Err(error) => failed(&visit, &error),
    }
}

pub async fn from_provider(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    #[derive(Template)]
    #[template(path = "arrived.html")]
    struct Arrived {
        t: Text,
    }
    let Some(provider) = &console.provider else { return visit.problem(StatusCode::NOT_FOUND, Code::NotFound) };
    let ticket = visit.cookie(console.login_cookie()).unwrap_or_default();
    let answer = |name: &str| visit.query(name).map(str::to_owned);
    let identity = match provider.finish(&ticket, &answer, seconds()).await {
        Ok(identity) => identity,
        Err(error) => return failed(&visit, &error),
    };
    if identity.roles.is_empty() {
        return visit.problem(StatusCode::FORBIDDEN, Code::NoRole);
    }
    match console.let_in(&visit, identity.name, identity.roles, By::Provider).await {
        // From a page of ours, as a redirect would still count as coming from the provider, and the cookie is strict.
        Ok(cookie) => {
            let mut response = page(&Arrived { t: visit.t });
            let gone = console.cookie(console.login_cookie(), "", Duration::ZERO, "Lax");
            response.headers_mut().append(header::SET_COOKIE, cookie);
            response.headers_mut().append(header::SET_COOKIE, gone);
            response
        }
        Err(response) => *response,
    }
}

fn failed(visit: &Visit, error: &oidc::Error) -> Response {
    let code = Code::ProviderFailed;
    tracing::warn!(%error, %code, "a login over the identity provider failed");
    let detail = if matches!(error, oidc::Error::Stale) { visit.t.login_stale().to_owned() } else { String::new() };
    visit.problem_with(StatusCode::BAD_GATEWAY, code, detail)
}

fn seconds() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}

impl Console {
    fn form(&self, visit: &Visit, wrong: Option<(Code, &'static str, String)>) -> Login {
        Login {
            frame: visit.frame(visit.t.login()),
            t: visit.t,
            with_password: self.users.is_some(),
            with_provider: self.provider.is_some(),
            wrong,
            name: visit.form("naam").to_owned(),
        }
    }

    async fn is_right(self: &Arc<Self>, name: &str, password: String) -> bool {
        let Ok(_turn) = self.hashing.acquire().await else { return false };
        let (console, name) = (self.clone(), name.to_owned());
        let verify = move || console.users.as_ref().is_some_and(|users| users.verify(&name, &password));
        tokio::task::spawn_blocking(verify).await.unwrap_or(false)
    }

    /// On record before there is anything to see; a number that was given before is not taken over.
    async fn let_in(
        &self,
        visit: &Visit,
        name: String,
        roles: Vec<Role>,
        by: By,
    ) -> Result<HeaderValue, Box<Response>> {
        let said: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        let noted = self.ledger.note(Subject::default(), &name, "login", &said.join(", ")).await;
        noted.map_err(|error| Box::new(visit.unavailable(&error)))?;
        visit.cookie(self.session_cookie()).and_then(|id| self.sessions.end(&id));
        let id = self.sessions.begin(name, roles, by, Instant::now());
        let id = id.ok_or_else(|| Box::new(StatusCode::INTERNAL_SERVER_ERROR.into_response()))?;
        Ok(self.cookie(self.session_cookie(), &id, self.config.console.longest.get(), "Strict"))
    }
}
