//! The binary `slarouter`: arguments and wiring, nothing else.

mod alert_test;
mod backup;
mod check;
mod compact;
mod compare;
mod demo;
mod doctor;
mod explain;
mod export;
mod forget;
mod fork;
mod init;
mod keys;
mod labels;
mod migrate;
mod next;
mod price;
mod print;
mod remote_book;
mod replay;
mod report;
mod restore;
mod rollback;
mod serve;
mod totals;
mod train;
mod verify;
mod what_if;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Routes each LLM request to the cheapest model that keeps your satisfaction SLA.
#[derive(Parser)]
#[command(name = "slarouter", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a working configuration, by asking or by flags: from the keys in the environment and the servers of this machine.
    Init(init::InitArgs),
    /// Run the OpenAI-compatible gateway.
    Serve(serve::ServeArgs),
    /// Check a configuration file and report everything that is wrong with it at once.
    Check(check::CheckArgs),
    /// Check a configuration against the world: files, database, ports, upstreams. Changes nothing, asks no model anything.
    Doctor(doctor::DoctorArgs),
    /// Say why a model was chosen for a request, and what came of it, also while the gateway runs.
    Explain(explain::ExplainArgs),
    /// Send a test alert to each webhook of the configuration.
    AlertTest(alert_test::AlertTestArgs),
    /// Compare the saved state with what replaying the whole log gives, also while the gateway runs. Changes nothing.
    Verify(verify::VerifyArgs),
    /// Copy the database to a file, also while the gateway runs and writes to it.
    Backup(backup::BackupArgs),
    /// Write the log to files that analysts' tools read, as Parquet or CSV, also while the gateway runs.
    Export(export::ExportArgs),
    /// Put a copy in the place of the database, which must not be there.
    Restore(restore::RestoreArgs),
    /// Shorten the log as store.retention says, and the database's file to what is in it, while no gateway has it.
    Compact(compact::CompactArgs),
    /// Count what the log holds of a rater; with --delete, let it go. What was learnt stays.
    Forget(forget::ForgetArgs),
    /// Put what was learnt back to what it was at an earlier event, while no gateway has the database. The log stays whole.
    Rollback(rollback::RollbackArgs),
    /// Replay the log with another configuration as a dry run, also while the gateway runs, and say what it would choose otherwise.
    Fork(fork::ForkArgs),
    /// Move the log to another database, from a file of SQLite to PostgreSQL or back, and compare both.
    Migrate(migrate::MigrateArgs),
    /// Make, list, rotate and revoke the keys of clients.
    Keys(keys::KeysArgs),
    /// What the log says of a period, for the person who signs: promises, costs, savings, and how sure they are.
    Report(report::ReportArgs),
    /// Requests, tokens, money and ratings as CSV, by month, key, tenant and what else they are to be told apart by.
    Totals(totals::TotalsArgs),
    /// What another target, price or policy, or a model less, would have come to, by the log of what ran.
    WhatIf(what_if::WhatIfArgs),
    /// How many labels, and days, it takes until it is known whether α is kept.
    Labels(labels::LabelsArgs),
    /// Replay recorded outcomes through a policy: what would it have cost, and would it have kept the SLA?
    Replay(replay::ReplayArgs),
    /// Learn from judged answers, for a warm start of a route.
    Train(train::TrainArgs),
    /// Compare policies and baselines on recorded outcomes, after the protocol of the documentation.
    Compare(compare::CompareArgs),
    /// Watch it learn: simulated models and users around a real gateway on this machine.
    Demo(demo::DemoArgs),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // With standard error gone there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "slarouter: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes on one line. Most of our errors say their cause themselves, and nothing is to be read twice.
fn with_causes(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init(args) => block_on(init::run(args)),
        Command::Serve(args) => block_on(serve::run(args)),
        Command::Check(args) => check::run(args),
        Command::Doctor(args) => block_on(doctor::run(args)),
        Command::Explain(args) => block_on(explain::run(args)),
        Command::AlertTest(args) => block_on(alert_test::run(args)),
        Command::Verify(args) => block_on(verify::run(args)),
        Command::Backup(args) => block_on(backup::run(args)),
        Command::Export(args) => block_on(export::run(args)),
        Command::Restore(args) => block_on(restore::run(args)),
        Command::Compact(args) => block_on(compact::run(args)),
        Command::Forget(args) => block_on(forget::run(args)),
        Command::Rollback(args) => block_on(rollback::run(args)),
        Command::Fork(args) => block_on(fork::run(args)),
        Command::Migrate(args) => block_on(migrate::run(args)),
        Command::Keys(args) => block_on(keys::run(args)),
        Command::Report(args) => block_on(report::run(args)),
        Command::Totals(args) => block_on(totals::run(args)),
        Command::WhatIf(args) => block_on(what_if::run(args)),
        Command::Labels(args) => labels::run(args),
        Command::Replay(args) => replay::run(args).map(|()| ExitCode::SUCCESS),
        Command::Train(args) => block_on(train::run(args)),
        Command::Compare(args) => compare::run(args).map(|()| ExitCode::SUCCESS),
        Command::Demo(args) => block_on(demo::run(args)).map(|()| ExitCode::SUCCESS),
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::with_causes;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot listen: {0}")]
    struct Listen(#[from] std::io::Error);

    #[test]
    fn no_cause_is_said_twice_and_none_left_out() {
        let taken = || std::io::Error::other("the port is taken");
        assert_eq!(with_causes(&Listen(taken()).into()), "cannot listen: the port is taken");
        let deep = Err::<(), _>(Listen(taken())).context("the gateway").unwrap_err();
        assert_eq!(with_causes(&deep), "the gateway: cannot listen: the port is taken");
        let plain = Err::<(), _>(taken()).context("out.bin").context("train").unwrap_err();
        assert_eq!(with_causes(&plain), "train: out.bin: the port is taken");
    }
}
