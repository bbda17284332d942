use super::{ConfigArg, exit, print_json, print_text, report};
use crate::explain::{decision_lines, dutch_time, reason_lines};
use crate::ledger::{self, DeliveryKey, Ledger, Place, Row};
use crate::outcome::Outcome;
use jiff::Timestamp;
use std::fmt::Write;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Works beside a running gateway, which takes up what is replayed at once. Who decided what, when \
    and why is kept in the ledger.\n\n\
    Example:\n  ketenpoort parked list --outcome parked\n  ketenpoort parked show 42\n  \
    ketenpoort parked replay 42 --why 'queue was declared'"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    config: ConfigArg,
    /// The file of the ledger itself, where the configuration cannot be read
    #[arg(long, value_name = "FILE", global = true)]
    ledger: Option<PathBuf>,
    /// Answer as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List deliveries that wait, the oldest first
    #[command(after_help = "Example:\n  ketenpoort parked list --outcome parked --outcome awaiting_assessment")]
    List {
        /// Only with this outcome; may be given more than once
        #[arg(long, value_parser = waiting_outcome, default_values = ["held", "awaiting_assessment", "retrying", "parked"])]
        outcome: Vec<Outcome>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one delivery; never its content
    #[command(after_help = "Example:\n  ketenpoort parked show 42 --json")]
    Show { delivery: i64 },
    /// Try a delivery again now
    #[command(after_help = "Example:\n  ketenpoort parked replay 42 --why 'queue was declared'")]
    Replay {
        delivery: i64,
        #[command(flatten)]
        who: Who,
        /// Kept in the ledger; no personal data
        #[arg(long, default_value = "")]
        why: String,
    },
    /// Give a delivery up for good; the sender gets a receipt that says so
    #[command(after_help = "Example:\n  ketenpoort parked discard 42 --why 'party left the directory on 1 March'")]
    Discard {
        delivery: i64,
        #[command(flatten)]
        who: Who,
        /// Kept in the ledger; no personal data
        #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        why: String,
    },
}

#[derive(Debug, clap::Args)]
struct Who {
    /// Who decides
    #[arg(long = "who", env = "USER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
}

fn waiting_outcome(name: &str) -> Result<Outcome, String> {
    let waiting = || Outcome::ALL.iter().filter(|outcome| !outcome.is_final());
    let names = || waiting().map(|outcome| outcome.as_str()).collect::<Vec<_>>().join(", ");
    waiting().copied().find(|outcome| outcome.as_str() == name).ok_or_else(|| format!("one of {}", names()))
}

pub fn run(args: Args) -> u8 {
    let given = args.ledger.clone().map(Place::File);
    let place = match given.map_or_else(|| args.config.read().map(|config| config.ledger.place), Ok) {
        Ok(place) => place,
        Err(findings) => {
            report(&findings);
            return exit::CONFIG;
        }
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return exit::FAILED;
    };
    let done = runtime.block_on(async {
        let ledger = Ledger::open_beside(place.clone()).await?;
        let done = act(&ledger, args).await;
        ledger.close().await;
        done
    });
    match done {
        Ok(()) => exit::OK,
        Err(error) => {
            eprintln!("{place}: {error}");
            if matches!(error, ledger::Error::NoSuchRow) { exit::INPUT } else { exit::FAILED }
        }
    }
}

async fn act(ledger: &Ledger, args: Args) -> Result<(), ledger::Error> {
    let now = Timestamp::now();
    let (key, done) = match args.command {
        Command::List { outcome, limit } => {
            let rows = ledger.list(&outcome, limit).await?;
            if args.json {
                print_json(&rows);
            } else {
                print_text(&list(&rows, now));
            }
            return Ok(());
        }
        Command::Show { delivery } => {
            let row = ledger.delivery(DeliveryKey(delivery)).await?;
            if args.json {
                print_json(&row);
            } else {
                print_text(&show(&row, now));
            }
            return Ok(());
        }
        Command::Replay { delivery, who, why } => {
            ledger.replay(DeliveryKey(delivery), &who.name, &why, now).await?;
            (delivery, "replayed")
        }
        Command::Discard { delivery, who, why } => {
            ledger.discard(DeliveryKey(delivery), &who.name, &why, now).await?;
            (delivery, "discarded")
        }
    };
    if args.json {
        print_json(&serde_json::json!({ "delivery": key, "done": done }));
    } else {
        print_text(&format!("delivery {key} is {done}\n"));
    }
    Ok(())
}

