//! The values of `params`, held against the placeholders of the query.

use flight_common::Fault;

/// Refuses another number of values than there are placeholders. `wanted` are these, as they are told: `$1 (int4)`.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] that names each placeholder without a value, or says how many values have none.
pub fn check_count(wanted: &[String], given: usize) -> Result<(), Fault> {
    if wanted.len() == given {
        return Ok(());
    }
    let told = match wanted.get(given..) {
        Some(without) => format!("there is none for {}", without.join(", ")),
        None => match wanted {
            [] => "it has no placeholder".to_owned(),
            _ => format!("it has only {}", wanted.join(", ")),
        },
    };
    let what = format!("params has {given} values, and the query asks for {}: {told}", wanted.len());
    Err(Fault::bad_params(what.clone())
        .help("give one value for each placeholder of the query, in their order")
        .violation("/params", what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_without_a_value_are_named() {
        let wanted: Vec<String> = ["$1 (int4)", "$2 (text)"].map(str::to_owned).to_vec();
        let said = |wanted, given| check_count(wanted, given).expect_err("refused").message().to_owned();
        assert!(check_count(&wanted, 2).is_ok() && check_count(&[], 0).is_ok());
        assert!(said(&wanted, 1).ends_with("asks for 2: there is none for $2 (text)"));
        assert!(said(&wanted, 3).ends_with("asks for 2: it has only $1 (int4), $2 (text)"));
        assert!(said(&[], 1).ends_with("asks for 0: it has no placeholder"));
    }
}
