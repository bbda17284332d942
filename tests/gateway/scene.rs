//! A world that many tests can be in at once: everything that anybody receives is kept, and each test looks for
//! its own. A wait ends with the event it is for; its deadline only bounds a failure.

use ketenpoort::catalogue::Sources;
use ketenpoort::config::{Config, Files};
use ketenpoort::core::Pipeline;
use ketenpoort::demo::partner::{Event, Inbox, Partner, Received};
use ketenpoort::demo::{Options, World};
use ketenpoort::directory::Directory;
use ketenpoort::envelope::digest_label;
use ketenpoort::party::PartyId;
use ketenpoort::receipt::Receipt;
use ketenpoort::receipt::keys::KeySet;
use ketenpoort::simulators::recipient;
use ketenpoort::telemetry::collector::Span;
use ketenpoort::validation::Limits;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, watch};
use tokio::time::timeout;

pub const WITHIN: Duration = Duration::from_secs(40);
const BINARY: &str = env!("CARGO_BIN_EXE_ketenpoort");

/// One for all tests: the world that they share outlives each of them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

pub fn run(test: impl Future<Output = ()>) {
    RUNTIME.block_on(test);
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The one that tests share that break nothing in it. It ends with this process.
pub async fn shared() -> &'static Scene {
    static SHARED: OnceCell<Scene> = OnceCell::const_new();
    SHARED.get_or_init(|| Scene::start("shared", "")).await
}

pub struct Scene {
    pub world: World,
    /// Of the policies, and of mappings and directory, as the gateway must have found them.
    pub versions: (String, String),
    partners: BTreeMap<PartyId, Partner>,
    mail: BTreeMap<PartyId, Mailbox<Arrival>>,
    receipts: BTreeMap<PartyId, Mailbox<Proof>>,
}

impl Scene {
    /// `config` goes over what a world has. Afterwards its home is left for whoever looks into a failure.
    pub async fn start(name: &str, config: &str) -> Scene {
        Scene::start_with(name, &format!("telemetry.log_filter = \"trace\"\n{config}")).await
    }

    /// As it runs for an operator: for what is about many messages, or about what they cost.
    pub async fn quiet(name: &str) -> Scene {
        Scene::start_with(name, "telemetry.sample_ratio = 0.0\n").await
    }

    /// Among other partners than the usual.
    pub async fn among(name: &str, partners: &Path) -> Scene {
        Scene::start_among(name, "telemetry.log_filter = \"trace\"\n", partners.to_owned()).await
    }

    async fn start_with(name: &str, config: &str) -> Scene {
        Scene::start_among(name, config, root().join("tests/gateway")).await
    }

