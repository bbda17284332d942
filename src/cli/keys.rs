use super::{exit, print_json, print_text};
use crate::receipt::keys::{KeyError, KeySet, Signer};
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make an Ed25519 signing key (PKCS#8 PEM), readable by its owner only, and print its id
    #[command(
        after_help = "Never overwrites a key.\n\nExample:\n  ketenpoort keys generate /etc/ketenpoort/receipt.pem"
    )]
    Generate { file: PathBuf },
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

fn key_set(files: &[PathBuf]) -> Result<KeySet, KeyError> {
    let keys: Result<_, _> = files.iter().map(|file| Signer::read(file).map(|signer| signer.key())).collect();
    Ok(KeySet { keys: keys? })
}
