//! An upstream's answer on its way to the client.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use slarouter_protocol::Envelope;
use slarouter_protocol::adapter::{Adapter, AnswerOptions};
use slarouter_protocol::pass::first_id;
use slarouter_protocol::request::Request;
use slarouter_protocol::responses;

use super::body::ResponseBody;
use super::checking::Checking;
use super::exchange::Exchange;
use super::headers::{COST, UPSTREAM_COST, describe, keep, set};
use super::refusal::refuse;
use crate::app::App;
use crate::upstream::{Failure, UpstreamResponse};

/// Writes the answer for the client; `metadata`: with the `slarouter` object.
pub(super) fn deliver(
    app: &Arc<App>,
    mut exchange: Exchange,
    answer: UpstreamResponse,
    request: &Request,
    metadata: bool,
) -> Response {
    let adapter = Adapter { endpoint: exchange.endpoint(), upstream: exchange.upstream() };
    let options = AnswerOptions {
        envelope: Envelope {
            id: exchange.public_id(),
            model: exchange.upstream_model().to_owned(),
            created: app.clock.now().0 / 1_000,
            echo: request.echo(),
            disguises: request.disguises(),
        },
        wants_usage: request.include_usage(),
        wants_metadata: metadata,
    };
    match answer {
        UpstreamResponse::Plain { status, headers, body } => {
            if let Some(trace) = exchange.trace() {
                trace.whole(&body);
            }
            let written = adapter.plain(&body, &options, |usage| {
                let cost = exchange.shown_cost(usage);
                (cost, metadata.then(|| exchange.metadata(cost)))
            });
            match written {
                Ok(written) => {
                    exchange.remember(|| responses::items(&written.body));
                    let mut response = (status, written.body).into_response();
                    // Ours and the usual ones of an upstream: growing step by step costs more than all that goes in.
                    response.headers_mut().reserve(24);
                    keep(response.headers_mut(), &headers);
                    describe(response.headers_mut(), &exchange, written.id.as_deref());
                    if let Some(cost) = written.cost {
                        set(response.headers_mut(), COST, &cost.to_string());
                    }
                    if let Some(told) = written.usage.and_then(|usage| usage.told_usd()) {
                        set(response.headers_mut(), UPSTREAM_COST, &told.to_string());
                    }
                    let checking = Checking::of(&exchange, request, false);
                    exchange.finish(status, true, written.usage, None);
                    if let Some(mut checking) = checking {
                        checking.keep(&body);
                        checking.finish();
                    }
                    response
                }
                Err(error) => refuse(exchange, Failure::Unreadable(error)),
            }
        }
        UpstreamResponse::Stream { status, headers, first, rest } => {
            let upstream_id = first_id(&first);
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status;
            keep(response.headers_mut(), &headers);
            describe(response.headers_mut(), &exchange, upstream_id.as_deref());
            let checking = Checking::of(&exchange, request, true);
            let body =
                ResponseBody::new(exchange, status, (first, rest), adapter.stream(options), metadata).checked(checking);
            *response.body_mut() = Body::from_stream(body.into_stream());
            response
        }
    }
}