    async fn start_among(name: &str, config: &str, partners: PathBuf) -> Scene {
        let recheck = if config.contains("recheck") { "" } else { "delivery.recheck = \"500ms\"\n" };
        let config = format!("delivery.first_delay = \"200ms\"\ndelivery.max_delay = \"1s\"\n{recheck}{config}");
        let options = Options { partners, config, ..Options::new(root(), home(name), BINARY) };
        let world = World::start(&options).await.unwrap();
        let keys = world.note.keys().await.unwrap();
        let (mut partners, mut mail, mut receipts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (id, access) in &world.note.partners {
            let partner = Partner::connect(access.clone()).await.unwrap();
            if access.out.is_some() {
                mail.insert(id.clone(), Mailbox::open(partner.inbox().await.unwrap(), Arrival::from_queue));
            }
            let keys = keys.clone();
            let read = move |received| Proof::read(received, &keys);
            receipts.insert(id.clone(), Mailbox::open(partner.receipts().await.unwrap(), read));
            partners.insert(id.clone(), partner);
        }
        let versions = versions(&world.note.config);
        Scene { world, versions, partners, mail, receipts }
    }

    pub fn partner(&self, party: &str) -> &Partner {
        self.partners.get(&PartyId::new(party)).unwrap()
    }

    pub async fn send(&self, from: &str, event: &Event) {
        self.partner(from).publish(event).await.unwrap();
    }

    /// Everything that recipients got so far, and whose it is.
    pub fn everything(&self) -> Vec<(String, Arc<Arrival>)> {
        let queues = self.mail.iter().flat_map(|(party, mailbox)| {
            let all = mailbox.all();
            all.into_iter().map(|arrival| (party.to_string(), arrival))
        });
        let webhooks = self.world.webhooks.received().into_iter().map(|event| {
            let party = event.path.trim_start_matches('/').replacen('-', ":", 1);
            (party, Arc::new(Arrival::from_webhook(event)))
        });
        queues.chain(webhooks).collect()
    }

    /// What a recipient got of one message so far.
    pub fn arrivals(&self, party: &str, id: &str) -> Vec<Arc<Arrival>> {
        let ours = self.everything().into_iter().filter(|(whose, arrival)| whose == party && arrival.is_about(id));
        ours.map(|(_, arrival)| arrival).collect()
    }

    /// Everybody who got something of one message so far.
    pub fn recipients_of(&self, id: &str) -> Vec<String> {
        let mut whose: Vec<_> =
            self.everything().into_iter().filter(|(_, arrival)| arrival.is_about(id)).map(|(whose, _)| whose).collect();
        whose.sort();
        whose
    }

    /// The first that comes of one message at a recipient.
    pub async fn arrival(&self, party: &str, id: &str) -> Arc<Arrival> {
        let came = async {
            loop {
                let (webhooks, queue) = (self.world.webhooks.received().len(), self.mail.get(&PartyId::new(party)));
                let seen = queue.map_or(0, |mailbox| mailbox.all().len());
                if let Some(arrival) = self.arrivals(party, id).into_iter().next() {
                    return arrival;
                }
                match queue {
                    Some(mailbox) => mailbox.more_than(seen).await,
                    None => drop(self.world.webhooks.received_at_least(webhooks + 1).await),
                }
            }
        };
        self.in_time(&format!("{id} at {party}"), came).await
    }

    /// The receipts about one message, once there are so many; whatever is more is there too.
    pub async fn receipts(&self, from: &str, id: &str, count: usize) -> Vec<Arc<Proof>> {
        self.receipts_where(from, count, |receipt| receipt.message.id.as_deref() == Some(id)).await
    }

    /// About a message of which the gateway could read nothing: its bytes are its name.
    pub async fn receipts_for_bytes(&self, from: &str, bytes: &[u8], count: usize) -> Vec<Arc<Proof>> {
        let digest = digest_label(bytes);
        self.receipts_where(from, count, |receipt| receipt.message.digest == digest).await
    }

    async fn receipts_where(&self, from: &str, count: usize, ours: impl Fn(&Receipt) -> bool) -> Vec<Arc<Proof>> {
        let mailbox = &self.receipts[&PartyId::new(from)];
        let came = async {
            loop {
                let all = mailbox.all();
                let seen = all.len();
                let proofs: Vec<_> = all.into_iter().filter(|proof| ours(&proof.receipt)).collect();
                if proofs.len() >= count {
                    return proofs;
                }
                mailbox.more_than(seen + (count - proofs.len() - 1)).await;
            }
        };
        self.in_time(&format!("{count} receipts for {from}"), came).await
    }

    /// The receipts about the items of a list, once there are so many; whatever is more is there too.
    pub async fn receipts_of_items(&self, from: &str, list: &str, count: usize) -> Vec<Arc<Proof>> {
        let of_item = |id: &str| id.strip_prefix(list).is_some_and(|rest| rest.starts_with('#'));
        self.receipts_where(from, count, |receipt| receipt.message.id.as_deref().is_some_and(of_item)).await
    }

    /// What a recipient got of the items of a list, once there is so much of it; whatever is more is there too.
    pub async fn arrivals_of_items(&self, party: &str, list: &str, count: usize) -> Vec<Arc<Arrival>> {
        let mailbox = &self.mail[&PartyId::new(party)];
        let of_item = |arrival: &Arc<Arrival>| {
            let about = arrival.attributes.get("correlationid");
            about.and_then(|id| id.strip_prefix(list)).is_some_and(|rest| rest.starts_with('#'))
        };
        let came = async {
            loop {
                let all = mailbox.all();
                let seen = all.len();
                let ours: Vec<_> = all.into_iter().filter(of_item).collect();
                if ours.len() >= count {
                    return ours;
                }
                mailbox.more_than(seen + (count - ours.len() - 1)).await;
            }
        };
        self.in_time(&format!("{count} answers about {list}"), came).await
    }

    /// The one receipt about one message and one recipient.
    pub async fn receipt(&self, from: &str, id: &str, recipient: &str) -> Receipt {
        let about = |receipt: &Receipt| receipt.recipient.as_ref().is_some_and(|r| r.party.as_str() == recipient);
        let ours = |receipt: &Receipt| receipt.message.id.as_deref() == Some(id) && about(receipt);
        let proofs = self.receipts_where(from, 1, ours).await;
        assert_eq!(proofs.len(), 1, "receipts about {id} for {recipient}");
        proofs[0].receipt.clone()
    }

    /// Every receipt so far.
    pub fn proofs(&self) -> Vec<Arc<Proof>> {
        self.receipts.values().flat_map(Mailbox::all).collect()
    }

    /// The spans of a trace, once they are as wanted.
    pub async fn trace(&self, trace_id: &str, wanted: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let ours = |all: &[Span]| all.iter().filter(|span| span.trace_id == trace_id).cloned().collect::<Vec<_>>();
        let came = self.world.traces.wait_for(|all| wanted(&ours(all)));
        ours(&self.in_time(&format!("the trace {trace_id}"), came).await)
    }

    /// Waits until the gateway says in the trace of a message that it waits for somebody.
    pub async fn waits_as(&self, trace_id: &str, outcome: &str) {
        let says = |span: &Span| span.attributes.get("ketenpoort.outcome").is_some_and(|o| o == outcome);
        self.trace(trace_id, |spans| spans.iter().any(says)).await;
    }

    /// Of one message, as `parked list` shows them.
    pub async fn parked(&self, id: &str) -> Vec<Value> {
        self.waiting(100).await.into_iter().filter(|row| row["id"] == id).collect()
    }

    /// Whatever waits, as `parked list` shows it, also where no gateway runs.
    pub async fn waiting(&self, limit: usize) -> Vec<Value> {
        let list = self.command(&["parked", "list", "--json", "--limit", &limit.to_string()]).await;
        serde_json::from_str(&list).unwrap()
    }

    /// What a command says, on the gateway's own configuration; it must end well.
    pub async fn command(&self, arguments: &[&str]) -> String {
        let mut command = tokio::process::Command::new(BINARY);
        command.args(arguments).arg("--config").arg(&self.world.note.config);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.world.home.join("gateway.log")).unwrap()
    }

