//! TLS on the listener, with certificates made for the occasion.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use reqwest::{Certificate, Client, ClientBuilder, Identity};
use slarouter_gateway::{Gateway, StartError};
use tempfile::TempDir;

use crate::setup::{Rig, Settings, question};

pub(crate) fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key, as PEM.
pub(crate) fn issued(
    by: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    purpose: ExtendedKeyUsagePurpose,
) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![purpose];
    (params.signed_by(&key, by).unwrap().pem(), key.serialize_pem())
}

fn client() -> ClientBuilder {
    Client::builder().no_proxy()
}

#[tokio::test]
async fn only_who_trusts_and_is_trusted_gets_through() {
    let folder = TempDir::new().unwrap();
    let (servers, clients, strangers) = (authority("servers"), authority("clients"), authority("strangers"));
    let (cert, key) = issued(&servers, "localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let files = (path("cert.pem", &cert), path("key.pem", &key), path("ca.pem", &clients.pem()));
    let trust = Certificate::from_pem(servers.pem().as_bytes()).unwrap();
    let identity = |by: &CertifiedIssuer<'static, KeyPair>| {
        let (cert, key) = issued(by, "client", ExtendedKeyUsagePurpose::ClientAuth);
        Identity::from_pem(format!("{cert}{key}").as_bytes()).unwrap()
    };
    for mutual in [false, true] {
        let ca = if mutual { format!(", client_ca = '{}'", files.2) } else { String::new() };
        let server = format!("tls = {{ cert = '{}', key = '{}'{ca} }}", files.0, files.1);
        let settings = Settings { server: server.leak(), ..Settings::default() };
        let rig = Rig::start(&settings).await;
        let url = format!("https://localhost:{}/v1/chat/completions", rig.gateway.addr().port());
        let ask = |client: ClientBuilder| client.build().unwrap().post(&url).json(&question(false)).send();
        let trusting = || client().tls_certs_only([trust.clone()]);

        let known = ask(trusting().identity(identity(&clients))).await.unwrap();
        assert_eq!((known.status().as_u16(), known.version()), (200, reqwest::Version::HTTP_2));
        assert_eq!(ask(trusting()).await.is_ok(), !mutual, "without a certificate");
        assert_eq!(ask(trusting().identity(identity(&strangers))).await.is_ok(), !mutual, "with a stranger's");
        assert!(ask(client()).await.is_err(), "who does not trust the server's authority");
        let plain = client().build().unwrap().post(rig.url("/v1/chat/completions")).json(&question(false)).send().await;
        assert!(plain.is_err(), "without TLS");
        // Nobody who failed keeps the others out.
        assert_eq!(ask(trusting().identity(identity(&clients))).await.unwrap().status(), 200);
        rig.stop().await;
    }
}

#[tokio::test]
async fn bad_files_are_named_and_not_quoted() {
    let folder = TempDir::new().unwrap();
    let servers = authority("servers");
    let (cert, key) = issued(&servers, "localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let (_, other) = issued(&servers, "localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (cert, key) = (path("cert.pem", &cert), path("key.pem", &key));
    let broken = "-----BEGIN PRIVATE KEY-----\nsesame!\n-----END PRIVATE KEY-----\n";
    for (cert, key, said) in [
        ("/none/cert.pem".to_owned(), key.clone(), "/none/cert.pem"),
        (key.clone(), key.clone(), "no certificate"),
        (cert.clone(), cert.clone(), "no private key"),
        (cert.clone(), path("broken.pem", broken), "broken.pem"),
        (cert.clone(), path("other.pem", &other), "certificate and key"),
    ] {
        let server = format!("tls = {{ cert = '{cert}', key = '{key}' }}");
        let mut config = crate::setup::detached(&Settings { server: server.leak(), ..Settings::default() }, &folder);
        config.server.listen.set_port(0);
        let error = match Gateway::start(config).await {
            Err(error @ StartError::Tls(_)) => error.to_string(),
            Err(other) => other.to_string(),
            Ok(gateway) => {
                gateway.shutdown().await;
                "it started".to_owned()
            }
        };
        assert!(error.contains(said) && !error.contains("sesame"), "{said}: {error}");
    }
}
