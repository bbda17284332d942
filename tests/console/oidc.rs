//! Coming in over an identity provider, which is believed as far as it proves what it says.

use crate::provider::{CLIENT, Lie, Provider, SECRET};
use crate::stage::{Stage, run};
use crate::visitor::{Answer, Visitor};
use tokio::sync::OnceCell;

pub struct Scene {
    pub provider: Provider,
    pub stage: Stage,
    _folder: tempfile::TempDir,
}

pub async fn scene(name: &str) -> Scene {
    let (provider, folder) = (Provider::start().await, tempfile::tempdir().unwrap());
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let section = format!(
        "[console.oidc]\nissuer = \"{}\"\nclient_id = \"{CLIENT}\"\nclient_secret_file = \"{}\"\n\
         role_claim = \"realm_access.roles\"\n[console.oidc.roles]\noperator = [\"keten-operator\"]\n\
         privacy-officer = [\"keten-fg\"]\n",
        provider.issuer,
        secret.display()
    );
    let stage = Stage::start(name, move |_| section).await;
    Scene { provider, stage, _folder: folder }
}

/// One for all: none of its lies is about more than one login, and they come one after another.
async fn shared() -> &'static tokio::sync::Mutex<Scene> {
    static SHARED: OnceCell<tokio::sync::Mutex<Scene>> = OnceCell::const_new();
    SHARED.get_or_init(|| async { tokio::sync::Mutex::new(scene("oidc").await) }).await
}

/// To where the provider sends the browser back.
async fn to_the_way_back(visitor: &mut Visitor) -> String {
    let begun = visitor.get("/console/oidc").await;
    assert_eq!(begun.status, 303, "{}", begun.body);
    let page = visitor.client.get(begun.header("location")).send().await.unwrap().text().await.unwrap();
    let link = page.split("href=\"").nth(1).unwrap().split('"').next().unwrap();
    let provider: reqwest::Url = begun.header("location").parse().unwrap();
    let back = visitor.client.get(provider.join(link).unwrap()).send().await.unwrap();
    back.headers()["location"].to_str().unwrap().to_owned()
}

async fn log_in(visitor: &mut Visitor) -> Answer {
    let back = to_the_way_back(visitor).await;
    visitor.get(&back).await
}

#[test]
fn who_the_provider_vouches_for_is_in_as_what_it_says() {
    run(async {
        let scene = shared().await.lock().await;
        for key in [0, 1] {
            scene.provider.lie(Lie::Nothing, key);
            let mut visitor = Visitor::new(&scene.stage.url);
            let answer = log_in(&mut visitor).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert!(answer.body.contains("http-equiv=\"refresh\""));
            let page = visitor.get("/console/wachtrij").await;
            assert!(page.status == 200 && page.body.contains("p.peters") && page.body.contains("operator"));
            assert_eq!(visitor.get("/console/inzage").await.status, 403);
        }
        let did = ("p.peters".to_owned(), "login".to_owned(), "operator".to_owned());
        assert!(scene.stage.actions().await.contains(&did));
    });
}

#[test]
fn whoever_lies_lets_nobody_in() {
    run(async {
        let scene = shared().await.lock().await;
        let lies = [
            (Lie::OtherIssuer, 502),
            (Lie::OtherAudience, 502),
            (Lie::SecondAudience, 502),
            (Lie::OtherNonce, 502),
            (Lie::Expired, 502),
            (Lie::OtherKey, 502),
            (Lie::Secret, 502),
            (Lie::Unsigned, 502),
            (Lie::OtherAnswer, 502),
            (Lie::NoRole, 403),
        ];
        for (lie, status) in lies {
            scene.provider.lie(lie, 0);
            let mut visitor = Visitor::new(&scene.stage.url);
            let answer = log_in(&mut visitor).await;
            assert_eq!(answer.status, status, "{lie:?}: {}", answer.body);
            assert_eq!(visitor.get("/console/overzicht").await.status, 303, "{lie:?}");
        }
        scene.provider.lie(Lie::Nothing, 0);
    });
}

#[test]
fn a_way_back_is_for_the_browser_that_went_and_for_once() {
    run(async {
        let scene = shared().await.lock().await;
        scene.provider.lie(Lie::Nothing, 0);
        let mut victim = Visitor::new(&scene.stage.url);
        let back = to_the_way_back(&mut victim).await;
        // Another browser, with no ticket and with one of its own.
        let mut attacker = Visitor::new(&scene.stage.url);
        assert_eq!(attacker.get(&back).await.status, 502);
        attacker.get("/console/oidc").await;
        assert_eq!(attacker.get(&back).await.status, 502);
        // Begun long ago: the time is part of what state is made from.
        let ticket = victim.cookies["ketenpoort-login"].clone();
        let (begun, random) = ticket.split_once('.').unwrap();
        let old = format!("{}.{random}", begun.parse::<u64>().unwrap() - 601);
        victim.cookies.insert("ketenpoort-login".to_owned(), old);
        assert_eq!(victim.get(&back).await.status, 502);

        victim.cookies.insert("ketenpoort-login".to_owned(), ticket.clone());
        assert_eq!(victim.get(&back).await.status, 200);
        assert!(!victim.cookies.contains_key("ketenpoort-login"));
        let refused = scene.provider.refused();
        victim.cookies.insert("ketenpoort-login".to_owned(), ticket);
        assert_eq!(victim.get(&back).await.status, 502);
        assert_eq!(scene.provider.refused(), refused + 1, "the provider takes a code once");
    });
}