    pub async fn in_time<T>(&self, what: &str, came: impl Future<Output = T>) -> T {
        let Ok(came) = timeout(WITHIN, came).await else {
            panic!("{what}: nothing within {WITHIN:?}; see {}", self.world.home.display())
        };
        came
    }
}

fn versions(config: &Path) -> (String, String) {
    let Files { schemas, policies, mappings, partners } = Config::read(config, &|_| None).unwrap().files;
    let sources = Sources::read(&schemas, &policies, &mappings).unwrap();
    let directory = Arc::new(Directory::read(&partners).unwrap());
    let pipeline = Pipeline::load(&sources, directory, Limits::default(), &[0; 32]).unwrap();
    (pipeline.engine.version.clone(), pipeline.mapping_version())
}

/// Of a world that starts once only.
fn home(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gateway-{name}"))
}

/// Everything that came on one queue, in that order.
struct Mailbox<T>(watch::Receiver<Vec<Arc<T>>>);

impl<T: Send + Sync + 'static> Mailbox<T> {
    fn open(mut inbox: Inbox, read: impl Fn(Received) -> T + Send + 'static) -> Mailbox<T> {
        let (all, seen) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(received) = inbox.take().await {
                let read = Arc::new(read(received));
                all.send_modify(|all| all.push(read));
            }
        });
        Mailbox(seen)
    }

    fn all(&self) -> Vec<Arc<T>> {
        self.0.borrow().clone()
    }

    async fn more_than(&self, count: usize) {
        let closed = self.0.clone().wait_for(|all| all.len() > count).await.is_err();
        assert!(!closed, "the queue was closed");
    }
}

/// What a recipient got, whichever way.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// CloudEvents attributes.
    pub attributes: BTreeMap<String, String>,
    /// All of them, where it came over a queue.
    pub headers: BTreeMap<String, String>,
    pub content_type: String,
    pub body: Vec<u8>,
    pub traceparent: Option<String>,
    /// By which a repetition is recognised.
    pub key: String,
    pub structured: bool,
    /// How often it was sent.
    pub offered: u32,
}

impl Arrival {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn is_about(&self, id: &str) -> bool {
        self.attributes.get("correlationid").is_some_and(|about| about == id)
    }

    fn from_queue(received: Received) -> Arrival {
        let attribute =
            |(name, value): (&String, &String)| Some((name.strip_prefix("cloudEvents_")?.to_owned(), value.clone()));
        let key = received.properties.message_id().as_ref().map_or("", |id| id.as_str());
        Arrival {
            attributes: received.headers.iter().filter_map(attribute).collect(),
            content_type: received.content_type().to_owned(),
            traceparent: received.headers.get("traceparent").cloned(),
            key: key.to_owned(),
            structured: false,
            offered: 1,
            body: received.body.into_personal_data(),
            headers: received.headers,
        }
    }

    /// That the idempotency key is the id, the recipient itself insists on.
    fn from_webhook(received: recipient::Received) -> Arrival {
        Arrival {
            content_type: received.attributes["datacontenttype"].clone(),
            key: received.attributes["id"].clone(),
            body: received.data.into_personal_data(),
            traceparent: received.traceparent,
            structured: received.structured,
            offered: received.offered,
            attributes: received.attributes,
            headers: BTreeMap::new(),
        }
    }
}

/// A receipt that verifies against the published keys, and its very text.
pub struct Proof {
    pub receipt: Receipt,
    pub jws: String,
    /// Of the message that brought it.
    pub headers: BTreeMap<String, String>,
}

impl Proof {
    fn read(received: Received, keys: &KeySet) -> Proof {
        let (receipt, jws) = received.receipt(keys).unwrap();
        Proof { receipt, jws, headers: received.headers }
    }
}
