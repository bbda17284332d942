use super::{FilesArgs, check, exit, report};
use crate::check::raw_message;
use crate::core::Pipeline;
use crate::envelope::RawMessage;
use crate::explain::explain_by;
use crate::facts::{Facts, Person, dutch_day};
use crate::outcome::Outcome;
use crate::party::Oin;
use crate::personal::Personal;
use crate::simulators::iris::People;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "FILE is a CloudEvent as JSON (structured mode), or the data alone, as XML or JSON, with --type.\n\n\
    Example:\n  ketenpoort explain release.xml --type nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1 \\\n    \
    --from dji --facts facts.json"
)]
pub struct Args {
    /// The message
    file: PathBuf,
    /// The party that sends it; told from `source` where left out
    #[arg(long, value_name = "PARTY")]
    from: Option<String>,
    /// The message type, where the file holds the data alone
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
    /// What IRIS knows of the person (schemas/iris/feiten.schema.json), or of many, as in deploy/demo/iris.json; left
    /// out, the facts cannot be had
    #[arg(long, value_name = "FACTS.json")]
    facts: Option<PathBuf>,
    /// Decide as if it were this moment
    #[arg(long, value_name = "RFC3339")]
    now: Option<Timestamp>,
    /// Answer as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    files: FilesArgs,
}

pub fn run(args: Args) -> u8 {
    let pipeline = match check::load(&args.files) {
        Ok((_, pipeline)) => pipeline,
        Err(findings) => {
            report(&findings);
            return exit::CONFIG;
        }
    };
    let now = args.now.unwrap_or_else(Timestamp::now);
    let read = message(&args, &pipeline).and_then(|raw| Ok((raw, facts(args.facts.as_deref(), now)?)));
    let (raw, facts) = match read {
        Ok(read) => read,
        Err(error) => {
            eprintln!("{error}");
            return exit::INPUT;
        }
    };
    let explained = explain_by(&pipeline, &raw, &|person| facts.of(person), now);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&explained).unwrap_or_default());
    } else {
        print!("{}", explained.for_a_person());
    }
    if explained.outcome == Outcome::Rejected { exit::INPUT } else { exit::OK }
}

fn message(args: &Args, pipeline: &Pipeline) -> Result<RawMessage, String> {
    let body = std::fs::read(&args.file).map_err(|e| format!("{}: {e}", args.file.display()))?;
    if let Some(kind) = &args.r#type {
        let from = args.from.as_deref().ok_or("with --type, say who sends it: --from PARTY")?;
        return raw_message(pipeline, from, kind, body, &BTreeMap::new());
    }
    let event: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let oin = event["source"].as_str().and_then(|s| s.strip_prefix("urn:nld:oin:")?.split(':').next());
    let by_source = oin.and_then(Oin::parse).and_then(|oin| pipeline.directory.by_oin(&oin));
    let party = match &args.from {
        Some(id) => pipeline.directory.by_id(&crate::party::PartyId::new(id.as_str())),
        None => by_source,
    };
    let user = party.and_then(|party| party.users.first().cloned());
    Ok(RawMessage {
        body: Personal::new(body),
        content_type: Some("application/cloudevents+json".to_owned()),
        queue_of: party.map(|party| party.id.clone()),
        user_id: user,
        ..RawMessage::default()
    })
}

enum Given {
    Nothing,
    OfAnybody(Box<Facts>),
    OfMany(Box<People>),
}

impl Given {
    fn of(&self, person: &Person) -> Option<Facts> {
        match self {
            Given::Nothing => None,
            Given::OfAnybody(facts) => Some((**facts).clone()),
            Given::OfMany(people) => people.about(person),
        }
    }
}

fn facts(path: Option<&Path>, now: Timestamp) -> Result<Given, String> {
    let Some(path) = path else { return Ok(Given::Nothing) };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
    let document: serde_json::Value = serde_json::from_str(&text).map_err(|e| format!("{name}: line {}", e.line()))?;
    if document.get("personen").is_some() {
        let people = People::read(&name, &text, dutch_day(now));
        let wrong = |findings: Vec<_>| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        return people.map(|people| Given::OfMany(Box::new(people))).map_err(wrong);
    }
    let facts = serde_json::from_str(&text).map_err(|e| format!("{name}: line {}", e.line()))?;
    Ok(Given::OfAnybody(Box::new(facts)))
}
