//! The client's address behind proxies: for targets, which tell the core where a request came from.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

use crate::config::Reader;

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
}
