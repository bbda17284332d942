//! Who gets in, who may what, and what a form must be.

use crate::stage::{PASSWORD, Stage, add_user, name, run, shared};
use crate::visitor::Visitor;
use ketenpoort::console::access::{Power, Role};
use std::process::Command;

/// Every page that shows something, and what it takes.
const PAGES: &[(&str, Power)] = &[
    ("/console/overzicht", Power::Overview),
    ("/console/overzicht/nu", Power::Overview),
    ("/console/bericht", Power::Messages),
    ("/console/wachtrij", Power::Queue),
    ("/console/opdrachten", Power::Act),
    ("/console/beoordelingen", Power::Assess),
    ("/console/beleid", Power::Policy),
    ("/console/beleid/proef", Power::Policy),
    ("/console/inzage", Power::Disclosures),
    ("/console/logboek", Power::Audit),
    ("/console/beheer", Power::Users),
];

#[test]
fn each_page_is_for_who_may_see_it_and_for_nobody_else() {
    run(async {
        let stage = shared().await;
        let mut stranger = Visitor::new(&stage.url);
        for (path, _) in PAGES {
            let answer = stranger.get(path).await;
            assert_eq!((answer.status, answer.header("location")), (303, "/console/aanmelden"), "{path}");
        }
        for role in Role::ALL {
            let mut visitor = stage.visitor(*role).await;
            for (path, power) in PAGES {
                let answer = visitor.get(path).await;
                assert_eq!(answer.status, if role.may(*power) { 200 } else { 403 }, "{role} at {path}");
                assert_eq!(answer.body.contains("KP-8000"), !role.may(*power), "{role} at {path}");
            }
        }
    });
}

#[test]
fn every_answer_keeps_the_browser_strict() {
    run(async {
        let stage = shared().await;
        let mut visitor = stage.visitor(Role::Viewer).await;
        for path in ["/console/overzicht", "/console/aanmelden", "/console/stijl.css", "/console/nergens", "/console"] {
            let answer = visitor.get(path).await;
            let policy = answer.header("content-security-policy");
            for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        }
        let mut stranger = Visitor::new(&stage.url);
        let answer = stranger.log_in(&name(Role::Viewer), PASSWORD).await;
        let cookie = answer.header("set-cookie");
        for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert_eq!(visitor.get("/console/nergens").await.status, 404);
    });
}

