//! Whether a request without a key comes from a program of this machine.
//!
//! Not through a proxy, and not from a web page: a page of any site can send to a loopback address, and one that has a name of its own
//! resolve to that address (DNS rebinding) can read the answers too.

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Version, header};

use super::auth::Peer;

/// Headers by which proxies say for whom they ask, beside all that begin with `x-forwarded-`.
const PROXIES: [&str; 10] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-original-forwarded-for",
    "x-envoy-external-address",
];

/// What shows that the request comes from elsewhere, for a message; `None` if nothing does.
pub(crate) fn foreign<B>(request: &Request<B>) -> Option<&'static str> {
    let (headers, uri) = (request.headers(), request.uri());
    let from_here = request.extensions().get::<Peer>().is_some_and(|peer| peer.0.to_canonical().is_loopback());
    if !from_here {
        return Some("it comes from another machine");
    }
    // What nginx speaks to its upstreams if it is not told otherwise, without any header of its own.
    if request.version() < Version::HTTP_11 {
        return Some("it comes in HTTP/1.0, as from a proxy");
    }
    let proxied = |name: &str| name.starts_with("x-forwarded-") || PROXIES.contains(&name);
    if headers.keys().any(|name| proxied(name.as_str())) {
        return Some("a proxy has passed it on, by its headers");
    }
    let hosts = headers.get_all(header::HOST).iter().map(|host| Authority::try_from(host.as_bytes()).ok());
    let mut names = uri.authority().cloned().map(Some).into_iter().chain(hosts).peekable();
    if names.peek().is_none() || names.any(|name| !name.is_some_and(|name| is_this_machine(name.host()))) {
        return Some("its Host is not a name of this machine, such as localhost or 127.0.0.1");
    }
    if is_foreign_page(headers) {
        return Some("a web page has sent it, by its Origin or Sec-Fetch-Site");
    }
    if is_form(headers) {
        return Some("its Content-Type is one that web pages of any site may send: send application/json");
    }
    None
}

/// Whether a web page of another site, port or scheme has sent the request, by what browsers say of it.
fn is_foreign_page(headers: &HeaderMap) -> bool {
    let elsewhere = |site: &HeaderValue| site != "none" && site != "same-origin";
    headers.get("sec-fetch-site").is_some_and(elsewhere)
        || (headers.contains_key(header::ORIGIN) && !is_own_page(headers))
}

/// Whether a page that came from this very address has sent the request: its Origin is the Host that is asked. What a page of another
/// port of this machine sends has the cookies too, as cookies know no ports; this it cannot say.
pub(crate) fn is_own_page(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else { return false };
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    let rest = origin.as_bytes().strip_prefix(b"http").unwrap_or_default();
    let named = rest.strip_prefix(b"s").unwrap_or(rest).strip_prefix(b"://");
    !host.is_empty() && named.is_some_and(|named| named.eq_ignore_ascii_case(host))
}

fn is_this_machine(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address = literal.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Types that a page may send to any site unasked and no program sends by default. The third of them, that of forms, is what curl sends.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes()).unwrap_or_default();
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    [&b"text/plain"[..], b"multipart/form-data"].iter().any(|form| essence.eq_ignore_ascii_case(form))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn request(peer: &str, version: Version, uri: &str, headers: &[(&'static str, &str)]) -> Request<()> {
        let builder = Request::builder().uri(uri).version(version);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        builder.extension(Peer(peer.parse::<IpAddr>().unwrap())).body(()).unwrap()
    }

    #[test]
    fn only_a_direct_neighbour_is_local() {
        let local = |peer, version, uri, headers: &[(&'static str, &str)]| {
            foreign(&request(peer, version, uri, headers)).is_none()
        };
        let named = |host: &str| local("127.0.0.1", Version::HTTP_11, "/", &[("host", host)]);
        for host in ["127.0.0.1:8080", "localhost:1", "LOCALHOST", "localhost.:80", "[::1]:80", "[::1]", "127.0.0.9"] {
            assert!(named(host), "{host}");
        }
        for host in ["evil.example:8080", "", "localhost.evil.example", "127.0.0.1.nip.io", "0.0.0.0", "10.0.0.1"] {
            assert!(!named(host), "{host}");
        }
        let host = ("host", "localhost");
        assert!(local("::ffff:127.0.0.1", Version::HTTP_11, "/", &[host]));
        assert!(!local("10.0.0.1", Version::HTTP_11, "/", &[host]));
        assert!(!local("127.0.0.1", Version::HTTP_10, "/", &[host]));
        assert!(
            !local("127.0.0.1", Version::HTTP_11, "/", &[])
                && !local("127.0.0.1", Version::HTTP_11, "/", &[host, ("host", "x")])
        );
        // HTTP/2, and the absolute form of HTTP/1.
        assert!(local("127.0.0.1", Version::HTTP_2, "http://localhost:8080/", &[]));
        assert!(!local("127.0.0.1", Version::HTTP_2, "http://evil.example/", &[]));
        assert!(!local("127.0.0.1", Version::HTTP_11, "http://evil.example/", &[host]));
        for own in [("origin", "http://localhost"), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none")] {
            assert!(local("127.0.0.1", Version::HTTP_11, "/", &[host, own]), "{own:?}");
        }
        for other in ["http://localhost:81", "https://localhost.evil.example", "null", "localhost", "ftp://localhost"] {
            assert!(!local("127.0.0.1", Version::HTTP_11, "/", &[host, ("origin", other)]), "{other}");
        }
        for proxied in ["x-forwarded-for", "x-forwarded-host", "forwarded", "via", "cf-connecting-ip", "origin"] {
            assert!(!local("127.0.0.1", Version::HTTP_11, "/", &[host, (proxied, "x")]), "{proxied}");
        }
    }
}
