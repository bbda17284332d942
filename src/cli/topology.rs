use super::{ConfigArg, exit, print_json, report};
use crate::directory::Directory;
use crate::topology::{Options, definitions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every party gets an exchange of its own to publish to, and may read its own queues and nothing else. Who has \
    no password in the file must be a user of the broker before the import.\n\n\
    Example:\n  ketenpoort topology --vhost keten --passwords passwords.toml > definitions.json\n  \
    rabbitmqctl import_definitions definitions.json"
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// The partner directory, instead of the one in the configuration: it then need not exist
    #[arg(long, value_name = "DIR")]
    partners: Option<PathBuf>,
    #[arg(long, default_value = "/")]
    vhost: String,
    /// The gateway's own broker user
    #[arg(long, default_value = "ketenpoort")]
    user: String,
    /// A TOML file with a line `user = "password"` for each user to make
    #[arg(long, value_name = "FILE")]
    passwords: Option<PathBuf>,
}

pub fn run(args: &Args) -> u8 {
    let partners = match &args.partners {
        Some(folder) => Ok(folder.clone()),
        None => args.config.read().map(|config| config.files.partners),
    };
    let directory = match partners.and_then(|folder| Directory::read(&folder)) {
        Ok(directory) => directory,
        Err(findings) => {
            report(&findings);
            return exit::CONFIG;
        }
    };
    let passwords = match args.passwords.as_deref().map(read).transpose() {
        Ok(passwords) => passwords.unwrap_or_default(),
        Err(hint) => {
            eprintln!("{hint}");
            return exit::INPUT;
        }
    };
    let password = |user: &str| passwords.get(user).cloned();
    print_json(&definitions(&directory, &Options { vhost: &args.vhost, user: &args.user, password: &password }));
    exit::OK
}

/// The parser's own message would quote the line, and with it a password.
fn read(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|_| format!("{}: every line is of the form user = \"password\"", path.display()))
}
