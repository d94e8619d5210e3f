//! Load on the gateway and its peers, side by side on one machine; `make bench-gateway`, docs/benchmarks.md.

mod agent;
mod cost;
mod figures;
mod gateways;
mod http;
mod load;
mod machine;
mod mock;
mod report;
mod run;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures, and writes report.md and report.json
    Run(run::RunArgs),
    /// Measures what a request costs the gateway's process, by thread, of one build or several by turns
    Cost(cost::CostArgs),
    /// The upstream: prints where it listens as one JSON line, and serves until its standard input closes
    Mock(mock::MockArgs),
}

// One thread each for load and mock: they leave the other core to the gateway, as far as they can.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Run(args) => run::run(args).await,
        Command::Cost(args) => cost::run(args).await,
        Command::Mock(args) => mock::serve(args).await,
    }
}
