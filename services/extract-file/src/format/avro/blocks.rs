//! Where the blocks of a file lie, and how many rows each tells.

use std::borrow::BorrowMut;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};

/// The largest block, which is decoded as a whole.
const LARGEST: i64 = 256 << 20;
const MAGIC: &[u8; 4] = b"Obj\x01";
/// What stands behind each block, as it stands behind the header.
type Mark = [u8; 16];
/// More rows than any block has.
const MANY: u64 = 1 << 40;

/// What a file is made of.
pub struct Found {
    /// The bytes of the header.
    pub header: usize,
    /// Its blocks, those of no rows left out.
    pub blocks: Vec<Alike>,
}

/// Some blocks, one behind the other, with as many rows in each.
#[derive(Clone, Copy, Debug)]
pub struct Alike {
    start: u64,
    end: u64,
    rows: u64,
    blocks: u64,
}

impl Alike {
    /// The rows of all.
    pub fn all(&self) -> u64 {
        self.rows * self.blocks
    }

    /// Rows of a batch, of which a block is a number without rest.
    pub fn batch_rows(&self) -> usize {
        const MOST: u64 = 64 << 10;
        const FEWEST: u64 = 1 << 10;
        let fits = |rows: &u64| self.rows.is_multiple_of(*rows);
        let rows = if self.rows <= MOST { None } else { (FEWEST..=MOST).rev().find(fits) };
        usize::try_from(rows.unwrap_or(self.rows)).unwrap_or(usize::MAX)
    }
}

/// Goes from block to block: a reader takes a file that was cut within one for whole, and blocks of another file for its own.
///
/// # Errors
/// What is wrong, and at which byte.
pub fn blocks(file: &mut BufReader<File>, size: u64) -> Result<Found, String> {
    let mut walk = Walk { file, place: 0, size };
    let mark = walk.header()?;
    let header = usize::try_from(walk.place).map_err(|error| error.to_string())?;
    let mut blocks = Vec::<Alike>::new();
    while walk.place < walk.size {
        let start = walk.place;
        let (rows, bytes) = (walk.number()?, walk.number()?);
        if !(0..=LARGEST).contains(&rows) || bytes > LARGEST {
            return Err(format!("at byte {start}: no block has {rows} rows in {bytes} bytes ({LARGEST} is the most)"));
        }
        walk.skip(bytes)?;
        if walk.mark()? != mark {
            return Err(format!("the block at byte {start} does not end with the mark of this file"));
        }
        let (rows, end) = (rows.unsigned_abs(), walk.place);
        match blocks.last_mut() {
            _ if rows == 0 => {}
            Some(last) if last.rows == rows && last.end == start => (last.end, last.blocks) = (end, last.blocks + 1),
            _ => blocks.push(Alike { start, end, rows, blocks: 1 }),
        }
    }
    Ok(Found { header, blocks })
}

/// A header and blocks behind it, each of which tells of more rows than it has.
pub struct Claims {
    walk: Walk<BufReader<File>>,
    end: u64,
    /// What comes next.
    ready: Cursor<Vec<u8>>,
    /// Bytes of the block that come behind it.
    left: u64,
}

impl Claims {
    /// Those blocks of the file, behind this header.
    ///
    /// # Errors
    /// As to read the file.
    pub fn new(mut file: File, header: &[u8], alike: Alike) -> io::Result<Self> {
        file.seek(SeekFrom::Start(alike.start))?;
        let walk = Walk { file: BufReader::new(file), place: alike.start, size: alike.end };
        Ok(Self { walk, end: alike.end, ready: Cursor::new(header.to_vec()), left: 0 })
    }
}

impl Read for Claims {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.ready.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            if self.left > 0 {
                let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
                let read = self.walk.file.read(&mut buffer[..most])?;
                self.left -= read as u64;
                self.walk.place += read as u64;
                return if read > 0 { Ok(read) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            if self.walk.place >= self.end {
                return Ok(0);
            }
            let mut numbers = || Ok::<_, String>((self.walk.number()?, self.walk.number()?));
            let (_, bytes) = numbers().map_err(io::Error::other)?;
            let mut ready = Vec::with_capacity(16);
            put(MANY, &mut ready);
            put(bytes.unsigned_abs(), &mut ready);
            (self.ready, self.left) = (Cursor::new(ready), bytes.unsigned_abs() + size_of::<Mark>() as u64);
        }
    }
}

/// A number of variable length, zigzag.
fn put(number: u64, into: &mut Vec<u8>) {
    let mut rest = number << 1;
    while rest > 0x7f {
        into.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    into.push(rest as u8);
}

/// A walk through the file.
struct Walk<R> {
    file: R,
    place: u64,
    size: u64,
}

impl<R: BorrowMut<BufReader<File>>> Walk<R> {
    /// Magic bytes, a map that holds the schema, and the mark, which it tells.
    fn header(&mut self) -> Result<Mark, String> {
        let mut magic = [0; MAGIC.len()];
        let read = self.file.borrow_mut().read_exact(&mut magic);
        if read.is_err() || magic != *MAGIC {
            return Err("it does not begin as an Avro file".to_owned());
        }
        self.place = MAGIC.len() as u64;
        loop {
            let entries = match self.number()? {
                0 => return self.mark(),
                // Then its length in bytes is there too.
                negative @ ..0 => {
                    self.number()?;
                    negative.unsigned_abs()
                }
                entries => entries.unsigned_abs(),
            };
            for _ in 0..entries {
                for _name_and_value in 0..2 {
                    let length = self.number()?;
                    self.skip(length)?;
                }
            }
        }
    }

    /// A number of variable length, zigzag.
    fn number(&mut self) -> Result<i64, String> {
        let mut number = 0u64;
        for place in 0..10 {
            let mut byte = [0];
            self.file.borrow_mut().read_exact(&mut byte).map_err(|_| self.ended())?;
            self.place += 1;
            number |= u64::from(byte[0] & 0x7f) << (7 * place);
            if byte[0] & 0x80 == 0 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(format!("at byte {}: a number does not end", self.place))
    }

    fn mark(&mut self) -> Result<Mark, String> {
        let mut mark = Mark::default();
        self.file.borrow_mut().read_exact(&mut mark).map_err(|_| self.ended())?;
        self.place += mark.len() as u64;
        Ok(mark)
    }

    fn skip(&mut self, bytes: i64) -> Result<(), String> {
        let end = u64::try_from(bytes).ok().and_then(|bytes| self.place.checked_add(bytes));
        let end = end.filter(|end| *end <= self.size).ok_or_else(|| self.ended())?;
        self.file.borrow_mut().seek_relative(bytes).map_err(|error| error.to_string())?;
        self.place = end;
        Ok(())
    }

    fn ended(&self) -> String {
        format!("at byte {}: what begins here goes on beyond the end of the file", self.place)
    }
}
