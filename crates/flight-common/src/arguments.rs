//! The values of options, as people write them. What cannot work is refused where it is written.

use bytesize::ByteSize;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

/// Memory without which no batch is taken in.
const LEAST_MEMORY: ByteSize = ByteSize::mib(1);

/// An address to listen on: a host by number or by name, and a port.
///
/// # Errors
/// What is wrong with it, and how one looks.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let like = "write it like 127.0.0.1:8815, [::1]:8815, 0.0.0.0:8815 or localhost:8815";
    let found: Vec<SocketAddr> = text.to_socket_addrs().map_err(|error| format!("{error}; {like}"))?.collect();
    // A name of both kinds is the one that clients try.
    found.iter().find(|one| one.is_ipv4()).or(found.first()).copied().ok_or_else(|| format!("no address; {like}"))
}

/// A time: `30s`, `5m`, `1h 30m`; a number alone counts seconds, as in pipelines.
///
/// # Errors
/// What is wrong with it, and how one looks.
pub fn duration(text: &str) -> Result<Duration, String> {
    match text.trim().parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).map_err(|error| format!("{error}; write 30s or 5m")),
    }
}

/// A time within which something is to happen.
///
/// # Errors
/// As [`duration`]; that nothing happens in no time.
pub fn deadline(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("nothing happens in no time; write 30s or 5m".to_owned()),
        some => Ok(some),
    }
}

/// A time for which things are kept: with a unit, as whoever writes a number alone means days, and not seconds.
///
/// # Errors
/// As [`duration`]; that it has no unit.
pub fn age(text: &str) -> Result<Duration, String> {
    match text.trim().parse::<f64>() {
        Ok(number) => Err(format!("{number} of what? Write {number}days or {number}h")),
        Err(_) => duration(text),
    }
}

/// A number of things, of which there must be some.
///
/// # Errors
/// That it is no such number.
pub fn count<N: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<N, String> {
    match text.parse() {
        Ok(count) if count >= N::from(1) => Ok(count),
        Ok(_) => Err("nothing would ever run; write 1 or more".to_owned()),
        Err(_) => Err("write a whole number, such as 4".to_owned()),
    }
}

/// A size of memory to work in.
///
/// # Errors
/// That it is no size, or too little.
pub fn memory(text: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>() {
        Ok(size) if size < LEAST_MEMORY => Err(format!("{LEAST_MEMORY} is the least; 256MiB is usual")),
        Ok(size) => Ok(size),
        Err(error) => Err(format!("{error}; write 256MiB or 1GiB")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_or_are_seconds() {
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in ["", "soon", "-1", "1.5"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(deadline("0s").is_err() && deadline("0").is_err());
        assert_eq!(deadline("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn a_time_for_which_things_are_kept_has_a_unit() {
        assert_eq!(age("90days"), Ok(Duration::from_secs(90 * 24 * 3600)));
        assert_eq!(age("0s"), Ok(Duration::ZERO));
        for wrong in ["90", "0", "1.5", "soon", ""] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn with_none_of_something_nothing_would_run() {
        assert_eq!(count::<u32>("4"), Ok(4));
        assert_eq!(count::<i64>("1"), Ok(1));
        for wrong in ["0", "-1", "1.5", "x", ""] {
            assert!(count::<usize>(wrong).is_err() && count::<i64>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn memory_in_which_no_batch_fits_is_refused() {
        assert_eq!(memory("16MiB"), Ok(ByteSize::mib(16)));
        for wrong in ["1KiB", "0", "much"] {
            assert!(memory(wrong).is_err(), "{wrong}");
        }
    }
}
