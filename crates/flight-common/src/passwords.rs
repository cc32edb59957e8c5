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
    // Whole characters only were replaced, each byte by one of ASCII.
    String::from_utf8(bytes).unwrap_or_default()
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
        ] {
            assert_eq!(hidden(text), shown);
            assert_eq!(hidden(text).len(), text.len());
        }
    }
}
