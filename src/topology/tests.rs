use super::*;
use base64::Engine;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PARTNERS: &str = r#"
    [[role]]
    name = "dji"
    [[role]]
    name = "gemeente-college"
    [[party]]
    id = "dji"
    name = "DJI"
    oin = "00000099000000000001"
    users = ["dji-een", "dji-twee"]
    roles = ["dji"]
    endpoint = [{ kind = "amqp" }, { kind = "amqp", roles = ["dji"], queue = "dji+extra" }]
    [[party]]
    id = "gemeente:0363"
    name = "Amsterdam"
    oin = "00000099000000000363"
    users = ["gemeente-0363"]
    roles = ["gemeente-college"]
    endpoint = [{ kind = "webhook", url = "https://amsterdam.example/" }]
    [[party]]
    id = "zorg"
    name = "Zorg"
    oin = "00000099000000000002"
    roles = ["gemeente-college"]
    endpoint = [{ kind = "amqp" }]
"#;

fn exported(password: &dyn Fn(&str) -> Option<String>) -> Value {
    let directory = Directory::load(&BTreeMap::from([("partners.toml".to_owned(), PARTNERS.to_owned())])).unwrap();
    definitions(&directory, &Options { vhost: "keten", user: "ketenpoort", password })
}

fn named<'a>(exported: &'a Value, kind: &str) -> Vec<&'a str> {
    exported[kind].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[test]
fn everyone_has_a_way_in_and_a_way_out() {
    let exported = exported(&|_| None);
    let queues = [
        "dji+extra",
        "ketenpoort.in.dji",
        "ketenpoort.in.gemeente.0363",
        "ketenpoort.out.dji",
        "ketenpoort.out.zorg",
        "ketenpoort.receipts.dji",
        "ketenpoort.receipts.gemeente.0363",
    ];
    assert_eq!(named(&exported, "queues"), queues);
    assert_eq!(named(&exported, "exchanges"), ["ketenpoort.in.dji", "ketenpoort.in.gemeente.0363"]);
    let arguments = json!({ "x-queue-type": "quorum", "x-delivery-limit": 2_147_483_647 });
    assert!(exported["queues"].as_array().unwrap().iter().all(|q| q["durable"] == true && q["arguments"] == arguments));
    let binding = &exported["bindings"][1];
    assert_eq!(binding["source"], "ketenpoort.in.gemeente.0363");
    assert_eq!(binding["destination"], "ketenpoort.in.gemeente.0363");
    assert_eq!(exported["vhosts"], json!([{ "name": "keten" }]));
}

#[test]
fn everyone_may_do_what_he_must_and_no_more() {
    let exported = exported(&|_| None);
    let permissions = [
        (
            "ketenpoort",
            r"^(ketenpoort\..*|dji\+extra)$",
            r"^(amq\.default|ketenpoort\..*|dji\+extra)$",
            r"^(ketenpoort\..*|dji\+extra)$",
        ),
        ("dji-een", "^$", r"^(ketenpoort\.in\.dji)$", r"^(ketenpoort\.out\.dji|dji\+extra|ketenpoort\.receipts\.dji)$"),
        (
            "dji-twee",
            "^$",
            r"^(ketenpoort\.in\.dji)$",
            r"^(ketenpoort\.out\.dji|dji\+extra|ketenpoort\.receipts\.dji)$",
        ),
        ("gemeente-0363", "^$", r"^(ketenpoort\.in\.gemeente\.0363)$", r"^(ketenpoort\.receipts\.gemeente\.0363)$"),
    ];
    let expected = permissions.map(|(user, configure, write, read)| {
        json!({ "user": user, "vhost": "keten", "configure": configure, "write": write, "read": read })
    });
    assert_eq!(exported["permissions"], json!(expected));
}

#[test]
fn who_comes_with_a_certificate_is_a_user_without_a_password() {
    let subject = "CN=keten.amsterdam.example,SERIALNUMBER=00000099000000000363,O=Amsterdam,C=NL";
    let partners = PARTNERS.replace("gemeente-0363", subject);
    let directory = Directory::load(&BTreeMap::from([("partners.toml".to_owned(), partners)])).unwrap();
    let gateway = "CN=ketenpoort.example,C=NL";
    let options = Options { vhost: "keten", user: gateway, password: &|_| Some("geheim".to_owned()) };
    let exported = definitions(&directory, &options);
    let hash = |user: &str| {
        let users = exported["users"].as_array().unwrap();
        users.iter().find(|one| one["name"] == user).unwrap()["password_hash"].as_str().unwrap()
    };
    assert_eq!((hash(subject), hash(gateway)), ("", ""));
    assert!(!hash("dji-een").is_empty());
    assert!(exported["permissions"].as_array().unwrap().iter().any(|one| one["user"] == subject));
}

#[test]
fn who_has_a_password_is_a_user() {
    assert_eq!(exported(&|_| None)["users"], json!([]));
    let exported = exported(&|user| (user != "dji-twee").then(|| format!("geheim van {user}")));
    assert_eq!(named(&exported, "users"), ["ketenpoort", "dji-een", "gemeente-0363"]);
    let login = &exported["users"][1];
    assert_eq!(login["tags"], json!([]));
    let hash = base64::engine::general_purpose::STANDARD.decode(login["password_hash"].as_str().unwrap()).unwrap();
    let (salt, hash) = hash.split_at(4);
    let salted = [salt, b"geheim van dji-een"].concat();
    assert_eq!(hash, aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &salted).as_ref());
    assert!(!exported.to_string().contains("geheim"));
}
