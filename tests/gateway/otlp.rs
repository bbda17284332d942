//! A receiver in another language, which never saw our code, takes what goes out over OTLP.

use crate::messages::{Person, release, supervised, trace_id};
use crate::scene::{Scene, WITHIN, root, run};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

struct Receiver {
    port: String,
    exports: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

/// What is waited for, by name: whether an export, at this path, is it.
type Wanted<'a> = (&'static str, Box<dyn Fn(&str, &Value) -> bool + 'a>);

impl Receiver {
    async fn start() -> Receiver {
        let judges = root().join("tests/judges");
        let installed = Command::new(judges.join("setup.sh")).output().await.unwrap();
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        let mut process = Command::new(root().join("target/judges/venv/bin/python"))
            .arg(judges.join("receive_otlp.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut exports = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = exports.next_line().await.unwrap().expect("its port");
        Receiver { port, exports, _process: process }
    }

    /// Reads exports until each of these was satisfied by one.
    async fn until(&mut self, mut wanted: Vec<Wanted<'_>>) {
        let reading = async {
            while !wanted.is_empty() {
                let line = self.exports.next_line().await.unwrap().expect("another export");
                let export: Value = serde_json::from_str(&line).unwrap();
                let path = export["path"].as_str().unwrap();
                wanted.retain(|(_, is_there)| !is_there(path, &export["export"]));
            }
        };
        if tokio::time::timeout(WITHIN, reading).await.is_err() {
            panic!("never came: {:?}", wanted.iter().map(|(name, _)| name).collect::<Vec<_>>());
        }
    }
}

/// Everything under a key, however deep.
fn all<'v>(value: &'v Value, key: &str, into: &mut Vec<&'v Value>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            if name == key {
                into.push(member);
            }
            all(member, key, into);
        }),
        Value::Array(items) => items.iter().for_each(|item| all(item, key, into)),
        _ => {}
    }
}

fn is_from_us(export: &Value) -> bool {
    let mut resources = Vec::new();
    all(export, "resource", &mut resources);
    let name = json!({ "key": "service.name", "value": { "stringValue": "ketenpoort" } });
    resources.iter().all(|resource| resource["attributes"].as_array().unwrap().contains(&name))
}

/// The data points of a metric.
fn points<'v>(export: &'v Value, name: &str, kind: &str) -> Vec<&'v Value> {
    let mut lists = Vec::new();
    all(export, "metrics", &mut lists);
    let metrics = lists.into_iter().filter_map(Value::as_array).flatten();
    metrics
        .filter(|metric| metric["name"] == name)
        .flat_map(|metric| metric[kind]["dataPoints"].as_array().unwrap())
        .collect()
}

fn has(point: &Value, label: &str, value: &str) -> bool {
    let pair = json!({ "key": label, "value": { "stringValue": value } });
    point["attributes"].as_array().is_some_and(|all| all.contains(&pair))
}

#[test]
fn a_receiver_in_another_language_takes_the_trace_and_the_metrics_of_a_message() {
    run(async {
        let mut receiver = Receiver::start().await;
        let config = format!(
            "telemetry.otlp_endpoint = \"http://127.0.0.1:{}\"\ntelemetry.metrics_interval = \"200ms\"\n",
            receiver.port
        );
        let scene = Scene::start("otlp", &config).await;
        let notice = Person::new().notice("0599");
        scene.world.iris.know(notice.person.on_file(supervised(), json!({})));
        let event = release(&notice);
        scene.send("dji", &event).await;

        // Protobuf's own JSON has bytes in base64.
        let trace: Vec<u8> = trace_id(&event)
            .as_bytes()
            .chunks(2)
            .map(|hex| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap())
            .collect();
        let trace = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, trace);
        let span = |name: &'static str| {
            let trace = trace.clone();
            move |path: &str, export: &Value| {
                let mut lists = Vec::new();
                all(export, "spans", &mut lists);
                let mut spans = lists.into_iter().filter_map(Value::as_array).flatten();
                path == "/v1/traces"
                    && is_from_us(export)
                    && spans.any(|span| span["name"] == name && span["traceId"] == trace)
            }
        };
        let metric =
            |name: &'static str, kind: &'static str, labels: &'static [(&str, &str)], value: fn(&Value) -> bool| {
                move |path: &str, export: &Value| {
                    let holds =
                        |point: &&Value| labels.iter().all(|(label, text)| has(point, label, text)) && value(point);
                    path == "/v1/metrics" && is_from_us(export) && points(export, name, kind).iter().any(holds)
                }
            };
        receiver
            .until(vec![
                ("the span of the message", Box::new(span("process ketenpoort.in.dji"))),
                ("the span of a delivery", Box::new(span("POST gemeente:0599"))),
                (
                    "a counter",
                    Box::new(metric("ketenpoort_messages_received", "sum", &[("party", "dji")], |p| {
                        p["asDouble"] == 1.0
                    })),
                ),
                (
                    "a gauge",
                    Box::new(metric("ketenpoort_amqp_connected", "gauge", &[("direction", "intake")], |p| {
                        p["asDouble"] == 1.0
                    })),
                ),
                (
                    "a histogram, whose counts are those between bounds",
                    Box::new(metric(
                        "ketenpoort_delivered_seconds",
                        "histogram",
                        &[
                            ("type", "nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1"),
                            ("recipient", "gemeente:0599"),
                        ],
                        |p| {
                            let counts: Vec<u64> = p["bucketCounts"]
                                .as_array()
                                .unwrap()
                                .iter()
                                .map(|c| c.as_str().unwrap().parse().unwrap())
                                .collect();
                            p["count"] == "1"
                                && counts.iter().sum::<u64>() == 1
                                && counts.len() == p["explicitBounds"].as_array().unwrap().len() + 1
                        },
                    )),
                ),
            ])
            .await;
    });
}
