//! Passwords in addresses, struck out of what people are shown.

/// The text with each byte of a password in a URL (`scheme://user:password@host`, `?password=…`) as `*`, so that places in
/// it stay where they were.
pub fn hidden(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (slashes, _) in text.match_indices("//") {
        let (begin, rest) = (slashes + 2, &text[slashes + 2..]);
        let end = rest.find(|c: char| c.is_whitespace() || "\"'`<>{}".contains(c)).unwrap_or(rest.len());
        let url = &rest[..end];
        let before = text[..slashes].to_ascii_lowercase();
        let scheme = before.strip_suffix(':');
        // A password for a database is often written as it is, with characters that end the authority of other URLs.
        let loose = ["postgres", "postgresql", "mysql", "mariadb"]
            .iter()
            .any(|known| scheme.unwrap_or(&before).ends_with(known));
        // A database may also be written with the colon forgotten.
        if scheme.is_none() && !loose {
            continue;
        }
        let authority = if loose { url } else { url.split(['/', '?', '#']).next().unwrap_or_default() };
        if let Some((user, _)) = authority.rsplit_once('@')
            && let Some((name, password)) = user.split_once(':')
        {
            let from = begin + name.len() + 1;
            bytes[from..from + password.len()].fill(b'*');
        }
        for (place, _) in url.match_indices("password=") {
            let from = place + "password=".len();
            let value = url[from..].split('&').next().unwrap_or_default();
            bytes[begin + from..][..value.len()].fill(b'*');
        }
    }
    for (key, _) in text.match_indices(ADDRESS) {
        let behind = text[key + ADDRESS.len()..].trim_start_matches(['"', '\'']).trim_start_matches(' ');
        let Some(value) = behind.strip_prefix(':').map(|value| value.trim_start_matches(' ')) else { continue };
        let value = value.lines().next().unwrap_or_default();
        let value = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split(quote).next().unwrap_or_default(),
            _ => value,
        };
        if let Some(unread) = unread(value) {
            let from = unread.as_ptr() as usize - text.as_ptr() as usize;
            bytes[from..from + unread.len()].fill(b'*');
        }
    }
    // Whole characters only were replaced, each byte by one of ASCII.
    String::from_utf8(bytes).unwrap_or_default()
}

/// The parameter that is the address of a database.
const ADDRESS: &str = "db_url";

/// What is not shown of an address that has not the form of one: nobody can tell what of it is a password.
fn unread(address: &str) -> Option<&str> {
    let (scheme, rest) = match address.split_once(':') {
        Some((scheme, rest)) if scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+') => (scheme, rest),
        _ => ("", address),
    };
    let is_url = rest.starts_with("//") && !rest.contains(char::is_whitespace);
    let is_good = is_url || scheme.eq_ignore_ascii_case("sqlite") || scheme == "secret";
    (!is_good).then_some(rest).filter(|rest| rest.contains(['@', '=']))
}

#[cfg(test)]
mod tests {
    use super::hidden;

    #[test]
    fn passwords_go_and_all_else_stays_in_its_place() {
        for (text, shown) in [
            ("db_url: postgres://ann:s3cret@h/db", "db_url: postgres://ann:******@h/db"),
            ("\"postgres://ann:pa/s@s@h:1/db\" # x@y", "\"postgres://ann:******@h:1/db\" # x@y"),
            ("mysql://ann:é@h?password=abc&x=1", "mysql://ann:**@h?password=***&x=1"),
            ("https://h:80/a?mail=a@b", "https://h:80/a?mail=a@b"),
            ("https://me:k@h/ and https://h/", "https://me:*@h/ and https://h/"),
            ("postgres://ann@h/db", "postgres://ann@h/db"),
            ("postgres//ann:s3cret@h/db", "postgres//ann:******@h/db"),
            ("https://h//a:b@c", "https://h//a:b@c"),
            ("no address: a:b@c", "no address: a:b@c"),
            ("db_url: \"postgres://u:sek ret@h/q\" # x", "db_url: \"postgres:***************\" # x"),
            ("{db_url: u:sekret@h/q, query: x}", "{db_url: u:*********************"),
            ("\"db_url\": 'host=h password=se kr'", "\"db_url\": '*********************'"),
            ("db_url: postgres:/u:sekret@h\nquery: a@b", "db_url: postgres:***********\nquery: a@b"),
            ("db_url: sqlite:a@b.db", "db_url: sqlite:a@b.db"),
            ("db_url: secret://a", "db_url: secret://a"),
            ("db_url: pg", "db_url: pg"),
        ] {
            assert_eq!(hidden(text), shown);
            assert_eq!(hidden(text).len(), text.len());
        }
    }
}
