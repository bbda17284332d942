use super::{exit, print_json, print_text};
use crate::code::Code;
use crate::explain::{decision_lines, reason_lines};
use crate::outcome::Reason;
use crate::receipt::Receipt;
use crate::receipt::keys::{KeySet, MAX_LENGTH, Signer, read_key_set, verify};
use serde_json::json;
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Verify a receipt (ontvangstbewijs) and show what it says
    #[command(after_help = "The key set of a gateway is at /.well-known/jwks.json of its HTTP port.\n\n\
        Example:\n  curl -o keys.json http://127.0.0.1:8080/.well-known/jwks.json\n  \
        ketenpoort receipt verify receipt.jws --jwks keys.json")]
    Verify(Verify),
}

#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The receipt, a compact JWS; `-` reads standard input
    file: PathBuf,
    /// The key set of the gateway that signed it
    #[arg(long, value_name = "FILE", required_unless_present = "key", conflicts_with = "key")]
    jwks: Option<PathBuf>,
    /// Instead: the signing key itself
    #[arg(long, value_name = "FILE.pem")]
    key: Option<PathBuf>,
    /// Answer as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(Command::Verify(args): Command) -> u8 {
    let (jws, keys) = match read(&args.file).and_then(|jws| Ok((jws, keys(&args)?))) {
        Ok(read) => read,
        Err(error) => {
            eprintln!("{error}");
            return exit::INPUT;
        }
    };
    match verify(&jws, &keys) {
        Ok(receipt) if args.json => print_json(&json!({ "valid": true, "receipt": receipt })),
        Ok(receipt) => print_text(&for_a_person(&receipt)),
        Err(error) => {
            let reason = Reason::new(Code::ReceiptInvalid, error.to_string());
            if args.json {
                print_json(&json!({ "valid": false, "reason": reason }));
            } else {
                eprintln!("{} {}: {error}\n{}", reason.code, reason.title, reason.code.hint());
            }
            return exit::INPUT;
        }
    }
    exit::OK
}

fn read(file: &Path) -> Result<String, String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut input: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(file).map_err(wrong)?),
    };
    // No receipt is longer; what is cut off here does not verify.
    let mut bytes = Vec::new();
    input.by_ref().take(MAX_LENGTH as u64 + 1).read_to_end(&mut bytes).map_err(wrong)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn keys(args: &Verify) -> Result<KeySet, String> {
    let read = match (&args.jwks, &args.key) {
        (Some(set), _) => read_key_set(set),
        (None, Some(key)) => Signer::read(key).map(|signer| KeySet { keys: vec![signer.key()] }),
        (None, None) => return Err("name the keys: --jwks FILE".to_owned()),
    };
    read.map_err(|error| error.to_string())
}

fn for_a_person(receipt: &Receipt) -> String {
    let mut out = format!("The signature is good. Receipt {}\n", receipt.id);
    let mut line = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            let _ = writeln!(out, "  {name:<12} {value}");
        }
    };
    let message = &receipt.message;
    let recipient = receipt.recipient.as_ref().map(|r| format!("{} as {}", r.party, r.role));
    line("issuer", Some(&receipt.issuer));
    line("time", Some(&receipt.time.to_string()));
    line("type", message.r#type.as_deref());
    line("source", message.source.as_deref());
    line("id", message.id.as_deref());
    line("received", Some(&message.digest));
    let signed = message.signature.as_ref().map(|signature| format!("{} with key {}", signature.alg, signature.kid));
    line("signed", signed.as_deref());
    line("forwarded", receipt.forwarded_digest.as_deref());
    line("recipient", recipient.as_deref());
    line("policies", Some(&receipt.policy_version));
    line("mappings", Some(&receipt.mapping_version));
    line("trace", receipt.trace_id.as_deref());
    line("outcome", Some(receipt.outcome.as_str()));
    if let Some(reason) = &receipt.reason {
        reason_lines(&mut out, reason, "    ");
    }
    decision_lines(&mut out, &receipt.decision, "    ");
    out
}
