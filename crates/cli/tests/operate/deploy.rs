//! The files of `deploy/`, as far as they can be held against the binary without an engine that runs them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use slarouter_config::Config;
use slarouter_testkit::Upstream;

use crate::{BIN, client, configuration, serve, write};

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(deploy(path)).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

fn config(text: &str) -> Config {
    let secret = |name: &str| (!name.starts_with("OTEL_")).then(|| format!("a-long-enough-secret-{name}"));
    Config::parse(text, &secret).unwrap()
}

fn values() -> Value {
    yaml(&read("helm/slarouter/values.yaml"))
}

fn template(name: &str) -> String {
    read(&format!("helm/slarouter/templates/{name}"))
}

/// A template as YAML, all that Helm fills in left out or replaced by a word.
fn skeleton(text: &str) -> Vec<Value> {
    let mut plain = String::new();
    for line in text.lines().filter(|line| !line.trim().starts_with("{{")) {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("{{") {
            plain.push_str(before);
            plain.push('x');
            rest = after.split_once("}}").unwrap().1;
        }
        plain.push_str(rest);
        plain.push('\n');
    }
    plain.split("\n---\n").map(yaml).collect()
}

/// The words that follow `slarouter` in a command have to be a subcommand of the binary and flags that it knows.
fn check_command(words: &[&str]) {
    let help = Command::new(BIN).args([words[0], "--help"]).output().unwrap();
    assert!(help.status.success(), "there is no {}", words[0]);
    let help = String::from_utf8(help.stdout).unwrap();
    for flag in words.iter().filter(|word| word.starts_with("--")) {
        assert!(help.contains(&format!("{flag} ")), "`slarouter {}` has no {flag}", words[0]);
    }
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

#[test]
fn commands_and_flags_are_those_of_the_binary() {
    let unit = read("systemd/slarouter.service");
    let commands: Vec<Vec<&str>> = unit
        .lines()
        .filter_map(|line| line.split_once("=/usr/local/bin/slarouter "))
        .map(|(_, words)| words.split(' ').collect())
        .collect();
    assert_eq!(commands.iter().map(|words| words[0]).collect::<Vec<_>>(), ["serve", "check"]);
    commands.iter().for_each(|words| check_command(words));
    let docker = read("docker/Dockerfile");
    let cmd = docker.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    check_command(&strings(&yaml(cmd)));
    let compose = yaml(&read("docker/compose.yaml"));
    check_command(&strings(&compose["services"]["slarouter"]["command"]));
    let set = skeleton(&template("statefulset.yaml"));
    check_command(&strings(&set[0]["spec"]["template"]["spec"]["containers"][0]["args"]));
}

#[test]
fn ports_folders_and_times_agree_with_the_configurations() {
    let container = config(&read("docker/slarouter.toml"));
    let (public, admin) = (container.server.listen.port(), container.server.admin_listen.unwrap().port());
    assert!(read("docker/Dockerfile").contains(&format!("EXPOSE {public} {admin}\n")));
    let compose = yaml(&read("docker/compose.yaml"));
    let service = &compose["services"]["slarouter"];
    assert_eq!(
        strings(&service["ports"]),
        [format!("127.0.0.1:{public}:{public}"), format!("127.0.0.1:{admin}:{admin}")]
    );
    // Every variable that the file names is handed in.
    let names = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let parts = lines.flat_map(|line| line.split("${").skip(1));
        parts.map(|part| part.split(['}', ':']).next().unwrap().to_owned()).collect()
    };
    let handed: BTreeSet<String> = service["environment"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names(&read("docker/slarouter.toml")), handed);

    let values = values();
    let text = values["config"].as_str().unwrap();
    let cluster = config(text);
    assert_eq!(values["ports"]["http"], cluster.server.listen.port());
    assert_eq!(values["ports"]["admin"], cluster.server.admin_listen.unwrap().port());
    for (config, mount) in [(&container, "/data"), (&cluster, "/data")] {
        assert!(config.store.url.starts_with(&format!("sqlite://{mount}/")), "{}", config.store.url);
    }

    let seconds = |text: &str| Duration::from_secs(text.trim_end_matches('s').parse().unwrap());
    let unit = read("systemd/slarouter.service");
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    let plain = config(include_str!("../../../../slarouter.example.toml"));
    for (config, time) in [
        (&container, seconds(service["stop_grace_period"].as_str().unwrap())),
        (&cluster, Duration::from_secs(values["terminationGracePeriodSeconds"].as_u64().unwrap())),
        (&plain, seconds(stop)),
    ] {
        let needed = config.server.shutdown_delay + config.server.shutdown_grace;
        assert!(needed + Duration::from_secs(10) <= time, "{time:?} is not enough for {needed:?}");
    }
}

