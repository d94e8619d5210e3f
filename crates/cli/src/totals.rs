//! `slarouter totals`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use slarouter_config::KeyPlace;
use slarouter_core::told_text;
use slarouter_store::{By, Selection, Totals};

use crate::print::print;
use crate::report::period;

#[derive(Args)]
pub(crate) struct TotalsArgs {
    /// The configuration file, which names the database.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
    /// The first day, as 2026-11-01, or a month, as 2026-11.
    #[arg(long, value_name = "DATE")]
    from: String,
    /// The first day that is no longer in it, or a month likewise; the end of the month of --from if left out.
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// What the sums are told apart by, with commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "month,key,tenant")]
    by: Vec<Apart>,
    /// Of this tenant alone.
    #[arg(long, value_name = "NAME")]
    tenant: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Apart {
    Route,
    Model,
    Key,
    Tenant,
    Day,
    Month,
}

impl From<Apart> for By {
    fn from(apart: Apart) -> Self {
        match apart {
            Apart::Route => Self::Route,
            Apart::Model => Self::Model,
            Apart::Key => Self::Key,
            Apart::Tenant => Self::Tenant,
            Apart::Day => Self::Day,
            Apart::Month => Self::Month,
        }
    }
}

pub(crate) async fn run(args: TotalsArgs) -> anyhow::Result<ExitCode> {
    let store = slarouter_store::open_to_read(&KeyPlace::load(&args.config)?.url).await?;
    let period = period(&store.calendar().await?, &args.from, args.to.as_deref())?;
    let selection = Selection { from: period.start, to: period.end, tenant: args.tenant, ..Selection::default() };
    let by: Vec<By> = args.by.iter().copied().map(By::from).collect();
    let rows = store.totals(selection, &by).await?;
    print(|out| {
        let mut csv = csv::Writer::from_writer(out);
        let names = args.by.iter().map(|apart| format!("{apart:?}").to_lowercase());
        let columns = Totals::default();
        csv.write_record(names.chain(["cost_usd".to_owned()]).chain(columns.named().map(|(name, _)| name.to_owned())))?;
        for row in rows {
            let names = row.names.iter().map(|name| told_text(name).into_owned());
            let cost = format!("{:.9}", row.totals.cost_usd());
            csv.write_record(names.chain([cost]).chain(row.totals.named().map(|(_, value)| value.to_string())))?;
        }
        csv.flush()
    })?;
    Ok(ExitCode::SUCCESS)
}
