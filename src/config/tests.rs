use super::*;

const GOOD: &str = r#"
[broker]
urls = ["amqp://ketenpoort:hunter2@localhost"]
[iris]
base_url = "http://127.0.0.1:18100"
[receipts]
key_file = "receipt.pem"
issuer = "urn:nld:oin:00000099000900000000:systeem:ketenpoort"
[ledger]
key_env = "LEDGER"
[pseudonym]
key_env = "KEY"
"#;

const LEDGER_KEY: &str = "a2V0ZW5wb29ydCBzbGV1dGVsIHZvb3IgZGUgdG9ldHM=";

fn load(text: &str) -> Result<Config, Vec<Finding>> {
    let env = |name: &str| match name {
        "KEY" => Some("k".repeat(32)),
        "LEDGER" => Some(LEDGER_KEY.to_owned()),
        _ => None,
    };
    Config::load("k.toml", text, Path::new("/etc/ketenpoort"), &env)
}

#[test]
fn a_small_file_is_enough_and_paths_are_relative_to_it() {
    let config = load(GOOD).unwrap();
    assert_eq!(config.broker.prefetch.get(), 512);
    assert_eq!(config.receipts.key_file, Path::new("/etc/ketenpoort/receipt.pem"));
    assert_eq!(config.files.schemas, Path::new("/etc/ketenpoort/schemas"));
}

#[test]
fn no_secret_is_printed() {
    let printed = format!("{:?}", load(GOOD).unwrap());
    assert!(!printed.contains("hunter2") && !printed.contains(&"k".repeat(32)), "{printed}");
}

