//! Who may look: a key is exchanged for a session. While there is no key at all, whoever sits at the gateway's machine may.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use slarouter_config::Scope;
use slarouter_pages::{Frame, Login};

use super::page::{Visitor, page};
use crate::admission::auth::Caller;
use crate::admission::{local, logins};
use crate::api::guard::{VIEWING, be_a_neighbour};
use crate::app::App;
use crate::error::ApiError;

const HOME: &str = "/dashboard";
/// Of a form: a key and a path.
pub(super) const MOST_FORM_BYTES: usize = 8 << 10;

/// Whose request it is, if that may do any of this, and whether the session says so: else it is that of a key, or of a program of this
/// machine while there is no key.
pub(super) fn caller(app: &App, request: &Request, scopes: &[Scope]) -> Result<(Arc<Caller>, bool), ApiError> {
    let now = app.clock.now();
    if let Some(key) = app.logins.key_of(request.headers(), now) {
        return Ok((app.auth.check_digest(&key, scopes, now)?, true));
    }
    be_a_neighbour(app, request)?;
    Ok((app.auth.check(request.headers(), scopes, now)?, false))
}

fn visitor(app: &App, request: &Request) -> Result<Visitor, ApiError> {
    let (caller, logged_in) = caller(app, request, VIEWING)?;
    Ok(Visitor { caller, logged_in, calendar: app.calendar() })
}

/// Lets those in who may look, and sends the others to the login.
pub(super) async fn admit(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    match visitor(&app, &request) {
        Ok(visitor) => {
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Err(_) => {
            let to = request.uri().path_and_query().map_or(HOME, |path| path.as_str());
            let to = percent_encoding::utf8_percent_encode(to, percent_encoding::NON_ALPHANUMERIC);
            Redirect::to(&format!("/dashboard/login?to={to}")).into_response()
        }
    }
}

/// Lets programs and the pages' own scripts read what pages show: with a key or a session that may look.
pub(crate) async fn onlookers(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match visitor(&app, &request) {
        Ok(_) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Asks for a key.
pub(super) async fn login_page(State(app): State<Arc<App>>, uri: Uri) -> Response {
    let to = field(uri.query().unwrap_or_default(), "to").unwrap_or_default();
    form(&app, StatusCode::OK, None, &to)
}

/// Exchanges a key for a session.
pub(super) async fn login(State(app): State<Arc<App>>, request: Request) -> Response {
    let own_page = local::is_own_page(request.headers());
    let elsewhere = be_a_neighbour(&app, &request);
    let body = match axum::body::to_bytes(request.into_body(), MOST_FORM_BYTES).await {
        Ok(body) if own_page => String::from_utf8_lossy(&body).into_owned(),
        _ => return form(&app, StatusCode::FORBIDDEN, Some("The form must be sent from this page itself."), HOME),
    };
    let to = field(&body, "to").unwrap_or_default();
    let refuse = |error: &ApiError| {
        tracing::warn!(code = error.code, "a login to the dashboard was refused");
        form(&app, error.status, Some(&error.message), &to)
    };
    if app.auth.is_open() {
        return match elsewhere {
            Ok(()) => Redirect::to(inside(&to)).into_response(),
            Err(error) => refuse(&error),
        };
    }
    let (key, now) = (field(&body, "key").unwrap_or_default(), app.clock.now());
    if let Err(error) = app.auth.check_digest(&crate::admission::keys::digest(key.as_bytes()), VIEWING, now) {
        return refuse(&error);
    }
    match app.logins.begin(key.as_bytes(), is_secure(&app), now) {
        Ok(cookie) => redirect(inside(&to), &cookie),
        Err(error) => {
            tracing::error!(%error, "no random bytes for a session");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Ends the session.
pub(super) async fn logout(State(app): State<Arc<App>>, headers: HeaderMap, _body: Bytes) -> Response {
    if !local::is_own_page(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    redirect("/dashboard/login", &app.logins.end(&headers, is_secure(&app)))
}

/// Whether the operator's listener speaks TLS itself.
fn is_secure(app: &App) -> bool {
    app.config.server.tls.is_some() && !app.loopback
}

fn redirect(to: &str, cookie: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    // It is made of letters alone.
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn form(app: &App, status: StatusCode, refusal: Option<&str>, to: &str) -> Response {
    let frame = Frame { title: "Log in", ..Frame::default() };
    page(status, &Login { frame, keyless: app.auth.is_open(), hours: logins::HOURS, refusal, to: inside(to) })
}

/// A path of the dashboard and nothing else, however it was written.
fn inside(to: &str) -> &str {
    let plain = to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let deep = to.strip_prefix(HOME).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    if plain && deep { to } else { HOME }
}

/// A field of a form or a query.
fn field(pairs: &str, name: &str) -> Option<String> {
    let value = pairs.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_nowhere_but_into_the_dashboard() {
        for to in ["/dashboard", "/dashboard/decisions?route=a%2Fb&x=1", "/dashboard?range=1h"] {
            assert_eq!(inside(to), to);
        }
        for to in
            ["", "//evil.example", "/dashboardx", "https://evil.example/dashboard", "/dashboard\\..", "/dashboard/\n"]
        {
            assert_eq!(inside(to), HOME, "{to:?}");
        }
    }

    #[test]
    fn fields_of_forms_are_decoded() {
        let body = "key=a%2Bb+c%3D&to=%2Fdashboard&keys=x";
        assert_eq!(field(body, "key").as_deref(), Some("a+b c="));
        assert_eq!(field(body, "to").as_deref(), Some("/dashboard"));
        assert_eq!((field(body, "ke"), field("", "key")), (None, None));
    }
}