#[test]
fn the_gateway_waits_for_its_database_and_has_its_password() {
    let text = read("docker/compose.postgres.yaml");
    let (base, beside) = (yaml(&read("docker/compose.yaml")), yaml(&text));
    let (gateway, database) = (&beside["services"]["slarouter"], &beside["services"]["database"]);
    assert!(base["services"]["slarouter"].is_object(), "the file adds to the service of the other");
    assert_eq!(gateway["depends_on"]["database"]["condition"], "service_healthy");
    assert!(database["healthcheck"]["test"].is_array());
    assert_eq!(gateway["environment"]["DATABASE_PASSWORD"], database["environment"]["POSTGRES_PASSWORD"]);
    assert_eq!(beside["networks"]["database"]["internal"], true);
    assert!(database["ports"].is_null(), "nobody else reaches it");
    // What the file says to write is a configuration.
    let url = text.lines().find_map(|line| line.split_once("url = \"")?.1.strip_suffix('"')).unwrap();
    let mine = read("docker/slarouter.toml")
        .replace("sqlite:///data/slarouter.db", &url.replace("${DATABASE_PASSWORD}", "pw"));
    let shown = slarouter_store::shown(&config(&mine).store.url);
    let environment = &database["environment"];
    let user = environment["POSTGRES_USER"].as_str().unwrap();
    assert_eq!(shown, format!("postgres://{user}@database:5432/{}", environment["POSTGRES_DB"].as_str().unwrap()));
}

