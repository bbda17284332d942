//! A world that many tests can be in at once: everything that anybody receives is kept, and each test looks for
//! its own. A wait ends with the event it is for; its deadline only bounds a failure.

use ketenpoort::catalogue::Sources;
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
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;
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

/// The one that tests share that break nothing in it. It ends with the last of them: a static is never dropped, and
/// would leave a gateway and a virtual host behind.
pub async fn shared() -> Arc<Scene> {
    static SHARED: tokio::sync::Mutex<Weak<Scene>> = tokio::sync::Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(scene) = shared.upgrade() {
        return scene;
    }
    let scene = Arc::new(Scene::start("shared", "").await);
    *shared = Arc::downgrade(&scene);
    scene
}

pub struct Scene {
    pub world: World,
    pub keys: KeySet,
    /// Of the policies, and of mappings and directory, as the gateway must have found them.
    pub versions: (String, String),
    partners: BTreeMap<PartyId, Partner>,
    mail: BTreeMap<PartyId, Mailbox>,
    receipts: BTreeMap<PartyId, Mailbox>,
}

impl Scene {
    /// `config` goes over what a world has. Afterwards its home is left for whoever looks into a failure.
    pub async fn start(name: &str, config: &str) -> Scene {
        let config = format!(
            "[delivery]\nfirst_delay = \"200ms\"\nmax_delay = \"1s\"\nrecheck = \"500ms\"\n\
             [telemetry]\nlog_filter = \"trace\"\n{config}"
        );
        let partners = root().join("tests/gateway");
        let options = Options { partners, config, ..Options::new(root(), home(name), BINARY) };
        let world = World::start(&options).await.unwrap();
        let (mut partners, mut mail, mut receipts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (id, access) in &world.note.partners {
            let partner = Partner::connect(access.clone()).await.unwrap();
            if access.out.is_some() {
                mail.insert(id.clone(), Mailbox::open(partner.inbox().await.unwrap()));
            }
            receipts.insert(id.clone(), Mailbox::open(partner.receipts().await.unwrap()));
            partners.insert(id.clone(), partner);
        }
        let keys = world.note.keys().await.unwrap();
        let versions = versions(&world.home);
        Scene { world, keys, versions, partners, mail, receipts }
    }

    pub fn partner(&self, party: &str) -> &Partner {
        self.partners.get(&PartyId::new(party)).unwrap()
    }

    pub async fn send(&self, from: &str, event: &Event) {
        self.partner(from).publish(event).await.unwrap();
    }

    /// What came of one message at a recipient, now.
    pub fn arrivals(&self, party: &str, id: &str) -> Vec<Arrival> {
        let ours = |arrival: &Arrival| arrival.attributes.get("correlationid").is_some_and(|about| about == id);
        match self.mail.get(&PartyId::new(party)) {
            Some(mailbox) => mailbox.all().iter().map(Arrival::from_queue).filter(ours).collect(),
            None => {
                let path = format!("/{}", party.replace(':', "-"));
                let here = self.world.webhooks.received().into_iter().filter(|event| event.path == path);
                here.map(Arrival::from_webhook).filter(ours).collect()
            }
        }
    }

    /// The first that comes of one message at a recipient.
    pub async fn arrival(&self, party: &str, id: &str) -> Arrival {
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
    pub async fn receipts(&self, from: &str, id: &str, count: usize) -> Vec<Proof> {
        self.receipts_where(from, count, |receipt| receipt.message.id.as_deref() == Some(id)).await
    }

    /// About a message of which the gateway could read nothing: its bytes are its name.
    pub async fn receipts_for_bytes(&self, from: &str, bytes: &[u8], count: usize) -> Vec<Proof> {
        let digest = digest_label(bytes);
        self.receipts_where(from, count, |receipt| receipt.message.digest == digest).await
    }

    async fn receipts_where(&self, from: &str, count: usize, ours: impl Fn(&Receipt) -> bool) -> Vec<Proof> {
        let mailbox = &self.receipts[&PartyId::new(from)];
        let came = async {
            loop {
                let all = mailbox.all();
                let proofs: Vec<_> = all.iter().map(|r| self.proof(r)).filter(|proof| ours(&proof.receipt)).collect();
                if proofs.len() >= count {
                    return proofs;
                }
                mailbox.more_than(all.len()).await;
            }
        };
        self.in_time(&format!("{count} receipts for {from}"), came).await
    }

    fn proof(&self, received: &Received) -> Proof {
        let (receipt, jws) = received.receipt(&self.keys).unwrap();
        Proof { receipt, jws, sent: received.clone() }
    }

    /// The one receipt about one message and one recipient.
    pub async fn receipt(&self, from: &str, id: &str, recipient: &str) -> Receipt {
        let about = |receipt: &Receipt| receipt.recipient.as_ref().is_some_and(|r| r.party.as_str() == recipient);
        let ours = |receipt: &Receipt| receipt.message.id.as_deref() == Some(id) && about(receipt);
        let mut proofs = self.receipts_where(from, 1, ours).await;
        assert_eq!(proofs.len(), 1, "receipts about {id} for {recipient}");
        proofs.remove(0).receipt
    }

    /// Everything that anybody received, for a search.
    pub fn everything_received(&self) -> (Vec<Received>, Vec<recipient::Received>) {
        let queues = self.mail.values().chain(self.receipts.values());
        (queues.flat_map(Mailbox::all).collect(), self.world.webhooks.received())
    }

    /// Everybody who received something of one message.
    pub fn recipients_of(&self, id: &str) -> Vec<String> {
        let ours = |arrival: &Arrival| arrival.attributes.get("correlationid").is_some_and(|about| about == id);
        let by_queue = self.mail.iter().flat_map(|(party, mailbox)| {
            let arrivals: Vec<_> = mailbox.all().iter().map(Arrival::from_queue).filter(ours).collect();
            arrivals.into_iter().map(|_| party.to_string())
        });
        let by_webhook = self.world.webhooks.received().into_iter().map(|event| (event.path.clone(), event));
        let by_webhook = by_webhook.filter(|(_, event)| ours(&Arrival::from_webhook(event.clone())));
        by_queue.chain(by_webhook.map(|(path, _)| path.trim_start_matches('/').replacen('-', ":", 1))).collect()
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
        let rows: Vec<Value> = serde_json::from_str(&self.command(&["parked", "list", "--json"]).await).unwrap();
        rows.into_iter().filter(|row| row["id"] == id).collect()
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

fn versions(home: &Path) -> (String, String) {
    let [schemas, policies, mappings, partners] =
        ["schemas", "policies", "mappings", "partners"].map(|name| home.join(name));
    let sources = Sources::read(&schemas, &policies, &mappings).unwrap();
    let directory = Arc::new(Directory::read(&partners).unwrap());
    let pipeline = Pipeline::load(&sources, directory, Limits::default(), &[0; 32]).unwrap();
    (pipeline.engine.version.clone(), pipeline.mapping_version())
}

fn home(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gateway-{name}-{n}"))
}

/// Everything that came on one queue, in that order.
struct Mailbox(watch::Receiver<Vec<Received>>);

impl Mailbox {
    fn open(mut inbox: Inbox) -> Mailbox {
        let (all, seen) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(received) = inbox.take().await {
                all.send_modify(|all| all.push(received));
            }
        });
        Mailbox(seen)
    }

    fn all(&self) -> Vec<Received> {
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

    fn from_queue(received: &Received) -> Arrival {
        let attribute =
            |(name, value): (&String, &String)| Some((name.strip_prefix("cloudEvents_")?.to_owned(), value.clone()));
        let key = received.properties.message_id().as_ref().map_or("", |id| id.as_str());
        Arrival {
            attributes: received.headers.iter().filter_map(attribute).collect(),
            content_type: received.content_type().to_owned(),
            body: received.body.reveal_personal_data().clone(),
            traceparent: received.headers.get("traceparent").cloned(),
            key: key.to_owned(),
            structured: false,
            offered: 1,
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
        }
    }
}

/// A receipt that verifies against the published keys, and its very text.
pub struct Proof {
    pub receipt: Receipt,
    pub jws: String,
    pub sent: Received,
}
