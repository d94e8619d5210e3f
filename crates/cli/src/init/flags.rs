//! The flags of `slarouter init`.

use std::net::SocketAddr;
use std::path::PathBuf;

use slarouter_config::{check_name, check_target, parse_window};
use slarouter_core::Price;
use slarouter_core::policy::Window;

use crate::price::priced;

#[derive(clap::Args)]
pub(crate) struct InitArgs {
    /// The file to write.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    pub(super) config: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    pub(super) force: bool,
    /// Ask nothing: what no flag says gets its default, or is an error. So it is too where standard input is no terminal.
    #[arg(long, short)]
    pub(super) yes: bool,
    /// One more server to look at, by its URL up to and including /v1; its key is in <NAME>_API_KEY, if that is set.
    #[arg(long = "server", value_name = "NAME=URL", value_parser = server)]
    pub(super) servers: Vec<(String, String)>,
    /// A model to choose from, as in openai/gpt-4o-mini; once for each.
    #[arg(long = "model", value_name = "PROVIDER/MODEL")]
    pub(super) models: Vec<String>,
    /// The model that you use today: it answers until ratings show that a cheaper one is good enough.
    #[arg(long, value_name = "MODEL")]
    pub(super) fallback: Option<String>,
    /// What a model costs in USD per million tokens of requests and of answers; once for each. Local servers cost 0 if left out.
    #[arg(long = "price", value_name = "MODEL=IN,OUT", value_parser = priced)]
    pub(super) prices: Vec<(String, Price)>,
    /// α, the share of answers that must satisfy; 0.9 if left out.
    #[arg(long, value_name = "SHARE", value_parser = alpha)]
    pub(super) alpha: Option<f64>,
    /// The answers of which that share must satisfy: "run", "<n> requests" or a duration, as in "1 week"; the last 20000 if left out.
    #[arg(long, value_name = "WINDOW", value_parser = parse_window)]
    pub(super) window: Option<Window>,
    /// Where clients ask; if left out, 127.0.0.1:8080 or the next port that no server which was found has.
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<SocketAddr>,
    /// Where the dashboard and the metrics are.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub(super) admin_listen: SocketAddr,
}

fn server(text: &str) -> Result<(String, String), String> {
    let form = "a server is NAME=URL, as in lab=http://10.0.0.5:8000/v1";
    let (name, url) = text.split_once('=').ok_or(form)?;
    check_name(name, "a server's")?;
    if !url.starts_with("http://") && !url.starts_with("https://") || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(form.to_owned());
    }
    Ok((name.to_owned(), url.to_owned()))
}

pub(super) fn alpha(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("{text:?} is no number from 0 to below 1, as in 0.9"))?;
    Ok(check_target(share)?.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_a_share_below_one() {
        assert_eq!(alpha("0.9"), Ok(0.9));
        for (wrong, said) in [
            ("", "is no number"),
            ("much", "is no number"),
            ("NaN", "NaN"),
            ("90", "write 0.9 for 90 %"),
            ("1", "cannot be kept"),
            ("-0.1", "-0.1"),
        ] {
            let error = alpha(wrong).unwrap_err();
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_server_has_a_name_and_a_url() {
        let lab = ("lab".to_owned(), "http://h:1/v1?a=b".to_owned());
        assert_eq!(server("lab=http://h:1/v1?a=b"), Ok(lab));
        for wrong in ["http://h/v1", "=http://h/v1", "La b=http://h/v1", "lab=h:1", "lab=http://h/\u{1b}"] {
            assert!(server(wrong).is_err(), "{wrong:?}");
        }
    }
}
