//! The configuration: TOML text in, checked and complete settings out, or all that is wrong with it at once.

mod changes;
mod date;
#[doc(hidden)]
pub mod fuzz;
mod grants;
mod known;
mod load;
mod price;
mod pricing;
mod problems;
mod raw;
mod read;
mod resolve;
mod settings;
mod spelling;
mod substitute;
mod takes;
mod values;
mod webhook;

pub use date::utc;
pub use grants::{Grants, Limits, Scope, check_name};
pub use price::{LongPrices, PriceTable, Prices};
pub use problems::ConfigErrors;
pub use resolve::{DEFAULT_WINDOW, check_target, parse_window};
pub use settings::{
    BrowserFeedback, Checks, ClientKey, Config, EmbeddingConfig, EncoderConfig, ExportConfig, FeaturesConfig,
    HealthCheck, Hedge, HedgeTo, Judge, KeyPlace, LogFormat, Model, RetentionConfig, Route, Server, StoreConfig,
    TelemetryConfig, Tls, UpstreamConfig, VerdictUse, same_secret,
};
pub use slarouter_protocol::ModelProtocol;
pub use spelling::{nearest, refused_name, suggestion};
pub use substitute::Sources;
pub use takes::Takes;
pub use webhook::{Webhook, WebhookShape};