#[test]
fn everything_wrong_is_told_at_once_with_its_place() {
    let text = r#"
[broker]
urls = ["amqp://localhost"]
prefetch = 0
speed = "fast"
[iris]
base_url = "iris"
timeout = "0s"
[delivery]
first_delay = "2h"
max_delay = "1h"
[wrong]
"#;
    let found: Vec<_> = load(text).unwrap_err().iter().map(|f| (f.line, f.problem.place.clone())).collect();
    let section = |line, place: &str| (line, place.to_owned());
    let expected = [
        section(Some(4), "broker"),
        section(Some(5), "broker"),
        section(Some(8), "iris"),
        section(Some(12), ""),
        section(None, "iris"),
        section(None, "receipts"),
        section(None, "receipts"),
        section(None, "delivery"),
        section(None, "ledger"),
        section(None, "pseudonym"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn wrong_values_are_refused() {
    let table = [
        ("[stop]\ngrace = \"10\"", "a duration"),
        ("[stop]\ngrace = \"-1s\"", "a duration"),
        ("[limits]\nmax_body = \"1 GB\"", "a size"),
        ("[limits]\nmax_body = \"0 KiB\"", "a size"),
        ("[telemetry]\nsample_ratio = 1.5", "from 0 to 1"),
        ("[limits]\nin_flight = 0", "nonzero"),
        ("[pseudonym2]", "no section"),
        ("[broker", "expected"),
        ("[retention]\nlog_years = 3", "from 4"),
        ("[retention]\ntraffic_months = 7", "6 at most"),
        ("[delivery]\ncert_file = \"cert.pem\"", "come together"),
        ("[http]\nkey_file = \"key.pem\"", "come together"),
        ("[http]\nclient_ca_file = \"ca.pem\"", "needs cert_file"),
    ];
    for (text, hint) in table {
        let findings = load(&format!("{GOOD}\n{text}\n")).unwrap_err();
        let hints: Vec<_> = findings.iter().map(|f| f.problem.hint.as_str()).collect();
        assert!(hints.iter().any(|h| h.contains(hint)), "{text}: {hints:?}");
    }
}

#[test]
fn without_tls_only_this_machine_is_reached_unless_it_is_allowed() {
    let config = |broker: &str, iris: &str, more: &str| {
        let text = GOOD.replace("amqp://ketenpoort:hunter2@localhost", broker).replace("http://127.0.0.1:18100", iris);
        load(&text.replace("[iris]", &format!("{more}\n[iris]\n{more}")))
    };
    let (broker, iris) = ("amqp://u:hunter2@localhost", "http://127.0.0.1:18100");
    for here in ["amqp://u:p@LOCALHOST:5672/v", "amqp://127.0.0.7", "amqp://[::1]:1", "amqps://broker.example"] {
        assert!(config(here, iris, "").unwrap().in_the_clear().is_empty(), "{here}");
    }
    for here in ["http://localhost:1", "http://[::1]/iris", "https://iris.example"] {
        assert!(config(broker, here, "").unwrap().in_the_clear().is_empty(), "{here}");
    }
    let away = [
        ("amqp://u:hunter2@broker.example", iris, "broker"),
        ("amqp://u:hunter2@10.0.0.1:5672/v", iris, "broker"),
        ("amqp://u:hunter2@localhost.example", iris, "broker"),
        (broker, "http://iris.example", "iris"),
        (broker, "HTTP://[2001:db8::1]/", "iris"),
    ];
    for (broker, iris, section) in away {
        let findings = config(broker, iris, "").unwrap_err();
        let [finding] = findings.as_slice() else { panic!("{broker} {iris}: {findings:?}") };
        assert_eq!(finding.problem.place, section, "{broker} {iris}");
        assert!(finding.problem.hint.contains("without TLS") && !finding.problem.hint.contains("hunter2"));
        let allowed = config(broker, iris, "allow_plaintext = true").unwrap();
        assert_eq!(allowed.in_the_clear().len(), 1, "it is still told");
    }
}

#[test]
fn the_order_of_a_route_is_read_with_its_place() {
    let text = format!("{GOOD}[routing]\n\"a.b\" = [\"2\", \"1\"]\n");
    let routing = load(&text).unwrap().routing;
    let read: Vec<_> = routing.iter().map(|order| (order.kind.as_str(), order.rows.join(" "), order.line)).collect();
    assert_eq!(read, [("a.b", "2 1".to_owned(), Some(14))]);
    assert_eq!(routing[0].file, "k.toml");

    let wrong = load(&format!("{GOOD}[routing]\n\"a.b\" = [1]\n\"c\" = [\"1\"]\n")).unwrap_err();
    assert_eq!(wrong.iter().map(|f| (f.line, f.problem.place.as_str())).collect::<Vec<_>>(), [(Some(14), "routing")]);
}

#[test]
fn the_annotated_example_loads_and_names_the_defaults() {
    let text = include_str!("../../deploy/ketenpoort.toml");
    let env = |name: &str| match name {
        "KETENPOORT_BROKER_URLS" => Some("amqp://localhost".to_owned()),
        "KETENPOORT_LEDGER_KEYS" => Some(LEDGER_KEY.to_owned()),
        _ => Some("k".repeat(32)),
    };
    let example = Config::load("ketenpoort.toml", text, Path::new("/"), &env).unwrap();
    let printed = |config: &Config| {
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?}",
            config.delivery, config.limits, config.telemetry, config.retention, config.stop, config.console
        )
    };
    assert_eq!(printed(&example), printed(&load(GOOD).unwrap()));
    assert_eq!(example.broker.prefetch.get(), 512);
    assert_eq!(example.iris.breaker_failures.get(), 5);
}

#[test]
fn a_ledger_without_a_good_key_set_is_refused() {
    let cases = [
        ("", "needs key_file or key_env"),
        ("key_env = \"NOWHERE\"", "the environment has no NOWHERE"),
        ("key_env = \"KEY\"", "key 1 is not 32 bytes in base64"),
        ("key_file = \"no such file\"", "no such file"),
    ];
    for (setting, hint) in cases {
        let findings = load(&GOOD.replace("key_env = \"LEDGER\"", setting)).unwrap_err();
        let [finding] = findings.as_slice() else { panic!("{setting}: {findings:?}") };
        assert!(finding.problem.place == "ledger" && finding.problem.hint.contains(hint), "{finding:?}");
    }
}

#[test]
fn a_log_of_processings_is_read_with_a_long_token_and_tls_only() {
    let token = "0123456789abcdef0123456789abcdef";
    let register = "register = \"https://example.nl/processing-activities/\"";
    let tls = "cert_file = \"c.pem\"\nkey_file = \"k.pem\"";
    let table = [
        (token, register, "", 0),
        (token, register, "listen = \"[::1]:80\"", 0),
        (token, register, "listen = \"0.0.0.0:80\"", 1),
        (token, register, &format!("listen = \"0.0.0.0:80\"\n{tls}"), 0),
        (token, "", "", 1),
        (token, "register = \"https://example.nl/x\"", "", 1),
        (&token[1..], register, "", 1),
        ("0123456789abcdef 0123456789abcdef", register, "", 1),
    ];
    for (token, register, http, wrong) in table {
        let env = |name: &str| match name {
            "TOKEN" => Some(token.to_owned()),
            "LEDGER" => Some(LEDGER_KEY.to_owned()),
            _ => Some("k".repeat(32)),
        };
        let text = format!("{GOOD}[processing_log]\ntoken_env = \"TOKEN\"\n{register}\n[http]\n{http}\n");
        let found = Config::load("k.toml", &text, Path::new("/etc/ketenpoort"), &env).err().unwrap_or_default();
        assert_eq!(found.len(), wrong, "{token} {register} {http}: {found:?}");
        assert!(found.iter().all(|finding| finding.problem.place == "processing_log"), "{found:?}");
    }
    assert!(load(GOOD).unwrap().processing_log.token.is_none());
}

#[test]
fn the_ledger_lies_in_one_place_and_a_server_elsewhere_is_proved() {
    let place = |setting: &str| {
        let text = GOOD.replace("[ledger]\n", &format!("[ledger]\n{setting}\n"));
        load(&text).map(|config| config.ledger.place).map_err(|findings| findings[0].problem.hint.clone())
    };
    for (setting, expected) in [
        ("", "/etc/ketenpoort/ketenpoort.db"),
        ("path = \"/var/lib/l.db\"", "/var/lib/l.db"),
        ("url = \"postgres://u:geheim@127.0.0.1/k\"", "database k on 127.0.0.1"),
        ("url = \"postgres://u:geheim@db.example/k?sslmode=verify-full\"", "database k on db.example"),
    ] {
        assert_eq!(place(setting).unwrap().to_string(), expected, "{setting}");
        assert!(!format!("{:?}", place(setting).unwrap()).contains("geheim"));
    }
    for (setting, hint) in [
        ("path = \"a\"\nurl_env = \"KEY\"", "one of path, url"),
        ("url = \"postgres://u@h/k?sslmode=verify-full\"\nurl_env = \"KEY\"", "one of path, url"),
        ("url = \"postgres://u:geheim@db.example/k\"", "sslmode=verify-full"),
        ("url = \"postgres://u:geheim@db.example/k?sslmode=require\"", "sslmode=verify-full"),
        ("url = \"mysql://u:geheim@localhost/k\"", "none of PostgreSQL"),
        ("url = \"postgres://localhost/k\"\nnode = \" \"", "needs node"),
        ("url_file = \"no such file\"", "url_file"),
    ] {
        let told = place(setting).unwrap_err();
        assert!(told.contains(hint) && !told.contains("geheim"), "{setting}: {told}");
    }
}

#[test]
fn a_node_waits_for_the_longest_attempt_of_another() {
    let text =
        GOOD.replace("[ledger]\n", "[ledger]\nurl = \"postgres://u@localhost/k\"\nnode = \"een\"\nlease = \"4s\"\n");
    let Place::Server(_, Some(node)) = load(&text).unwrap().ledger.place else { panic!("no node") };
    let seconds = std::time::Duration::from_secs;
    assert_eq!((node.name.as_str(), node.lease, node.longest_attempt), ("een", seconds(4), seconds(15)));
}

#[test]
fn a_system_that_asks_for_decisions_has_a_token_and_a_name() {
    for (client, wrong) in
        [("client = \"raadsysteem\"", 0), ("", 1), ("client = \" \"", 1), ("client = \"999990342\"", 1)]
    {
        let text = format!("{GOOD}[authzen]\ntoken_env = \"KEY\"\n{client}\n");
        let found = load(&text).err().unwrap_or_default();
        assert_eq!(found.len(), wrong, "{client}: {found:?}");
    }
    let open = format!("{GOOD}[authzen]\ntoken_env = \"KEY\"\nclient = \"x\"\n[http]\nlisten = \"0.0.0.0:80\"\n");
    assert_eq!(load(&open).unwrap_err()[0].problem.place, "authzen");
}

#[test]
fn a_console_that_is_on_says_where_it_is_and_who_may_come_in() {
    let on = "public_url = \"https://ketenpoort.example\"\nusers_file = \"users\"\n";
    let console = load(&format!("{GOOD}[console]\n{on}")).unwrap().console;
    assert!(console.is_on() && console.users_file.as_deref() == Some(Path::new("/etc/ketenpoort/users")));
    assert!(!load(GOOD).unwrap().console.is_on());

    let oidc =
        |rest: &str| format!("{on}[console.oidc]\nissuer = \"https://login.example\"\nclient_id = \"k\"\n{rest}");
    let roles = "[console.oidc.roles]\noperator = [\"team\"]\n";
    assert!(load(&format!("{GOOD}[console]\n{}", oidc(roles))).is_ok());
    let table = [
        ("users_file = \"users\"".to_owned(), "needs public_url"),
        (on.replace("https://", "http://"), "needs public_url"),
        (on.replace(".example", ".example/console"), "without a path"),
        (format!("{on}trace_url = \"https://traces.example\""), "{trace_id}"),
        (format!("{on}colour = \"red\""), "unknown field"),
        (oidc(""), "needs roles"),
        (oidc("[console.oidc.roles]\nboss = [\"team\"]\n"), "`boss` is none of"),
        (oidc(&format!("scope = \"profile\"\n{roles}")), "scope has openid"),
        (oidc(roles).replace("https://login", "http://login"), "issuer is an https"),
        (oidc(&format!("client_secret_env = \"NOWHERE\"\n{roles}")), "the environment has no NOWHERE"),
    ];
    for (text, hint) in table {
        let findings = load(&format!("{GOOD}[console]\n{text}\n")).unwrap_err();
        let hints: Vec<_> = findings.iter().map(|f| f.problem.hint.as_str()).collect();
        assert!(hints.iter().any(|h| h.contains(hint)), "{text}: {hints:?}");
    }
}
