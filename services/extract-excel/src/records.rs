//! The lengths of the records of .xlsb parts. A reader makes room for as many bytes as a record says it has, so one that
//! says more than there are must be found before.

/// Goes through records, piece by piece.
#[derive(Debug, Default)]
pub struct Lengths {
    state: State,
    /// The most bytes that a record says it has.
    pub longest: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In the number that says of which kind it is: so many bytes of it were seen.
    Kind(u32),
    /// In the number that says how long it is.
    Length { seen: u32, length: usize },
    /// Bytes of its data that are still to come.
    Data(usize),
}

impl Default for State {
    fn default() -> Self {
        Self::Kind(0)
    }
}

impl Lengths {
    /// Takes the next piece.
    pub fn take(&mut self, mut piece: &[u8]) {
        while let Some((&byte, rest)) = piece.split_first() {
            (self.state, piece) = match self.state {
                State::Data(0) => (State::Kind(0), piece),
                State::Data(left) => {
                    let here = left.min(piece.len());
                    (State::Data(left - here), &piece[here..])
                }
                State::Kind(0) if byte & 0x80 != 0 => (State::Kind(1), rest),
                State::Kind(_) => (State::Length { seen: 0, length: 0 }, rest),
                State::Length { seen, length } => (self.length(seen, length, byte), rest),
            };
        }
    }

    /// Takes a byte of a length: seven bits of it, and whether more follow, up to four.
    fn length(&mut self, seen: u32, length: usize, byte: u8) -> State {
        let length = length | (usize::from(byte & 0x7f) << (7 * seen));
        if byte & 0x80 != 0 && seen < 3 {
            return State::Length { seen: seen + 1, length };
        }
        self.longest = self.longest.max(length);
        State::Data(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_record_is_found_whatever_the_pieces() {
        let mut bytes = vec![0x91, 0x01, 0x00, 0x05, 0x81, 0x01];
        bytes.extend([0xff; 129]);
        bytes.extend([0x07, 0xff, 0xff, 0xff, 0x7f, 0x00]);
        for size in [1, 2, 3, 200] {
            let mut lengths = Lengths::default();
            bytes[..6 + 129].chunks(size).for_each(|piece| lengths.take(piece));
            assert_eq!(lengths.longest, 129, "{size}");
            bytes[6 + 129..].chunks(size).for_each(|piece| lengths.take(piece));
            assert_eq!(lengths.longest, (1 << 28) - 1, "{size}");
        }
    }
}
