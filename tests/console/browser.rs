//! The console in a real browser: each page and each action by keyboard, with script and without, and what an
//! accessibility checker says of it. The steps are in `browser.mjs`; this starts a world and hands it over.

use crate::oidc;
use crate::stage::{PASSWORD, Stage, name, root, run};
use ketenpoort::console::access::Role;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Installs what the browser's steps need, once.
async fn installed() -> &'static PathBuf {
    static INSTALLED: OnceCell<PathBuf> = OnceCell::const_new();
    let install = async || {
        let script = root().join("tests/console/setup.sh");
        let output = Command::new(script).stderr(Stdio::inherit()).output().await.unwrap();
        assert!(output.status.success(), "tests/console/setup.sh");
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    };
    INSTALLED.get_or_init(install).await
}

/// Runs the steps of one name; what they print is shown where they fail.
async fn steps(which: &str, url: &str, given: Value) {
    let folder = installed().await;
    let profile = tempfile::tempdir().unwrap();
    let users = Role::ALL.iter().map(|role| (role.as_str().to_owned(), json!(name(*role))));
    let mut task = json!({
        "steps": which, "url": url, "password": PASSWORD, "profile": profile.path(),
        "users": users.collect::<serde_json::Map<_, _>>(),
        // Where the pictures of the documentation go; `tests/console/pictures.sh` says so.
        "pictures": std::env::var("CONSOLE_PICTURES").ok(),
    });
    task.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
    let output = Command::new("node")
        .arg(root().join("tests/console/browser.mjs"))
        .arg(task.to_string())
        .env("CONSOLE_MODULES", folder)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{which}:\n{out}\n{err}");
}

#[test]
fn an_operator_sees_finds_and_decides() {
    run(async {
        let stage = Stage::start("browser-operator", |_| String::new()).await;
        let delivered = stage.deliver().await;
        stage.fail("0599").await;
        stage.ask_for_judgement().await;
        let parked = stage.park(4).await;
        let trace = delivered.traceparent.as_deref().unwrap().split('-').nth(1).unwrap();
        let given = json!({
            "delivered": delivered.id, "trace": trace,
            "parked": parked.iter().map(|event| &event.id).collect::<Vec<_>>(),
        });
        steps("operator", &stage.url, given).await;
        let did: Vec<_> = stage.actions().await.into_iter().filter(|(_, what, _)| what != "login").collect();
        let count = |what: &str| did.iter().filter(|(who, did, _)| did == what && *who == name(Role::Operator)).count();
        assert_eq!((count("replay"), count("discard")), (1, 4), "{did:?}");
        assert_eq!((count("job_make"), count("job_start")), (1, 1), "{did:?}");
    });
}

#[test]
fn everything_is_there_without_script() {
    run(async {
        let stage = Stage::start("browser-plain", |_| String::new()).await;
        stage.park(1).await;
        steps("plain", &stage.url, json!({})).await;
        let did = (name(Role::Operator), "replay".to_owned(), "zonder script".to_owned());
        assert!(stage.actions().await.contains(&did));
    });
}

#[test]
fn an_assessor_judges_and_the_message_goes_on() {
    run(async {
        let stage = Stage::start("browser-assessor", |_| String::new()).await;
        let (yes, no) = (stage.ask_for_judgement().await, stage.ask_for_judgement().await);
        let keys =
            [stage.waits(&yes.id, "awaiting_assessment").await, stage.waits(&no.id, "awaiting_assessment").await];
        steps("assessor", &stage.url, json!({ "yes": keys[0], "no": keys[1] })).await;
        for (event, expected) in [(&yes, "delivered"), (&no, "expired")] {
            let ended = async || (stage.outcome(&event.id).await.as_deref() == Some(expected)).then_some(());
            stage.until(&format!("{} that is {expected}", event.id), ended).await;
        }
        let did = stage.actions().await;
        let assessed = did.iter().find(|(_, what, _)| what == "assessment").unwrap();
        assert!(assessed.2.contains("justitieel_kader") && assessed.2.contains("dossier 2026-17"), "{assessed:?}");
    });
}

#[test]
fn a_privacy_officer_answers_for_the_policy_and_for_every_disclosure() {
    run(async {
        let stage = Stage::start("browser-privacy", |_| {
            format!("proposed_policies = \"{}\"\n", root().join("policies").display())
        })
        .await;
        let person = crate::messages::Person::new();
        let event = crate::messages::release(&person.notice("0606"));
        stage.send("dji", &event).await;
        stage
            .until("it is delivered", async || {
                (stage.outcome(&event.id).await.as_deref() == Some("delivered")).then_some(())
            })
            .await;
        steps("privacy", &stage.url, json!({ "bsn": person.bsn })).await;
        let did = stage.actions().await;
        let looked: Vec<_> = did.iter().filter(|(_, what, _)| what == "subject").collect();
        assert_eq!(looked.len(), 2, "each view is on record: {did:?}");
        assert!(did.iter().any(|(_, what, _)| what == "simulate"));
        let everything = format!("{did:?}") + &std::fs::read_to_string(stage.world.home.join("gateway.log")).unwrap();
        assert!(!everything.contains(&person.bsn));
    });
}

#[test]
fn an_administrator_sees_who_may_and_how_it_is_set() {
    run(async {
        let stage = crate::stage::shared().await;
        steps("administrator", &stage.url, json!({})).await;
    });
}

#[test]
fn a_login_over_the_identity_provider_ends_in_the_console() {
    run(async {
        let scene = oidc::scene("browser-oidc").await;
        steps("provider", &scene.stage.url, json!({})).await;
    });
}
