//! TLS of the listeners, and towards upstreams.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_platform_verifier::BuilderVerifierExt;
use slarouter_config::Tls;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{ClientConfig, Error as RustlsError, RootCertStore, ServerConfig};

/// Why TLS cannot be served. The files are at fault; what is in them is never shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is missing, unreadable, or no PEM.
    #[error("{path}: {what}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("certificate and key: {0}")]
    Pair(RustlsError),
    /// The certificates of `client_ca` are no authorities.
    #[error("client_ca: {0}")]
    ClientCa(VerifierBuilderError),
}

/// What shakes hands on a listener: TLS 1.2 and 1.3, HTTP/2 and 1.1.
pub(crate) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(&tls.cert)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| file(&tls.key, &error, "no private key in it"))?;
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(TlsError::Pair)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(TlsError::ClientCa)?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
    config.alpn_protocols = protocols();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What shakes hands with upstreams, which are to have a certificate of an authority that the system knows.
pub(crate) fn client() -> Result<ClientConfig, RustlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_platform_verifier()?;
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = protocols();
    Ok(config)
}

/// What may be spoken inside TLS, best first.
fn protocols() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

pub(crate) fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| file(path, &error, "no certificate in it"))?;
    if found.is_empty() {
        return Err(file(path, &PemError::NoItemsFound, "no certificate in it"));
    }
    Ok(found)
}

fn file(path: &Path, error: &PemError, none: &str) -> TlsError {
    let what = match error {
        PemError::Io(error) => error.to_string(),
        PemError::NoItemsFound => none.to_owned(),
        // The parser's words may quote a line of the file, which may be of the key.
        _ => "no sound PEM".to_owned(),
    };
    TlsError::File { path: path.display().to_string(), what }
}
