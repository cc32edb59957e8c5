//! What may be reached beyond public addresses: hosts and networks that an operator names. Pure.

use super::address::is_public;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Hosts and networks that may be reached although they are not public. Empty: public addresses only.
///
/// Written as a list: `api.intern.example, 10.1.0.0/16, 192.168.7.9`, or `*` for everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Everything,
    /// A name, in lower case. Whatever it stands for may be reached by it.
    Host(String),
    Network {
        address: IpAddr,
        length: u8,
    },
}

impl AllowList {
    /// Everything may be reached.
    pub fn everything() -> Self {
        Self(vec![Entry::Everything])
    }

    /// Whether a connection to `host` may go to this address.
    pub fn admits(&self, host: &str, address: IpAddr) -> bool {
        is_public(address) || self.0.iter().any(|entry| entry.admits(host, address))
    }
}

impl Entry {
    fn admits(&self, host: &str, address: IpAddr) -> bool {
        match self {
            Self::Everything => true,
            Self::Host(name) => name == without_dot(&host.to_lowercase()),
            Self::Network { address: network, length } => within(*network, *length, address.to_canonical()),
        }
    }
}

/// A name may end with the dot of the root.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Whether the first `length` bits of both are equal.
fn within(network: IpAddr, length: u8, address: IpAddr) -> bool {
    let (network, address, bits) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => (network.to_bits().into(), address.to_bits().into(), 32),
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let difference: u128 = network ^ address;
    difference.checked_shr(bits - u32::from(length)).unwrap_or_default() == 0
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Everything);
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        if let Ok(address) = address.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let length = length.map_or(Some(most), |length| length.parse().ok().filter(|length| *length <= most));
            let length = length.ok_or_else(|| format!("\"{text}\" is no network; write 10.1.0.0/16"))?;
            return Ok(Self::Network { address: address.to_canonical(), length });
        }
        let name = without_dot(text).to_lowercase();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        match length.is_none() && !name.is_empty() && name.bytes().all(is_name) {
            true => Ok(Self::Host(name)),
            false => Err(format!("\"{text}\" is neither a host nor a network; write api.example or 10.1.0.0/16")),
        }
    }
}

impl FromStr for AllowList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let entries = text.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, entry) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            match entry {
                Entry::Everything => f.write_str("*")?,
                Entry::Host(name) => f.write_str(name)?,
                Entry::Network { address, length } => write!(f, "{address}/{length}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(list: &str, host: &str, address: &str) -> bool {
        let list: AllowList = list.parse().expect("a list");
        list.admits(host, address.parse().expect("an address"))
    }

    #[test]
    fn what_is_named_may_be_reached_and_nothing_beside_it() {
        assert!(admits("10.1.0.0/16", "any.example", "10.1.255.3"));
        assert!(!admits("10.1.0.0/16", "any.example", "10.2.0.1"));
        assert!(admits("10.1.0.0/16", "any.example", "::ffff:10.1.0.1"), "the same address in the newer form");
        assert!(admits("fd00::/8", "any.example", "fd12::1") && !admits("fd00::/8", "any.example", "::1"));
        assert!(admits("127.0.0.1", "localhost", "127.0.0.1") && !admits("127.0.0.1", "localhost", "127.0.0.2"));
        assert!(admits("0.0.0.0/0", "x", "192.168.0.1") && !admits("0.0.0.0/0", "x", "fd00::1"));
        assert!(admits("*", "x", "169.254.169.254"));
        assert!(admits("", "x", "1.1.1.1") && !admits("", "x", "10.0.0.1"));
    }

    #[test]
    fn a_host_is_allowed_by_its_whole_name() {
        let list = "api.intern.example, other";
        assert!(admits(list, "API.intern.example.", "10.0.0.1"));
        for host in ["intern.example", "x.api.intern.example", "api.intern.example.evil.example"] {
            assert!(!admits(list, host, "10.0.0.1"), "{host}");
        }
    }

    #[test]
    fn a_list_is_read_as_it_is_shown() {
        for text in ["", "*", "api.example,10.0.0.0/8,fd00::/8,127.0.0.1/32"] {
            let list: AllowList = text.parse().expect("a list");
            assert_eq!(list.to_string(), text);
        }
        for wrong in ["10.0.0.0/33", "a/8", "http://api.example", "::1/129"] {
            assert!(wrong.parse::<AllowList>().is_err(), "{wrong}");
        }
    }
}
