//! A stand-in for IRIS, the case system of the probation service, for the demo and the tests; see
//! `ketenpoort::simulators::iris`.

use clap::Parser;
use ketenpoort::config::Secret;
use ketenpoort::simulators::Server;
use ketenpoort::simulators::iris::{People, Simulator};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Simulated IRIS: answers about fictitious people.
///
/// POST /v1/feiten and /v1/gegevens in the shapes of schemas/iris, GET /health. For tests: GET /admin/seen tells
/// what was asked; PUT /admin/behaviour takes {"behaviour": "down", "times": 3}, or one of normal, slow (with
/// "millis"), not_json, wrong_shape, too_few, too_large, unasked.
#[derive(Parser)]
#[command(version, about, long_about)]
struct Args {
    #[arg(long, default_value = "127.0.0.1:18100")]
    listen: SocketAddr,
    /// The people, as JSON or YAML; see deploy/demo/iris.json
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Who asks must show this bearer token
    #[arg(long, env = "IRIS_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), String> {
    let name = args.data.display().to_string();
    let text = std::fs::read_to_string(&args.data).map_err(|error| format!("{name}: {error}"))?;
    let today = ketenpoort::facts::dutch_day(jiff::Timestamp::now());
    let people = People::read(&name, &text, today)
        .map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let simulator = Simulator::new(people, args.token.map(Secret::new));
    let server = Server::start(args.listen, simulator.router()).await;
    let server = server.map_err(|error| format!("{}: {error}", args.listen))?;
    eprintln!("simulated IRIS on http://{}", server.address());
    tokio::signal::ctrl_c().await.map_err(|error| error.to_string())
}