#[test]
fn templates_are_yaml_and_use_only_values_that_there_are() {
    let chart = yaml(&read("helm/slarouter/Chart.yaml"));
    assert_eq!((&chart["name"], &chart["appVersion"]), (&"slarouter".into(), &env!("CARGO_PKG_VERSION").into()));
    let values = values();
    let mut used = BTreeSet::new();
    let several = ["horizontalpodautoscaler.yaml", "poddisruptionbudget.yaml"];
    for name in
        ["configmap.yaml", "service.yaml", "statefulset.yaml", "NOTES.txt", "_helpers.tpl"].into_iter().chain(several)
    {
        let text = template(name);
        assert_eq!(text.matches("{{").count(), text.matches("}}").count(), "{name}");
        for path in text.split(".Values.").skip(1) {
            let path: String = path.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
            let found = path.split('.').try_fold(&values, |at, key| at.get(key));
            assert!(found.is_some(), "{name} uses {path}, which values.yaml does not have");
            used.insert(path.split('.').next().unwrap().to_owned());
        }
    }
    let there: BTreeSet<String> = values.as_object().unwrap().keys().cloned().collect();
    assert_eq!(used, there, "every value is used");
    let kinds = |name: &str| -> Vec<String> {
        skeleton(&template(name)).iter().map(|object| object["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds("configmap.yaml"), ["ConfigMap"]);
    assert_eq!(kinds("service.yaml"), ["Service", "Service"]);
    assert_eq!(kinds("statefulset.yaml"), ["StatefulSet"]);
    let set = &skeleton(&template("statefulset.yaml"))[0];
    assert_eq!(values["replicas"], 1, "a file of SQLite belongs to one process");
    assert_eq!(several.map(kinds), [["HorizontalPodAutoscaler"], ["PodDisruptionBudget"]]);
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
}

/// Each probe is sent to a running gateway, at the listener that its port means.
#[tokio::test(flavor = "multi_thread")]
async fn probes_and_scrapes_are_answered() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let server = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\napi_keys = [\"a-long-enough-secret\"]";
    let path = write(folder.path(), &configuration(folder.path(), &upstream.base_url(), server, &["small"]));
    let mut daemon = serve(&path, &["--log", "error"]).await;
    let (http, admin) = (daemon.addr().to_string(), daemon.ready()["admin"].as_str().unwrap().to_owned());
    let set = &skeleton(&template("statefulset.yaml"))[0];
    let pod = &set["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    let mut asked: Vec<(&str, &str)> = ["startupProbe", "livenessProbe", "readinessProbe"]
        .iter()
        .map(|probe| &container[*probe]["httpGet"])
        .map(|get| (get["port"].as_str().unwrap(), get["path"].as_str().unwrap()))
        .collect();
    asked.push(("admin", pod["metadata"]["annotations"]["prometheus.io/path"].as_str().unwrap()));
    for (port, path) in asked {
        let addr = match port {
            "http" => &http,
            "admin" => &admin,
            other => panic!("no port {other}"),
        };
        let status = client().get(format!("http://{addr}{path}")).send().await.unwrap().status();
        assert_eq!(status, 200, "{port} {path}");
    }
    daemon.terminate().await.unwrap();
    assert!(daemon.wait().await.unwrap().success());
}

/// What `systemd-analyze verify` says of the units with these texts; all it may miss is the binary.
fn complaints(text: &str, socket: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["slarouter.service", "slarouter.socket"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], text).unwrap();
    std::fs::write(&paths[1], socket).unwrap();
    let asked = Command::new("systemd-analyze").arg("verify").args(paths).output();
    let output = asked.unwrap_or_else(|error| panic!("systemd-analyze: {error}: scripts/setup-test installs it"));
    let said = String::from_utf8(output.stderr).unwrap();
    let missing = "Command /usr/local/bin/slarouter is not executable: No such file or directory";
    let about = said.lines().filter(|line| line.contains("slarouter.s") && !line.ends_with(missing));
    about.map(str::to_owned).collect()
}

/// The sockets are those of the configuration as it comes, the second as the example has it commented out.
#[test]
fn the_socket_unit_has_the_addresses_of_the_example() {
    let example = include_str!("../../../../slarouter.example.toml");
    let setting = |name: &str| {
        let lines = example.lines().map(|line| line.trim_start_matches("# "));
        let mut values = lines.filter_map(|line| line.strip_prefix(&format!("{name} = \"")));
        values.next().unwrap().split('"').next().unwrap().to_owned()
    };
    let unit = read("systemd/slarouter.socket");
    let sockets: Vec<&str> =
        unit.lines().filter_map(|line| line.split_once("ListenStream=")).map(|(_, addr)| addr).collect();
    assert_eq!(sockets, [setting("listen"), setting("admin_listen")]);
    assert!(!unit.contains("Accept="), "each connection would be a process");
}

#[test]
fn systemd_takes_the_unit() {
    let unit = read("systemd/slarouter.service");
    let socket = read("systemd/slarouter.socket");
    assert_eq!(complaints(&unit, &socket), Vec::<String>::new());
    // It does look at it.
    let wrong =
        complaints(&unit.replace("TimeoutStopSec=", "TimeoutStopSex="), &socket.replace("Backlog=", "Backlock="));
    assert!(
        ["TimeoutStopSex", "Backlock"].iter().all(|word| wrong.iter().any(|line| line.contains(word))),
        "{wrong:?}"
    );
}
