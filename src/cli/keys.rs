use super::{exit, print_json, print_text};
use crate::ledger::Keys;
use crate::receipt::keys::{KeyError, KeySet, Signer};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make an Ed25519 signing key (PKCS#8 PEM), readable by its owner only, and print its id
    #[command(
        after_help = "Never overwrites a key.\n\nExample:\n  ketenpoort keys generate /etc/ketenpoort/receipt.pem"
    )]
    Generate { file: PathBuf },
    /// Make a key for payload in the ledger, readable by its owner only, and print its id
    #[command(
        after_help = "Never overwrites a file. With --rotate the new key goes before those that the file holds: it \
        seals from the next start on, and the others still open what they sealed. Take an older one out once the gateway \
        was started with the new one, which seals the keys of persons anew and says so in its log, and has nothing \
        waiting that is older than the rotation (`ketenpoort parked list`).\n\n\
        Example:\n  ketenpoort keys ledger /etc/ketenpoort/ledger.key\n  \
        ketenpoort keys ledger --rotate /etc/ketenpoort/ledger.key"
    )]
    Ledger {
        file: PathBuf,
        /// Put a new key before those that the file holds
        #[arg(long)]
        rotate: bool,
    },
    /// Print the public key set (JWKS) of signing keys
    #[command(after_help = "Keep the set of a key that you retire: receipts that it signed must verify for years.\n\n\
        Example:\n  ketenpoort keys jwks receipt-2026.pem > receipt-2026.jwks.json\n  \
        # and in ketenpoort.toml: [receipts] retired = [\"receipt-2026.jwks.json\"]")]
    Jwks {
        /// Signing keys, as `keys generate` makes them
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

pub fn run(command: Command) -> u8 {
    let done = match command {
        Command::Generate { file } => Signer::generate(&file)
            .and_then(|()| Signer::read(&file))
            .map(|signer| print_text(&format!("{}\n", signer.key().common.key_id.unwrap_or_default()))),
        Command::Ledger { file, rotate } => {
            return match ledger_key(&file, rotate) {
                Ok(id) => {
                    print_text(&format!("{id}\n"));
                    exit::OK
                }
                Err(error) => {
                    eprintln!("{}: {error}", file.display());
                    exit::INPUT
                }
            };
        }
        Command::Jwks { files } => key_set(&files).map(|keys| print_json(&keys)),
    };
    match done {
        Ok(()) => exit::OK,
        Err(error) => {
            eprintln!("{error}");
            exit::INPUT
        }
    }
}

fn ledger_key(file: &Path, rotate: bool) -> Result<String, Box<dyn std::error::Error>> {
    let older = if rotate { std::fs::read_to_string(file)? } else { String::new() };
    if rotate {
        Keys::parse(&older)?;
    }
    let text = format!("{}\n{older}", Keys::generate()?);
    let id = Keys::parse(&text)?.current_id().unwrap_or_default();
    // Whole or not at all: a key that is lost takes what waits with it.
    let written = if rotate { file.with_extension("new") } else { file.to_owned() };
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&written)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    if rotate {
        std::fs::rename(&written, file)?;
    }
    Ok(id)
}

fn key_set(files: &[PathBuf]) -> Result<KeySet, KeyError> {
    let keys: Result<_, _> = files.iter().map(|file| Signer::read(file).map(|signer| signer.key())).collect();
    Ok(KeySet { keys: keys? })
}
