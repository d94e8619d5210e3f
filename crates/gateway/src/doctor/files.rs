//! Encoder, warm starts, certificates.

use slarouter_config::{Config, Tls};
use slarouter_core::Timestamp;
use slarouter_learner::{FeaturesId, WarmStart};
use x509_parser::parse_x509_certificate;

use super::check::Check;
use crate::features::identify;
use crate::tls::{acceptor, certificates};

const DAY_S: i64 = 86_400;
/// Days before its end from which a certificate is worth a warning.
const SOON_DAYS: i64 = 14;

/// The encoder of the configuration, or why it cannot be used.
pub(super) fn features(config: &Config) -> Result<FeaturesId, String> {
    identify(&config.features).map_err(|error| error.to_string())
}

pub(super) fn checks(config: &Config, now: Timestamp, features: &Result<FeaturesId, String>) -> Vec<Check> {
    let mut checks = Vec::new();
    match features {
        Ok(id) => {
            let FeaturesId { encoder, version, dim } = id;
            checks.push(Check::ok("encoder", format!("{encoder}, version {version}, {dim} dimensions")));
            for (route, settings) in &config.routes {
                let Some(path) = &settings.warm_start else { continue };
                let name = format!("warm start {route}");
                checks.push(match WarmStart::read(path, id) {
                    Ok(_) => Check::ok(name, path.display().to_string()),
                    Err(error) => Check::fail(name, error.to_string(), "mend the file, or leave warm_start out"),
                });
            }
        }
        Err(error) => checks.push(Check::fail("encoder", error, "mend [features], or take the encoder hashed")),
    }
    checks.extend(config.server.tls.as_ref().map(|tls| certificate(tls, now)));
    checks
}

fn certificate(tls: &Tls, now: Timestamp) -> Check {
    let name = "certificate";
    if let Err(error) = acceptor(tls) {
        return Check::fail(name, error.to_string(), "mend the files that server.tls names");
    }
    let ends = certificates(&tls.cert).ok().and_then(|chain| {
        let ends = chain.iter().filter_map(|one| {
            let (_, parsed) = parse_x509_certificate(one).ok()?;
            let validity = parsed.validity();
            Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
        });
        // The chain is as good as its weakest part.
        ends.reduce(|(from, to), (begins, ends)| (from.max(begins), to.min(ends)))
    });
    let path = tls.cert.display();
    match ends {
        None => Check::warn(name, format!("{path}: its dates cannot be read"), "see what `openssl x509 -dates` says"),
        Some((from, to)) => validity(&path.to_string(), from, to, (now.0 / 1_000) as i64),
    }
}

/// Times in seconds since 1970.
fn validity(path: &str, from: i64, to: i64, now: i64) -> Check {
    let name = "certificate";
    let mend = "renew it and reload (SIGHUP): the files are read again then";
    let days = to.saturating_sub(now).div_euclid(DAY_S);
    if now < from {
        Check::fail(name, format!("{path} is not valid yet"), "wait, or set the clock right")
    } else if now > to {
        Check::fail(name, format!("{path} has expired"), mend)
    } else if days < SOON_DAYS {
        Check::warn(name, format!("{path} ends within {} days", days + 1), mend)
    } else {
        Check::ok(name, format!("{path} is good for {days} days"))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::super::check::Level;
    use super::*;

    #[test]
    fn the_dates_are_those_of_the_files() {
        let folder = tempfile::TempDir::new().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 3, 2);
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let cert = path("cert.pem", &params.self_signed(&key).unwrap().pem());
        let mut tls = Tls { cert, key: path("key.pem", &key.serialize_pem()), client_ca: None };
        let begin = date_time_ymd(2026, 1, 1).unix_timestamp();
        let on = |tls: &Tls, day: i64| certificate(tls, Timestamp(((begin + day * DAY_S) * 1_000) as u64));
        assert!(on(&tls, 0).found.ends_with("is good for 60 days"), "{:?}", on(&tls, 0));
        assert_eq!([-1, 45, 47, 61].map(|day| on(&tls, day).level), [Level::Fail, Level::Ok, Level::Warn, Level::Fail]);
        tls.key = path("other.pem", &KeyPair::generate().unwrap().serialize_pem());
        assert_eq!(on(&tls, 0).level, Level::Fail, "a pair that does not belong together");
    }

    #[test]
    fn certificates_end() {
        let at = |now| validity("c", 1_000, 1_000 + 20 * DAY_S, now).level;
        assert_eq!((at(999), at(1_000)), (Level::Fail, Level::Ok));
        assert_eq!((at(1_000 + 6 * DAY_S), at(1_001 + 6 * DAY_S)), (Level::Ok, Level::Warn));
        assert_eq!((at(1_000 + 20 * DAY_S), at(1_001 + 20 * DAY_S)), (Level::Warn, Level::Fail));
        assert_eq!(validity("c", i64::MIN, i64::MAX, i64::MIN).level, Level::Ok);
    }
}
