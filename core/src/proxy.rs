//! The client's address behind proxies: for targets, which tell the core where a request came from.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use crate::config::Reader;

/// What proxies add to a request that they forward.
const FORWARDED: [HeaderName; 4] =
    [header::FORWARDED, header::VIA, HeaderName::from_static("x-forwarded-for"), HeaderName::from_static("x-real-ip")];

/// Whether a request comes from this machine or a private network, and through no proxy.
pub fn is_from_inside(peer: IpAddr, headers: &HeaderMap) -> bool {
    let is_inside = match peer.to_canonical() {
        IpAddr::V4(address) => {
            let octets = address.octets();
            // RFC 6598 too: some clusters number their pods so.
            let is_shared = octets[0] == 100 && octets[1] & 0xc0 == 64;
            address.is_loopback() || address.is_private() || address.is_link_local() || is_shared
        }
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    };
    is_inside && !FORWARDED.iter().any(|name| headers.contains_key(name))
}

/// Who may speak for others.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// `TRUSTED_PROXIES`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let items = reader.list("TRUSTED_PROXIES");
        Self::parse(&items).unwrap_or_else(|item| {
            reader.problem("TRUSTED_PROXIES", format!("{item:?} is neither an address nor a network like 10.0.0.0/8"));
            Self::default()
        })
    }

    /// Reads addresses and networks (`10.0.0.0/8`); fails with the one that is neither.
    pub fn parse(items: &[String]) -> Result<Self, String> {
        let network = |item: &String| {
            item.parse::<IpNet>().or_else(|_| item.parse::<IpAddr>().map(IpNet::from)).map_err(|_| item.clone())
        };
        items.iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the client: the last one in `X-Forwarded-For` that is no trusted proxy, as long as every hop
    /// after it is. What anybody else wrote there counts for nothing.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<_> = forwarded.flat_map(|value| value.split(',')).map(|hop| hop.trim().parse()).collect();
        let mut address = peer.to_canonical();
        for hop in hops.into_iter().rev() {
            if !self.trusts(address) {
                break;
            }
            let Ok(hop) = hop else {
                break;
            };
            let hop: IpAddr = hop;
            address = hop.to_canonical();
        }
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = TrustedProxies::parse(&["10.0.0.0/8".to_owned(), "::1".to_owned()]).expect("valid");
        let address = |peer: &str, forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().expect("a header value"));
            }
            proxies.client_address(peer.parse().expect("an address"), &headers).to_string()
        };
        assert_eq!(address("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(address("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &["1.1.1.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &["1.1.1.1, garbage"]), "10.0.0.1");
        assert_eq!(address("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(address("10.0.0.1", &[]), "10.0.0.1");
        assert!(TrustedProxies::parse(&["10.0.0.0/33".to_owned()]).is_err());
    }

    #[test]
    fn inside_is_a_private_network_without_a_proxy() {
        let is_inside = |peer: &str, header: Option<&'static str>| {
            let headers = header.map(|name| (HeaderName::from_static(name), header::HeaderValue::from_static("x")));
            is_from_inside(peer.parse().expect("an address"), &headers.into_iter().collect())
        };
        for inside in ["127.0.0.1", "10.1.2.3", "::ffff:192.168.0.1", "100.64.0.1", "100.127.9.9", "::1", "fd00::1"] {
            assert!(is_inside(inside, None), "{inside}");
        }
        for outside in ["203.0.113.7", "100.128.0.1", "::ffff:203.0.113.7", "2001:db8::1"] {
            assert!(!is_inside(outside, None), "{outside}");
        }
        for header in ["x-forwarded-for", "x-real-ip", "forwarded", "via"] {
            assert!(!is_inside("127.0.0.1", Some(header)), "{header}");
        }
    }
}
