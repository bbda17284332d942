//! Console: what persons see and do in a browser. Works without script, loads nothing from elsewhere, and puts
//! nothing personal in an address. It decides nothing about messages: it asks the gateway and the ledger.

pub mod access;
mod guard;
mod limit;
mod login;
mod oidc;
mod pages;
mod pulse;
mod session;
mod text;
pub mod users;
mod view;
mod worker;

use crate::category::Category;
use crate::code::Code;
use crate::config::Config;
use crate::core::Pipeline;
use crate::facts::SoortBeoordeling;
use crate::http::Ready;
use crate::ledger::{self, Ledger};
use crate::party::PartyId;
use crate::receipt::keys::KeySet;
use crate::record::Subject;
use crate::telemetry::metrics::Metrics;
use access::Power;
use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, any, get, post};
use guard::Visit;
use jiff::civil::Date;
use limit::Limit;
use oidc::Provider;
use pulse::Pulse;
use session::Sessions;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use users::UsersFile;

const STYLE: &str = include_str!("console/style.css");
const ICON: &str = include_str!("console/icon.svg");
const LIVE: &str = include_str!("console/live.js");
/// Everything from ourselves, nothing inline, and in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Passwords that are looked at at once: each takes a good part of a second of a processor.
const LOGINS_AT_ONCE: usize = 2;

/// The gateway that is looked at.
pub trait House: Send + Sync + 'static {
    fn pipeline(&self) -> Arc<Pipeline>;
    /// The recipients that are left alone now.
    fn down(&self) -> Vec<PartyId>;
    /// What an assessor decided counts from now on, as if it had come by message.
    fn record(self: Arc<Self>, judgement: Judgement) -> Recording;
}

type Recording = Pin<Box<dyn Future<Output = Result<(), ledger::Error>> + Send>>;

/// About whom is known as a pseudonym only.
#[derive(Clone, Debug)]
pub struct Judgement {
    pub subject: Subject,
    pub kind: SoortBeoordeling,
    /// The message that it is about, and whose that is.
    pub message: String,
    pub source: String,
    pub categories: Vec<Category>,
    pub until: Option<Date>,
}

/// What a console is made of.
#[expect(missing_debug_implementations, reason = "it lives from one line to the next")]
pub struct Parts {
    pub house: Arc<dyn House>,
    pub ledger: Ledger,
    pub ready: Arc<Ready>,
    pub metrics: Metrics,
    /// Those that verify receipts.
    pub keys: KeySet,
    pub config: Arc<Config>,
}

pub struct Console {
    house: Arc<dyn House>,
    ledger: Ledger,
    ready: Arc<Ready>,
    keys: KeySet,
    config: Arc<Config>,
    pulse: Pulse,
    sessions: Sessions,
    limit: Mutex<Limit>,
    hashing: Semaphore,
    users: Option<UsersFile>,
    provider: Option<Provider>,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("users", &self.users).field("provider", &self.provider).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("users_file {0}")]
    Users(#[from] users::Error),
    #[error("{0}")]
    Provider(#[from] oidc::Error),
}

impl Console {
    /// Only where the configuration has it on.
    pub fn open(parts: Parts) -> Result<Arc<Console>, Error> {
        let Parts { house, ledger, ready, metrics, keys, config } = parts;
        let settings = &config.console;
        let users = settings.users_file.as_deref().map(UsersFile::open).transpose()?;
        let provider = settings.oidc.as_ref().map(|oidc| Provider::new(oidc, &settings.public_url)).transpose()?;
        Ok(Arc::new(Console {
            house,
            ledger,
            ready,
            keys,
            pulse: Pulse::new(metrics),
            sessions: Sessions::new(settings.idle.get(), settings.longest.get()),
            limit: Mutex::default(),
            hashing: Semaphore::new(LOGINS_AT_ONCE),
            users,
            provider,
            config,
        }))
    }

    /// What it does by itself, until the gateway stops.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let holder = uuid::Uuid::new_v4().to_string();
        let both = async { tokio::join!(self.pulse.keep_feeling(&*self.house), worker::work(&self.ledger, &holder)) };
        stop.run_until_cancelled(both).await;
    }

    pub fn router(self: &Arc<Self>) -> Router {
        let page = |power: Power, page: MethodRouter<Arc<Console>>| {
            page.layer(from_fn_with_state((self.clone(), Some(power)), guard::visit))
        };
        let open =
            |page: MethodRouter<Arc<Console>>| page.layer(from_fn_with_state((self.clone(), None), guard::visit));
        Router::new()
            .route("/console", open(get(login::home)))
            .route("/console/aanmelden", open(get(login::show).post(login::with_password)))
            .route("/console/afmelden", open(post(login::out)))
            .route("/console/oidc", open(get(login::at_provider)))
            .route("/console/oidc/terug", open(get(login::from_provider)))
            .route("/console/overzicht", page(Power::Overview, get(pages::overview::show)))
            .route("/console/overzicht/nu", page(Power::Overview, get(pages::overview::now)))
            .route("/console/bericht", page(Power::Messages, get(pages::message::search).post(pages::message::find)))
            .route("/console/bericht/{aflevering}", page(Power::Messages, get(pages::message::show)))
            .route("/console/bericht/spoor/{spoor}", page(Power::Messages, get(pages::message::by_trace)))
            .route("/console/bericht/ontvangstbewijs/{id}", page(Power::Messages, get(pages::message::by_receipt)))
            .route("/console/wachtrij", page(Power::Queue, get(pages::queue::show)))
            .route("/console/wachtrij/{aflevering}", page(Power::Act, post(pages::queue::act)))
            .route("/console/opdrachten", page(Power::Act, get(pages::jobs::list).post(pages::jobs::make)))
            .route("/console/opdrachten/{opdracht}", page(Power::Act, get(pages::jobs::show).post(pages::jobs::act)))
            .route("/console/beoordelingen", page(Power::Assess, get(pages::assessments::list)))
            .route(
                "/console/beoordelingen/{aflevering}",
                page(Power::Assess, get(pages::assessments::show).post(pages::assessments::record)),
            )
            .route("/console/beleid", page(Power::Policy, get(pages::policy::show)))
            .route("/console/beleid/voorstel", page(Power::Policy, get(pages::policy::proposal)))
            .route(
                "/console/beleid/proef",
                page(Power::Policy, get(pages::policy::simulator).post(pages::policy::simulate)),
            )
            .route(
                "/console/inzage",
                page(Power::Disclosures, get(pages::disclosures::ask).post(pages::disclosures::show)),
            )
            .route("/console/logboek", page(Power::Audit, get(pages::audit::show)))
            .route("/console/beheer", page(Power::Users, get(pages::users::show)))
            .route("/console/stijl.css", get(|| async { fixed("text/css; charset=utf-8", STYLE) }))
            .route("/console/icoon.svg", get(|| async { fixed("image/svg+xml", ICON) }))
            .route("/console/live.js", get(|| async { fixed("text/javascript; charset=utf-8", LIVE) }))
            .route("/console/", get(|| async { Redirect::permanent("/console") }))
            .route("/console/{*anders}", open(any(nothing)))
            .layer(map_response(with_headers))
            .with_state(self.clone())
    }
}

async fn nothing(visit: Visit) -> Response {
    visit.problem(StatusCode::NOT_FOUND, Code::NotFound)
}

fn fixed(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

async fn with_headers(mut response: Response) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Without it a browser does not say where a form comes from.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in headers {
        // The page for the person himself has one of its own.
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