fn list(rows: &[Row], now: Timestamp) -> String {
    let head = ["DELIVERY", "OUTCOME", "AGE", "AGAIN AT", "RECIPIENT", "TYPE", "REASON"].map(str::to_owned);
    let cells = rows.iter().map(|row| {
        [
            row.delivery.to_string(),
            row.outcome.as_str().to_owned(),
            age(row.received_at, now),
            row.again_at.map_or_else(|| "-".to_owned(), dutch_time),
            row.recipient.as_ref().map_or("-", |recipient| recipient.as_str()).to_owned(),
            row.kind.as_deref().unwrap_or("-").to_owned(),
            row.reason.as_ref().map_or("-".to_owned(), |reason| format!("{} {}", reason.code, reason.title)),
        ]
    });
    let table: Vec<_> = std::iter::once(head).chain(cells).collect();
    let width = |column: usize| table.iter().map(|cells| cells[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut out = String::new();
    for cells in &table {
        let padded: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(out, "{}", padded.join("  ").trim_end());
    }
    out
}

fn show(row: &Row, now: Timestamp) -> String {
    let mut out = format!("delivery {}: {}\n", row.delivery, row.outcome.as_str());
    if let Some(reason) = &row.reason {
        reason_lines(&mut out, reason, "  ");
    }
    let since = |at: Timestamp| format!("{at} ({} ago)", age(at, now));
    let recipient = row.recipient.as_ref().map(|recipient| match &row.role {
        Some(role) => format!("{recipient} as {role}"),
        None => recipient.to_string(),
    });
    let lines = [
        ("type", row.kind.clone()),
        ("from", Some(row.sender.to_string())),
        ("source", Some(row.source.clone())),
        ("id", Some(row.id.clone())),
        ("recipient", recipient),
        ("received", Some(since(row.received_at))),
        ("changed", Some(since(row.changed_at))),
        ("again at", row.again_at.map(dutch_time)),
        ("attempts", Some(row.attempts.to_string())),
        ("trace", row.trace_id.clone()),
        ("receipt", row.receipt_id.map(|id| id.to_string())),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            let _ = writeln!(out, "  {name:<10} {value}");
        }
    }
    decision_lines(&mut out, &row.decision, "  ");
    out
}

/// The two largest units, as in `3d 4h`.
fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    let units = [("d", seconds / 86_400), ("h", seconds / 3600 % 24), ("m", seconds / 60 % 60), ("s", seconds % 60)];
    let first = units.iter().position(|(_, count)| *count > 0).unwrap_or(units.len() - 1);
    let two = units[first..].iter().take(2).filter(|(unit, count)| *count > 0 || *unit == units[first].0);
    two.map(|(unit, count)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;
    use crate::outcome::Reason;
    use crate::party::{PartyId, Role};

    fn row() -> Row {
        Row {
            delivery: 42,
            source: "urn:nld:oin:00000099000000001000:systeem:x".to_owned(),
            id: "a-1".to_owned(),
            kind: Some("nl.ketenpoort.x.v1".to_owned()),
            sender: PartyId::new("dji"),
            recipient: Some(PartyId::new("gemeente:0363")),
            role: Some(Role::new("gemeente-college")),
            outcome: Outcome::Parked,
            reason: Some(Reason::new(Code::RecipientRefused, "the recipient answered with status 410")),
            attempts: 3,
            received_at: "2026-11-20T08:00:00Z".parse().unwrap(),
            changed_at: "2026-11-24T09:59:00Z".parse().unwrap(),
            again_at: None,
            trace_id: None,
            decision: crate::receipt::Decision::default(),
            receipt_id: None,
        }
    }

    const NOW: &str = "2026-11-24T10:00:00Z";

    #[test]
    fn a_list_lines_up() {
        let unknown = Row { delivery: 7, recipient: None, kind: None, reason: None, ..row() };
        let reason = Some(Reason::new(Code::Held, Code::Held.hint()));
        let again_at = Some("2027-01-31T23:00:00Z".parse().unwrap());
        let held = Row { delivery: 8, outcome: Outcome::Held, reason, again_at, ..row() };
        let text = list(&[row(), unknown, held], NOW.parse().unwrap());
        let expected = "\
DELIVERY  OUTCOME  AGE    AGAIN AT              RECIPIENT      TYPE                REASON
42        parked   4d 2h  -                     gemeente:0363  nl.ketenpoort.x.v1  KP-5005 the recipient refuses the message for good
7         parked   4d 2h  -                     -              -                   -
8         held     4d 2h  2027-02-01 00:00 CET  gemeente:0363  nl.ketenpoort.x.v1  KP-3008 too early: held until the date on which it may be shared
";
        assert_eq!(text, expected);
    }

    #[test]
    fn one_delivery_tells_its_reason_and_its_ages() {
        let text = show(&row(), NOW.parse().unwrap());
        for part in
            ["KP-5005", "status 410", "gemeente:0363 as gemeente-college", "(4d 2h ago)", "(1m ago)", "attempts   3"]
        {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains("again at"));
    }

    #[test]
    fn ages() {
        let table = [(0, "0s"), (-5, "0s"), (59, "59s"), (60, "1m"), (3661, "1h 1m"), (3601, "1h"), (90_000, "1d 1h")];
        for (seconds, expected) in table {
            let since = Timestamp::from_second(1_000_000).unwrap();
            assert_eq!(age(since, since + jiff::SignedDuration::from_secs(seconds)), expected);
        }
    }
}
