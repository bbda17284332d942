use super::{FilesArgs, exit, report};
use crate::catalogue::{Finding, Sources};
use crate::check;
use crate::config::Config;
use crate::core::Pipeline;
use crate::directory::Directory;
use crate::validation::Limits;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    files: FilesArgs,
    /// Answer as one JSON object
    #[arg(long)]
    json: bool,
    /// Fail if there is a policy that no case sees decide, or a message type without a case
    #[arg(long)]
    coverage: bool,
}

pub fn run(args: Args) -> u8 {
    let (mut cases, summary) = match load(&args.files) {
        Ok((sources, pipeline)) => (check::cases(&sources, &pipeline), summary(&pipeline)),
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
    let env = |name: &str| std::env::var(name).ok();
    let named = [&args.schemas, &args.policies, &args.mappings, &args.partners];
    if let [Some(schemas), Some(policies), Some(mappings), Some(partners)] = named {
        let directory = Directory::read(partners);
        let sources = Sources::read(schemas, policies, mappings);
        return assemble(sources, directory, Limits::default(), &[0; 32]);
    }
    let config = Config::read(&args.config, &env)?;
    let of = |named: &Option<std::path::PathBuf>, configured: &std::path::Path| {
        named.clone().unwrap_or_else(|| configured.to_owned())
    };
    let files = &config.files;
    let directory = Directory::read(&of(&args.partners, &files.partners));
    let sources = Sources::read(
        &of(&args.schemas, &files.schemas),
        &of(&args.policies, &files.policies),
        &of(&args.mappings, &files.mappings),
    );
    assemble(sources, directory, config.limits.limits(), config.pseudonym.key.reveal().as_bytes())
}

fn assemble(
    sources: Result<Sources, Vec<Finding>>,
    directory: Result<Directory, Vec<Finding>>,
    limits: Limits,
    key: &[u8],
) -> Result<(Sources, Pipeline), Vec<Finding>> {
    match (sources, directory) {
        (Ok(sources), Ok(directory)) => {
            let pipeline = Pipeline::load(&sources, Arc::new(directory), limits, key)?;
            Ok((sources, pipeline))
        }
        (sources, directory) => Err([sources.err(), directory.err()].into_iter().flatten().flatten().collect()),
    }
}
