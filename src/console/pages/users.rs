//! Beheer: who may come in and as what, and how the console is set. Shows no secret and changes nothing.

use crate::console::Console;
use crate::console::access::{Power, Role};
use crate::console::guard::{Visit, page};
use crate::console::text::Text;
use crate::console::view::{Frame, role_names};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "users.html")]
struct Users {
    frame: Frame,
    t: Text,
    has_file: bool,
    local: Vec<(String, String)>,
    provider: Vec<(&'static str, String)>,
    settings: Vec<(&'static str, String)>,
    roles: Vec<&'static str>,
    powers: Vec<(&'static str, Vec<bool>)>,
}

pub async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    let (t, config) = (visit.t, &console.config);
    let local = console.users.as_ref().map(|file| file.users());
    let local = local.iter().flat_map(|users| users.0.iter());
    let provider = config.console.oidc.as_ref().map(|oidc| {
        let roles = oidc.roles.iter().map(|(role, values)| format!("{role}: {}", values.join(", ")));
        vec![
            ("issuer", oidc.issuer.clone()),
            ("client_id", oidc.client_id.clone()),
            ("scope", oidc.scope.clone()),
            ("name_claim", oidc.name_claim.clone()),
            ("role_claim", oidc.role_claim.clone()),
            ("roles", roles.collect::<Vec<_>>().join("; ")),
        ]
    });
    let pipeline = console.house.pipeline();
    let minutes = |duration: std::time::Duration| format!("{} min", duration.as_secs() / 60);
    let settings = vec![
        ("console.public_url", config.console.public_url.clone()),
        ("console.idle", minutes(config.console.idle.get())),
        ("console.longest", minutes(config.console.longest.get())),
        ("console.behind_proxy", config.console.behind_proxy.to_string()),
        ("console.trace_url", config.console.trace_url.clone().unwrap_or_else(|| "-".to_owned())),
        ("http.listen", config.http.listen.clone()),
        ("receipts.issuer", config.receipts.issuer.clone()),
        ("delivery.max_attempts", config.delivery.max_attempts.to_string()),
        ("retention.log_years", config.retention.log_years.to_string()),
        ("retention.traffic_months", config.retention.traffic_months.to_string()),
        (t.policy_version(), pipeline.engine.version.clone()),
        (t.mapping_version(), pipeline.mapping_version()),
    ];
    let powers =
        Power::ALL.iter().map(|power| (t.power(*power), Role::ALL.iter().map(|role| role.may(*power)).collect()));
    page(&Users {
        frame: visit.frame(t.users()),
        t,
        has_file: console.users.is_some(),
        local: local.map(|(name, user)| (name.clone(), role_names(t, &user.roles))).collect(),
        provider: provider.unwrap_or_default(),
        settings,
        roles: Role::ALL.iter().map(|role| t.role_name(*role)).collect(),
        powers: powers.collect(),
    })
}