#[test]
fn a_form_that_is_none_of_ours_does_nothing() {
    run(async {
        let stage = shared().await;
        let event = stage.park(1).await.remove(0);
        let key = stage.waits(&event.id, "parked").await;
        let path = format!("/console/wachtrij/{key}");
        let mut visitor = stage.visitor(Role::Operator).await;
        let page = visitor.get(&format!("/console/bericht/{key}")).await.body;
        let seen = page.split("name=\"gezien\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let form = [("doe", "vervallen"), ("waarom", "dubbel"), ("gezien", seen.as_str()), ("toestand", "parked")];
        let (good, token) = (visitor.origin.clone(), visitor.csrf.clone());
        for (origin, csrf) in [
            (None, token.as_str()),
            (Some("https://evil.example".to_owned()), &token),
            (Some("null".to_owned()), &token),
            (good.clone(), ""),
            (good.clone(), "wrong"),
        ] {
            (visitor.origin, visitor.csrf) = (origin.clone(), csrf.to_owned());
            let answer = visitor.post(&path, &form).await;
            assert_eq!((answer.status, answer.body.contains("KP-8001")), (403, true), "{origin:?} {csrf:?}");
        }
        // Another's token is no better.
        visitor.csrf = stage.visitor(Role::Operator).await.csrf;
        visitor.origin.clone_from(&good);
        assert_eq!(visitor.post(&path, &form).await.status, 403);
        stage.waits(&event.id, "parked").await;

        visitor.csrf = token;
        let without = [("doe", "vervallen"), ("waarom", " "), ("gezien", seen.as_str()), ("toestand", "parked")];
        assert_eq!(visitor.post(&path, &without).await.status, 400, "nothing without a reason");
        let personal =
            [("doe", "vervallen"), ("waarom", "van 999990342"), ("gezien", seen.as_str()), ("toestand", "parked")];
        assert_eq!(visitor.post(&path, &personal).await.status, 400, "and none with a personal number");
        // Who may only look has a token too.
        let mut viewer = stage.visitor(Role::Viewer).await;
        assert_eq!(viewer.post(&path, &form).await.status, 403);

        assert_eq!(visitor.post(&path, &form).await.status, 303);
        let again = visitor.post(&path, &form).await;
        assert_eq!((again.status, again.body.contains("KP-8005")), (409, true), "somebody was first");
        let did = (name(Role::Operator), "discard".to_owned(), "dubbel".to_owned());
        assert_eq!(stage.actions().await.into_iter().filter(|action| *action == did).count(), 1);
    });
}

#[test]
fn a_password_is_guessed_a_few_times_only() {
    run(async {
        let stage = Stage::start("guessed", |_| String::new()).await;
        let mut visitor = Visitor::new(&stage.url);
        for attempt in 1..=5 {
            let answer = visitor.log_in(&name(Role::Viewer), "verkeerd wachtwoord").await;
            assert_eq!((answer.status, answer.body.contains("KP-8003")), (401, true), "{attempt}");
        }
        let answer = visitor.log_in(&name(Role::Viewer), PASSWORD).await;
        assert_eq!((answer.status, answer.body.contains("KP-8002")), (429, true), "also with the right one");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
        assert!(!answer.body.contains(PASSWORD));
        assert_eq!(visitor.log_in("nobody", PASSWORD).await.status, 401);
        assert_eq!(visitor.log_in(&name(Role::Operator), PASSWORD).await.status, 303, "others are not held up");
        let log = std::fs::read_to_string(stage.world.home.join("gateway.log")).unwrap();
        assert!(log.contains("KP-8003") && !log.contains("verkeerd wachtwoord") && !log.contains("nobody"));
    });
}

#[test]
fn who_goes_out_or_is_taken_out_is_out() {
    run(async {
        let stage = shared().await;
        add_user(&stage.users, "kort", Role::Viewer);
        let mut visitor = Visitor::new(&stage.url);
        assert_eq!(visitor.log_in("kort", PASSWORD).await.status, 303);
        assert_eq!(visitor.get("/console/overzicht").await.status, 200);
        let kept = visitor.cookies.clone();
        assert_eq!(visitor.post("/console/afmelden", &[]).await.status, 303);
        visitor.cookies = kept;
        assert_eq!(visitor.get("/console/overzicht").await.status, 303, "the old number opens nothing");
        let did = |what: &str, why: &str| ("kort".to_owned(), what.to_owned(), why.to_owned());
        let actions = stage.actions().await;
        assert!(actions.contains(&did("login", "viewer")) && actions.contains(&did("logout", "")));

        assert_eq!(visitor.log_in("kort", PASSWORD).await.status, 303);
        let removed = Command::new(env!("CARGO_BIN_EXE_ketenpoort"))
            .args(["users", "remove"])
            .arg(&stage.users)
            .arg("kort")
            .status();
        assert!(removed.unwrap().success());
        assert_eq!(visitor.get("/console/overzicht").await.status, 303);
    });
}

#[test]
fn nothing_is_looked_up_by_a_personal_number() {
    run(async {
        let stage = shared().await;
        let mut visitor = stage.visitor(Role::Viewer).await;
        visitor.get("/console/bericht").await;
        for number in ["999990342", "bsn:999990342", " 999990342 "] {
            let answer = visitor.post("/console/bericht", &[("zoek", number)]).await;
            assert_eq!(answer.status, 400, "{number}");
            assert!(!answer.body.contains("999990342"), "it is not said again");
        }
        assert_eq!(visitor.post("/console/bericht", &[("zoek", "nergens")]).await.status, 404);
    });
}
