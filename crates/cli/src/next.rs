//! What to do with a gateway: for whoever has just started one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where a gateway is, and whether one needs a key there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doors {
    pub(crate) public: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) tls: bool,
    pub(crate) keyed: bool,
}

// === impl Doors ===

impl Doors {
    /// What a client needs to know, how to rate, and where the dashboard is.
    pub(crate) fn steps(&self) -> String {
        let public = url(self.public, self.tls);
        let (key, header) = if self.keyed {
            ("one of the keys", " -H 'Authorization: Bearer KEY'")
        } else {
            ("any word as key while there is none (`slarouter keys create`)", "")
        };
        let dashboard = match self.admin {
            // Others do not see a loopback address, so it speaks no TLS.
            Some(admin) => format!("{}/dashboard", url(admin, self.tls && !admin.ip().is_loopback())),
            None => "none without server.admin_listen".to_owned(),
        };
        format!(
            "clients    base URL {public}/v1 (Anthropic's: {public}), model \"auto\", {key}\n\
             rate       curl{header} --json '{{\"id\": \"ID OF THE ANSWER\", \"rating\": \"up\"}}' {public}/v1/feedback\n\
             dashboard  {dashboard}\n"
        )
    }
}

/// The URL of an address, as seen from this machine.
fn url(addr: SocketAddr, tls: bool) -> String {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("{}://{}", if tls { "https" } else { "http" }, SocketAddr::new(ip, addr.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_have_the_addresses_as_one_reaches_them_from_here() {
        let doors = |public: &str, admin: Option<&str>, tls, keyed| {
            Doors { public: public.parse().unwrap(), admin: admin.map(|addr| addr.parse().unwrap()), tls, keyed }
                .steps()
        };
        let plain = "clients    base URL http://127.0.0.1:8080/v1 (Anthropic's: http://127.0.0.1:8080), model \"auto\", any word as key while there is none (`slarouter keys create`)\n\
                     rate       curl --json '{\"id\": \"ID OF THE ANSWER\", \"rating\": \"up\"}' http://127.0.0.1:8080/v1/feedback\n\
                     dashboard  http://127.0.0.1:9090/dashboard\n";
        assert_eq!(doors("127.0.0.1:8080", Some("127.0.0.1:9090"), false, false), plain);
        let guarded = doors("0.0.0.0:443", None, true, true);
        for said in [
            "base URL https://127.0.0.1:443/v1 (",
            "\"auto\", one of the keys\n",
            "curl -H 'Authorization: Bearer KEY' --json '{",
            "dashboard  none without server.admin_listen\n",
        ] {
            assert!(guarded.contains(said), "{said:?} is not in\n{guarded}");
        }
        let steps = doors("[::]:8080", Some("127.0.0.1:9090"), true, true);
        assert!(
            steps.contains(" https://[::1]:8080/v1 ") && steps.contains(" http://127.0.0.1:9090/dashboard"),
            "{steps}"
        );
        assert!(doors("127.0.0.1:1", Some("10.0.0.5:9090"), true, true).contains(" https://10.0.0.5:9090/dashboard"));
    }
}
