use super::{exit, print_json, print_text};
use crate::code::Code;
use crate::disclosurelog::head::Statement;
use crate::disclosurelog::prove::check_inclusion;
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
    /// Also verify that the receipt is in the disclosure log: `/v1/receipts/{id}/proof` of the gateway's HTTP port
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
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
    match verify(&jws, &keys).map_err(|error| (Code::ReceiptInvalid, error.to_string())).and_then(|receipt| {
        let head = args.proof.as_deref().map(|proof| in_log(proof, &jws, &keys)).transpose();
        head.map(|head| (receipt, head)).map_err(|error| (Code::ProofInvalid, error))
    }) {
        Ok((receipt, head)) if args.json => {
            let mut said = json!({ "valid": true, "receipt": receipt });
            if let Some(head) = head {
                said["head"] = json!(head);
            }
            print_json(&said);
        }
        Ok((receipt, head)) => {
            print_text(&for_a_person(&receipt));
            if let Some(head) = head {
                print_text(&format!("It is in the disclosure log of {} entries, signed {}\n", head.size, head.time));
            }
        }
        Err((code, error)) => {
            let reason = Reason::new(code, error.clone());
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

/// The head of the log in which it is.
fn in_log(file: &Path, jws: &str, keys: &KeySet) -> Result<Statement, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let proof = std::fs::read(file).map_err(|error| wrong(&error))?;
    let proof = serde_json::from_slice(&proof).map_err(|error| wrong(&error))?;
    check_inclusion(&proof, jws, keys).map_err(|error| wrong(&error))
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
