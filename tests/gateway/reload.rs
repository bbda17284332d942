//! SIGHUP: the rules change while messages come, whole or not at all.

use crate::messages::{Person, RELEASE, event, numbered, release};
use crate::scene::{Scene, root, run};
use crate::start::copy;
use ketenpoort::category::Category;
use ketenpoort::demo::partner::Event;
use ketenpoort::outcome::Outcome;
use ketenpoort::receipt::Receipt;
use std::fs;
use std::path::Path;
use std::time::Duration;

const POLICY: &str = "policies/detentie.cedar";
const MAPPINGS: &str = "mappings/detentie.invrijheidstelling-aangekondigd.v1";

/// A world on files that can be changed.
async fn scene(name: &str, files: &Path) -> Scene {
    let mut config = "[files]\n".to_owned();
    for folder in ["schemas", "policies", "mappings"] {
        copy(&root().join(folder), &files.join(folder));
        config += &format!("{folder} = {:?}\n", files.join(folder));
    }
    Scene::start(name, &config).await
}

fn change(path: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(old), "{} does not hold {old}", path.display());
    fs::write(path, text.replace(old, new)).unwrap();
}

/// Returns once the gateway has counted it.
pub async fn reload(scene: &Scene, result: &str, count: usize) {
    scene.world.reload_gateway().await.unwrap();
    let counted = format!("ketenpoort_reloads_total{{result=\"{result}\"}} {count}");
    let url = format!("{}/metrics", scene.world.note.http);
    let told = async {
        while !reqwest::get(&url).await.unwrap().text().await.unwrap().contains(&counted) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    scene.in_time(&counted, told).await;
}

async fn to_schiedam(scene: &Scene, event: &Event) -> Receipt {
    scene.send("dji", event).await;
    scene.receipt("dji", &event.id, "gemeente:0606").await
}

fn shared(receipt: &Receipt) -> Vec<Category> {
    receipt.decision.shared.iter().map(|shared| shared.category).collect()
}

#[test]
fn rules_change_for_the_next_message_and_a_bad_set_changes_nothing() {
    run(async {
        let files = tempfile::tempdir().unwrap();
        let scene = scene("reload", files.path()).await;
        let policy = files.path().join(POLICY);
        let one = || release(&Person::new().notice("0606"));
        let before = to_schiedam(&scene, &one()).await;
        assert_eq!((&before.policy_version, &before.mapping_version), (&scene.versions.0, &scene.versions.1));
        assert!(shared(&before).contains(&Category::Basisvoorwaarden));

        change(&policy, "context.afzender == \"dji\"", "context.afzenders == \"dji\"");
        reload(&scene, "refused", 1).await;
        assert!(scene.log().contains("KP-7002") && scene.log().contains("detentie.cedar"));
        let meanwhile = to_schiedam(&scene, &one()).await;
        assert_eq!((meanwhile.outcome, &meanwhile.policy_version), (Outcome::Delivered, &before.policy_version));

        change(&policy, "context.afzenders", "context.afzender");
        reload(&scene, "same", 1).await;

        change(&policy, "Categorie::\"detentie\", Categorie::\"basisvoorwaarden\"", "Categorie::\"detentie\"");
        reload(&scene, "ok", 1).await;
        let after = to_schiedam(&scene, &one()).await;
        assert_eq!(after.outcome, Outcome::Delivered);
        assert!(!shared(&after).contains(&Category::Basisvoorwaarden), "the new rule");
        assert_ne!(after.policy_version, before.policy_version);
        assert_eq!(after.mapping_version, before.mapping_version, "no mapping changed");
    });
}

#[test]
fn two_versions_of_a_message_type_run_beside_each_other() {
    run(async {
        let files = tempfile::tempdir().unwrap();
        let scene = scene("reload-versions", files.path()).await;
        let newer = files.path().join(MAPPINGS.replace(".v1", ".v2"));
        copy(&files.path().join(MAPPINGS), &newer);
        fs::remove_dir_all(newer.join("cases")).unwrap();
        let second = RELEASE.replace(".v1", ".v2");
        change(&newer.join("message.yaml"), RELEASE, &second);
        change(&newer.join("out.json.yaml"), "to: /brpAdres/straat", "to: /brpAdres/straatnaam");
        reload(&scene, "refused", 1).await;
        change(&newer.join("out.json.yaml"), "to: /brpAdres/straatnaam", "to: /brpAdres/straat");
        reload(&scene, "ok", 1).await;

        let notice = || Person::new().notice("0606").release();
        for kind in [RELEASE, &second] {
            let event = numbered(1, event(kind, notice()));
            let receipt = to_schiedam(&scene, &event).await;
            assert_eq!((receipt.outcome, receipt.message.r#type.as_deref()), (Outcome::Delivered, Some(kind)));
            assert_eq!(scene.arrival("gemeente:0606", &event.id).await.attributes["type"], kind);
        }
    });
}

/// Without the party in the directory its queue is left alone; once it is back, what waited there is taken up.
#[test]
fn a_partner_comes_and_goes_with_its_queue() {
    run(async {
        let files = tempfile::tempdir().unwrap();
        let scene = scene("reload-partners", files.path()).await;
        let directory = scene.world.home.join("partners/partners.toml");
        let complete = fs::read_to_string(&directory).unwrap();
        let mut without: toml::Table = complete.parse().unwrap();
        let parties = without["party"].as_array_mut().unwrap();
        parties.retain(|party| party["id"].as_str() != Some("gemeente:0606"));
        fs::write(&directory, without.to_string()).unwrap();
        reload(&scene, "ok", 1).await;

        let person = Person::new();
        scene.world.iris.know(person.on_file(crate::messages::supervised(), crate::messages::case_file()));
        let request = crate::messages::request(&person.request("0606", "18b", "toezicht"));
        scene.send("gemeente:0606", &request).await;
        let release = release(&Person::new().notice("0606"));
        scene.send("dji", &release).await;
        scene.waits_as(crate::messages::trace_id(&release), "parked").await;

        fs::write(&directory, complete).unwrap();
        reload(&scene, "ok", 2).await;
        let receipt = scene.receipt("gemeente:0606", &request.id, "gemeente:0606").await;
        assert_eq!(receipt.outcome, Outcome::Delivered);
        let another = to_schiedam(&scene, &crate::messages::release(&Person::new().notice("0606"))).await;
        assert_eq!(another.outcome, Outcome::Delivered);
    });
}
