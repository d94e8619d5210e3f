//! What makes traces and sends them.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use secrecy::{ExposeSecret, SecretString};
use slarouter_config::TelemetryConfig;

use super::export::Exporter;
use crate::metrics::SpanCounts;

/// For the last spans to go out at shutdown.
const FLUSH: Duration = Duration::from_secs(3);

/// Traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The HTTP client cannot be made; likely the system's TLS roots.
    #[error("the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// The exporter does not take its settings.
    #[error("{0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Makes traces and sends them.
pub(crate) struct Telemetry {
    pub(super) tracer: SdkTracer,
    /// Whether upstreams are told of the trace that a call belongs to.
    pub(super) propagate: bool,
    exporter: Exporter,
}

impl Telemetry {
    /// Begins to export. To be called within a runtime.
    pub(crate) fn start(config: &TelemetryConfig, counts: SpanCounts) -> Result<Option<Self>, TelemetryError> {
        let Some(export) = &config.export else { return Ok(None) };
        // No redirects: what the traces say is for the collector of the configuration and no other.
        let client = reqwest::Client::builder()
            .timeout(export.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("slarouter/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let secret = |(name, value): &(String, SecretString)| (name.clone(), value.expose_secret().to_owned());
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&export.url)
            .with_timeout(export.timeout)
            .with_headers(export.headers.iter().map(secret).collect::<HashMap<_, _>>())
            .build()?;
        let resource = Resource::builder()
            .with_service_name(export.service_name.clone())
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let (queue, exporter) = Exporter::start(exporter, resource.clone(), export, counts);
        let mut provider = SdkTracerProvider::builder().with_resource(resource).with_span_processor(queue);
        if let Some(ratio) = export.sample_ratio {
            provider = provider.with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))));
        }
        let tracer = provider.build().tracer("slarouter");
        Ok(Some(Self { tracer, propagate: config.propagate, exporter }))
    }

    /// Sends what waits, for a few seconds at most.
    pub(crate) async fn shutdown(&self) {
        self.exporter.stop(FLUSH).await;
    }
}
