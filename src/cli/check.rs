use super::{FilesArgs, exit, report};
use crate::catalogue::{Finding, Sources};
use crate::check;
use crate::config::{Config, Files};
use crate::core::Pipeline;
use crate::directory::Directory;
use crate::facts::iris;
use crate::validation::Limits;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example, in the pipeline of a partner who keeps his own mapping:\n  \
    ketenpoort check --schemas schemas --policies policies --mappings mappings --partners partners --json")]
pub struct Args {
    #[command(flatten)]
    files: FilesArgs,
    /// Answer as one JSON object
    #[arg(long)]
    json: bool,
    /// Fail if the cases leave something unproven, instead of only naming it
    ///
    /// Of every policy a case must see it decide; and of each of its conditions, alternatives and list members, one
    /// case that it decides because of that one, and one that nothing but that one keeps it from deciding. What no
    /// case could ever show stands in dekking.yaml beside the policies, with the reason. Every message type needs a
    /// case, and every term of a policy needs words in begrippen.yaml or the folder begrippen.
    #[arg(long)]
    coverage: bool,
}

pub fn run(args: Args) -> u8 {
    let (mut cases, summary) = match load(&args.files) {
        Ok((sources, pipeline)) => {
            let mut cases = check::cases(&sources, &pipeline);
            cases.findings.extend(iris::Schemas::compile(&sources.schemas).err().unwrap_or_default());
            (cases, summary(&pipeline))
        }
        Err(findings) => (check::Report { findings, ..check::Report::default() }, String::new()),
    };
    if args.coverage {
        cases.findings.append(&mut cases.gaps);
    }
    let check::Report { passed, findings, gaps } = cases;
    if args.json {
        let answer = serde_json::json!({ "findings": findings, "not_exercised": gaps, "cases_passed": passed });
        println!("{answer:#}");
    } else {
        report(&findings);
        report(&gaps);
        if findings.is_empty() {
            println!("{summary}; {passed} cases passed");
        } else {
            println!("{} findings; {passed} cases passed", findings.len());
        }
    }
    if findings.is_empty() { exit::OK } else { exit::CONFIG }
}

fn summary(pipeline: &Pipeline) -> String {
    format!(
        "{} message types, {} policies (version {}), {} partners: all fit together",
        pipeline.catalogue.types().count(),
        pipeline.engine.policies().count(),
        pipeline.engine.version,
        pipeline.directory.parties().count()
    )
}

/// The files as the configuration names them, or as named one by one.
pub fn load(args: &FilesArgs) -> Result<(Sources, Pipeline), Vec<Finding>> {
    let named = [
        (&args.schemas, "schemas"),
        (&args.policies, "policies"),
        (&args.mappings, "mappings"),
        (&args.partners, "deploy/partners"),
    ];
    let in_root = |folder| args.root.as_ref().map(|root| root.join(folder));
    let named = named.map(|(named, folder)| named.clone().or_else(|| in_root(folder)));
    if let [Some(schemas), Some(policies), Some(mappings), Some(partners)] = named.clone() {
        return read(&Files { schemas, policies, mappings, partners }, Limits::default(), &[0; 32]);
    }
    let mut config = args.config.read()?;
    let files = &mut config.files;
    let configured = [&mut files.schemas, &mut files.policies, &mut files.mappings, &mut files.partners];
    for (configured, named) in configured.into_iter().zip(named) {
        named.into_iter().for_each(|named| *configured = named);
    }
    read_configured(&config)
}

pub fn read_configured(config: &Config) -> Result<(Sources, Pipeline), Vec<Finding>> {
    let (sources, pipeline) = read(&config.files, config.limits.limits(), config.pseudonym.key.reveal().as_bytes())?;
    Ok((sources, pipeline.with_routing(&config.routing)?))
}

fn read(files: &Files, limits: Limits, key: &[u8]) -> Result<(Sources, Pipeline), Vec<Finding>> {
    let directory = Directory::read(&files.partners);
    match (Sources::read(&files.schemas, &files.policies, &files.mappings), directory) {
        (Ok(sources), Ok(directory)) => {
            let pipeline = Pipeline::load(&sources, Arc::new(directory), limits, key)?;
            Ok((sources, pipeline))
        }
        (sources, directory) => Err([sources.err(), directory.err()].into_iter().flatten().flatten().collect()),
    }
}
