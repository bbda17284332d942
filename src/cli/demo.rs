use super::exit;
use crate::demo::bag::{self, End, Got, Partners};
use crate::demo::partner::Event;
use crate::demo::show::Screen;
use crate::demo::{Error, Note, Options, World};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// After so long without a receipt, what is not there waits for something else than us.
const QUIET: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Everything but the broker is simulated, on this machine only, and persons are fictitious. The broker \
    comes from deploy/broker.sh: one that runs already is used, under a virtual host of its own."
)]
pub struct Args {
    #[command(subcommand)]
    then: Option<Then>,
    /// End after the messages; well only if each ended as deploy/demo/messages.yaml expects
    #[arg(long)]
    once: bool,
    /// Where ledger, keys, receipts and logs go; that of an earlier demo is replaced
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    home: PathBuf,
    /// Where the gateway answers over HTTP; a free port where left out
    #[arg(long)]
    port: Option<u16>,
    /// Holds schemas, policies, mappings and deploy
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
enum Then {
    /// Send a message of your own to a demo that runs, and show its receipts
    Send(Send),
}

#[derive(Debug, clap::Args)]
struct Send {
    /// The data alone, as XML or JSON
    file: PathBuf,
    /// As in dji, gemeente:0606 or zvh:rotterdam-rijnmond
    #[arg(long, value_name = "PARTY")]
    from: String,
    #[arg(long)]
    r#type: String,
    /// A new one where left out
    #[arg(long)]
    id: Option<String>,
    #[arg(long)]
    sequence: Option<i64>,
    /// The home of the demo
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    home: PathBuf,
}

pub fn run(args: &Args) -> u8 {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{error}");
            return exit::FAILED;
        }
    };
    let done = runtime.block_on(async {
        match &args.then {
            Some(Then::Send(send)) => send_one(send).await.map(|()| true),
            None => demo(args).await,
        }
    });
    match done {
        Ok(true) => exit::OK,
        Ok(false) => exit::FAILED,
        Err(error) => {
            eprintln!("demo: {error}");
            exit::FAILED
        }
    }
}

/// Did everything end as expected?
async fn demo(args: &Args) -> Result<bool, Error> {
    let screen = Screen::of_this_terminal();
    let messages = tokio::select! {
        sent = send_all(args, screen) => sent?,
        // What was started so far is dropped, and ends.
        _ = tokio::signal::ctrl_c() => return Ok(false),
    };
    let Sent { mut world, mut partners, count, mut surprises } = messages;
    if args.once {
        world.stop_gateway().await?;
        let left_over = partners.left_over().await;
        left_over.iter().for_each(|surprise| println!("NOT AS EXPECTED: {surprise}"));
        surprises += left_over.len();
    }
    match surprises {
        0 => println!("\n{count} messages, each ended as expected."),
        _ => println!("\n{count} messages; {surprises} things were not as expected."),
    }
    if !args.once {
        stay(args, &world, partners, screen).await?;
        world.stop_gateway().await?;
    }
    Ok(surprises == 0)
}

struct Sent {
    world: World,
    partners: Partners,
    count: usize,
    surprises: usize,
}

async fn send_all(args: &Args, screen: Screen) -> Result<Sent, Error> {
    let items = bag::read(&args.root.join("deploy/demo/messages.yaml"))?;
    let options = Options { port: args.port, ..Options::new(&args.root, &args.home, std::env::current_exe()?) };
    println!("{}", screen.title("Starting a broker, simulated partners and the gateway"));
    let world = World::start(&options).await?;
    println!("The gateway takes messages. Ledger, receipts and logs are in {}", args.home.display());
    let mut partners = Partners::connect(&world).await?;
    let mut surprises = 0;
    for (index, item) in items.iter().enumerate() {
        print!("{}", screen.sent(index + 1, item));
        let told = partners.send(item).await?;
        surprises += told.surprises.len();
        print!("{}", screen.told(item, &told, &world.note.traces));
    }
    Ok(Sent { world, partners, count: items.len(), surprises })
}

/// Shows what recipients get, until Ctrl-C.
async fn stay(args: &Args, world: &World, partners: Partners, screen: Screen) -> Result<(), Error> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for (party, mut inbox) in partners.into_inboxes() {
        let tell = tell.clone();
        tasks.spawn(async move {
            while let Ok(received) = inbox.take().await {
                let _ = tell.send((party.to_string(), Got::from_queue(&received)));
            }
        });
    }
    let webhooks = world.webhooks.clone();
    tasks.spawn(async move {
        let mut seen = webhooks.received().len();
        loop {
            for event in &webhooks.received_at_least(seen + 1).await[seen..] {
                seen += 1;
                let _ = tell.send((format!("webhook {}", event.path), Got::from_webhook(event)));
            }
        }
    });
    where_things_are(args, world, screen);
    loop {
        tokio::select! {
            Some((recipient, got)) = told.recv() => println!("{}", screen.arrival(&recipient, &got)),
            done = tokio::signal::ctrl_c() => return Ok(done?),
        }
    }
}

fn where_things_are(args: &Args, world: &World, screen: Screen) {
    let (home, http, traces) = (args.home.display(), &world.note.http, &world.note.traces);
    let config = format!("--config {home}/ketenpoort.toml");
    println!("\n{}", screen.title("It stays up until Ctrl-C. In another terminal:"));
    println!("  what waits for a person   ketenpoort parked list {config}");
    println!("  verify a receipt          curl -s {http}/.well-known/jwks.json > {home}/jwks.json");
    println!("                            ketenpoort receipt verify {home}/receipts/<ID>.jws --jwks {home}/jwks.json");
    println!("  a message of your own     ketenpoort demo send FILE --home {home} --from dji --sequence 1 \\");
    println!("                              --type nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1");
    println!("  traces                    {traces}");
    println!("  metrics, health           {http}/metrics  {http}/health/ready");
    println!("  the HTTP interface        {http}/v1/openapi.json");
    println!("  logs, ledger              {home}/gateway.log  {home}/ledger.db");
    println!("\n{}", screen.title("What recipients get from now on:"));
}

async fn send_one(args: &Send) -> Result<(), Error> {
    let note = Note::read(&args.home)?;
    let keys = note.keys().await?;
    let data = std::fs::read(&args.file).map_err(|error| Error::File(args.file.clone(), error.to_string()))?;
    let mut event = Event { sequence: args.sequence, ..Event::new(&args.r#type, data) };
    if let Some(id) = &args.id {
        event.id.clone_from(id);
    }
    let partner = note.partner(&args.from).await?;
    let mut receipts = partner.receipts().await?;
    partner.publish(&event).await?;
    println!("{} sent {}", args.from, event.id);
    let screen = Screen::of_this_terminal();
    let mut count = 0;
    while let Ok(received) = receipts.next(QUIET).await {
        let (receipt, jws) = received.receipt(&keys)?;
        let file = args.home.join("receipts").join(format!("{}.jws", receipt.id));
        std::fs::write(&file, jws)?;
        let trace = receipt.trace_id.clone();
        print!("{}", screen.ends(&[End::of(receipt, Some(file))]));
        trace.iter().for_each(|trace| println!("    trace {}/traces/{trace}", note.traces));
        count += 1;
    }
    println!("{count} receipts, and none since {QUIET:?}. What has not ended:");
    println!("  ketenpoort parked list --config {}", note.config.display());
    Ok(())
}
