use super::{ConfigArg, check, exit, report};
use crate::catalogue::Finding;
use crate::code::Code;
use crate::config::{self, Config};
use crate::facts::iris;
use crate::gateway::{self, Loaded, Read};
use crate::outcome::Problem;
use crate::receipt::keys::{KeyError, KeySet, Signer, read_key_set};
use crate::telemetry;
use crate::tls;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Everything is checked before anything is connected; with a finding it ends with 64. Logs go to \
    standard error, one JSON object a line. SIGTERM drains and stops; SIGHUP reads schemas, policies, mappings, \
    partners and certificates anew, and keeps the old ones where the new ones do not load.\n\n\
    Example:\n  ketenpoort run --config /etc/ketenpoort/ketenpoort.toml"
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
}

pub fn run(args: &Args) -> u8 {
    let loaded = match load(args) {
        Ok(loaded) => loaded,
        Err(findings) => {
            report(&findings);
            return exit::CONFIG;
        }
    };
    let telemetry = match telemetry::init(&loaded.config.telemetry) {
        Ok(guard) => guard,
        Err(error) => {
            eprintln!("{}: {error}", args.config.config.display());
            return exit::CONFIG;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(gateway::run(loaded)).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = &ended {
        tracing::error!(error, "the gateway stopped");
    }
    telemetry.shutdown();
    if ended.is_ok() { exit::OK } else { exit::FAILED }
}

/// As `check` does, and the keys as well. Not the cases: they speak of the partners for whom they were written, and
/// an installation has its own.
fn load(args: &Args) -> Result<Loaded, Vec<Finding>> {
    let config = Arc::new(args.config.read()?);
    let keys = keys(&config.receipts).map_err(|error| {
        let problem = Problem::new(Code::ConfigInvalid, "receipts", error.to_string());
        vec![Finding::new(args.config.config.display().to_string(), None, problem)]
    });
    let certificates = certificates(&config, &args.config.config);
    match (check::read_configured(&config), keys) {
        (Ok((sources, pipeline)), Ok((signer, keys))) if certificates.is_empty() => {
            let iris_schemas = iris::Schemas::compile(&sources.schemas)?;
            let (config, again) = (config.clone(), config);
            let read = Read(Box::new(move || check::read_configured(&again).map(|(_, pipeline)| pipeline)));
            Ok(Loaded { config, pipeline, read, iris_schemas, signer, keys })
        }
        (files, keys) => {
            let others = [files.err(), keys.err()].into_iter().flatten().flatten();
            Err(others.chain(certificates).collect())
        }
    }
}

fn certificates(config: &Config, file: &Path) -> Vec<Finding> {
    let all = [
        ("broker", config.broker.certificates()),
        ("iris", config.iris.certificates()),
        ("delivery", config.delivery.certificates()),
        ("http", config.http.certificates()),
    ];
    let wrong = all.into_iter().filter_map(|(section, files)| Some((section, files.check().err()?)));
    let finding = |(section, error): (&str, tls::Error)| {
        let problem = Problem::new(Code::CertificateInvalid, section, error.to_string());
        Finding::new(file.display().to_string(), None, problem)
    };
    wrong.map(finding).collect()
}

fn keys(receipts: &config::Receipts) -> Result<(Signer, KeySet), KeyError> {
    let signer = Signer::read(&receipts.key_file)?;
    let mut keys = vec![signer.key()];
    for retired in &receipts.retired {
        keys.extend(read_key_set(retired)?.keys);
    }
    Ok((signer, KeySet { keys }))
}
