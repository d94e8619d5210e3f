//! `slarouter init`.

mod choose;
mod flags;
mod plan;
mod providers;
mod talk;

use std::fs::Permissions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use slarouter_config::Config;
use tempfile::Builder;

use crate::next::Doors;
use crate::print::print;
pub(crate) use flags::InitArgs;
use providers::{Provider, look, providers};
use talk::Talk;

pub(crate) async fn run(args: InitArgs) -> anyhow::Result<ExitCode> {
    let file = args.config.display();
    if std::fs::symlink_metadata(&args.config).is_ok_and(|there| !there.is_file()) {
        bail!("{file} is there, and is no regular file: give another one with --config FILE");
    }
    if args.config.exists() && !args.force {
        bail!("{file} is there already: --force replaces it, and --config FILE writes another one");
    }
    let env = |name: &str| std::env::var(name).ok();
    let found = look(needed(providers(&args.servers, &env), &args.models), &env).await;
    let asks = !args.yes && io::stdin().is_terminal();
    let plan =
        choose::plan(&args, &found, &mut Talk { input: &mut io::stdin().lock(), out: &mut io::stdout().lock(), asks })?;
    let text = plan.text();
    let config = match Config::parse(&text, &env) {
        Ok(config) => config,
        Err(errors) => return crate::check::refuse(&errors),
    };
    let checked = crate::check::examine(&config)?;
    write(&args.config, &text, args.force).with_context(|| format!("{file} is not written"))?;
    let doors = Doors { public: plan.listen, admin: Some(plan.admin_listen), tls: false, keyed: false };
    print(|out| {
        writeln!(out, "\nwrote {file}")?;
        out.write_all(&checked)?;
        plan.doubts().iter().try_for_each(|doubt| writeln!(out, "  warning: {doubt}"))?;
        let config = if file.to_string() == "slarouter.toml" { String::new() } else { format!(" --config {file}") };
        writeln!(out, "\nnext:")?;
        writeln!(out, "  slarouter check{config}    after each change of the file")?;
        writeln!(out, "  slarouter doctor{config}   whether the providers take the keys and know the models")?;
        writeln!(out, "  slarouter serve{config}    and then")?;
        doors.steps().lines().try_for_each(|line| writeln!(out, "    {line}"))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Those that the named models are of, if each names its provider; the others need not be asked.
fn needed(providers: Vec<Provider>, models: &[String]) -> Vec<Provider> {
    let is_of = |model: &String, provider: &Provider| {
        model.strip_prefix(&*provider.name).is_some_and(|rest| rest.starts_with('/'))
    };
    if models.is_empty() || !models.iter().all(|model| providers.iter().any(|provider| is_of(model, provider))) {
        return providers;
    }
    let named = providers.into_iter().filter(|provider| models.iter().any(|model| is_of(model, provider)));
    named.map(Provider::certain).collect()
}

/// Puts the whole text there or nothing. What has come there meanwhile stays, unless it is to be replaced.
fn write(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Nothing in it is secret, and a service may read it as another user; the umask has its say.
    let mut file = Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    if replace {
        file.persist(path)?
    } else {
        file.persist_noclobber(path)?
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_of_named_models_alone_are_asked() {
        let env = |name: &str| (name == "GROQ_API_KEY").then(|| "sk".to_owned());
        let of = |models: &[&str]| {
            let models: Vec<_> = models.iter().map(|model| (*model).to_owned()).collect();
            needed(providers(&[], &env), &models).into_iter().map(|provider| provider.name).collect::<Vec<_>>()
        };
        assert_eq!(of(&["groq/a", "ollama/b:8b", "groq/c"]), ["groq", "ollama"]);
        let all = ["groq", "ollama", "vllm", "lmstudio", "llamacpp"];
        assert_eq!(of(&[]), all);
        assert_eq!(of(&["groq/a", "b"]), all, "who has b is to be seen in the lists");
    }

    #[test]
    fn a_file_is_written_whole_and_none_is_overwritten_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slarouter.toml");
        write(&path, "one", false).unwrap();
        assert_eq!(write(&path, "two", false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        write(&path, "three", true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(write(&folder.path().join("none/slarouter.toml"), "", false).is_err());
    }
}
