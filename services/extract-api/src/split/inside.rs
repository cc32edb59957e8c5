//! The end of a JSON value, found as its bytes come.

use memchr::memchr2;

/// How far a value has been read.
#[derive(Clone, Copy, Default)]
pub struct Inside {
    depth: u32,
    in_text: bool,
    escaped: bool,
}

impl Inside {
    /// An object or a list of which the bracket has been read.
    pub fn begun() -> Self {
        Self { depth: 1, ..Self::default() }
    }

    /// Goes on: how many of these bytes belong to the value, and whether it ends with them.
    pub fn scan(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < bytes.len() {
            if self.escaped {
                self.escaped = false;
                at += 1;
                continue;
            }
            if self.in_text {
                let Some(mark) = memchr2(b'"', b'\\', &bytes[at..]) else { break };
                at += mark + 1;
                self.escaped = bytes[at - 1] == b'\\';
                self.in_text = self.escaped;
                if !self.in_text && self.depth == 0 {
                    return (at, true);
                }
                continue;
            }
            match bytes[at] {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => return (at, true),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (at + 1, true);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        (bytes.len(), false)
    }
}
