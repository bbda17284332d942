use super::exit;
use crate::demo::bag::{self, End, Got, Item, Partners};
use crate::demo::partner::Event;
use crate::demo::process::Program;
use crate::demo::show::Screen;
use crate::demo::{Error, Note, Options, World};
use crate::facts::dutch_day;
use crate::simulators::recipient::Recipient;
use jiff::Timestamp;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// As `println!`, for a reader that may have seen enough.
macro_rules! say {
    ($($text:tt)*) => { super::print_bytes(format!("{}\n", format_args!($($text)*)).as_bytes()) };
}

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
    let stop = stop_on_signal()?;
    let items = bag::read(&args.root.join("deploy/demo/messages.yaml"), dutch_day(Timestamp::now()))?;
    let options = Options { port: args.port, ..Options::new(&args.root, &args.home, std::env::current_exe()?) };
    say!("{}", screen.title("Starting a broker, simulated partners and the gateway"));
    // Not broken off halfway: what is half made could not be cleaned up.
    let mut world = World::start(&options).await?;
    say!("The gateway takes messages. Ledger, receipts and logs are in {}", args.home.display());
    let mut partners = Partners::connect(&world).await?;
    let mut surprises = tokio::select! {
        surprises = send_all(&items, &mut partners, &world, screen) => surprises?,
        () = stop.cancelled() => return Ok(false),
    };
    if args.once {
        world.stop_gateway().await?;
        let left_over = partners.left_over().await;
        left_over.iter().for_each(|surprise| say!("NOT AS EXPECTED: {surprise}"));
        surprises += left_over.len();
    }
    match surprises {
        0 => say!("\n{} messages, each ended as expected.", items.len()),
        _ => say!("\n{} messages; {surprises} things were not as expected.", items.len()),
    }
    if !args.once {
        where_things_are(args, &world, screen);
        let webhooks = world.webhooks.clone();
        tokio::select! {
            error = world.gateway_ended() => return Err(error),
            () = watch(webhooks, partners, screen) => {}
            () = stop.cancelled() => say!("\nstopping"),
        }
        world.stop_gateway().await?;
    }
    Ok(surprises == 0)
}

/// Cancelled by Ctrl-C, or when the system says stop.
fn stop_on_signal() -> Result<CancellationToken, Error> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(stop)
}

/// How many things were not as expected.
async fn send_all(items: &[Item], partners: &mut Partners, world: &World, screen: Screen) -> Result<usize, Error> {
    let mut surprises = 0;
    for (index, item) in items.iter().enumerate() {
        super::print_bytes(screen.sent(index + 1, item).as_bytes());
        let told = partners.send(item).await?;
        surprises += told.surprises.len();
        super::print_bytes(screen.told(item, &told, &world.note.traces).as_bytes());
    }
    Ok(surprises)
}

/// Shows what recipients get, for as long as somebody watches.
async fn watch(webhooks: Recipient, partners: Partners, screen: Screen) {
    let mut tasks = JoinSet::new();
    for (party, mut inbox) in partners.into_inboxes() {
        tasks.spawn(async move {
            while let Ok(received) = inbox.take().await {
                say!("{}", screen.arrival(party.as_str(), &Got::from_queue(&received)));
            }
        });
    }
    let mut seen = webhooks.received().len();
    loop {
        for event in &webhooks.received_at_least(seen + 1).await[seen..] {
            seen += 1;
            say!("{}", screen.arrival(&format!("webhook {}", event.path), &Got::from_webhook(event)));
        }
    }
}

fn where_things_are(args: &Args, world: &World, screen: Screen) {
    let me = std::env::args().next().unwrap_or_else(|| "ketenpoort".to_owned());
    let (home, http, traces) = (args.home.display(), &world.note.http, &world.note.traces);
    say!("\n{}", screen.title("It stays up until Ctrl-C. In another terminal:"));
    say!("  {me} parked list --config {home}/ketenpoort.toml");
    say!("  {me} receipt verify {home}/receipts/ID.jws --jwks {home}/jwks.json");
    say!("  {me} demo send {}/deploy/demo/messages/leave-schiedam.xml \\", args.root.display());
    say!("    --home {home} --from dji --sequence 2 --type nl.ketenpoort.detentie.verlof-aangekondigd.v1");
    say!("{}", screen.title("And to look at:"));
    say!("  traces     {traces}");
    say!("  metrics    {http}/metrics");
    say!("  health     {http}/health/ready");
    say!("  keys       {http}/.well-known/jwks.json");
    say!("  interface  {http}/v1/openapi.json");
    say!("  logs       {home}/gateway.log");
    say!("  ledger     {home}/ledger.db");
    say!("\n{}", screen.title("What recipients get from now on:"));
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
    say!("{} sent {}; its receipts, until there was none for {QUIET:?}:", args.from, event.id);
    let screen = Screen::of_this_terminal();
    let show = |end: End| {
        super::print_bytes(screen.ends(std::slice::from_ref(&end)).as_bytes());
        end.trace_id.iter().for_each(|trace| say!("    trace {}/traces/{trace}", note.traces));
    };
    while let Ok(received) = receipts.next(QUIET).await {
        let (receipt, jws) = received.receipt(&keys)?;
        let file = args.home.join("receipts").join(format!("{}.jws", receipt.id));
        std::fs::write(&file, jws)?;
        show(End::of(receipt, Some(file)));
    }
    let gateway = Program::beside(&note, std::env::current_exe()?);
    bag::waiting(&gateway, &event.id).await?.into_iter().for_each(show);
    Ok(())
}
