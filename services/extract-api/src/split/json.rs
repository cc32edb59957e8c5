//! A JSON document: its list of records is found by a pointer, and each record as it comes. All around them, the frame,
//! is kept: it holds the next page's cursor, and shows at the end whether the document was one.

use super::gathered::{Gathered, RECORD_LIMIT, too_long};
use super::inside::Inside;
use super::{cut_short, whole};
use crate::failure::Failure;
use crate::options::RecordsPath;
use flight_common::Fault;
use serde_json::Value;

/// How long the frame may be.
const FRAME_LIMIT: usize = 16 << 20;

/// Cuts a document.
pub struct JsonSplitter {
    /// What was found.
    pub gathered: Gathered,
    path: RecordsPath,
    state: State,
    /// The document with an empty list, or an empty object, in the place of the records.
    frame: Vec<u8>,
    /// Where in the frame the document is.
    levels: Vec<Level>,
    /// Where in the frame the key begins that is being read.
    key: usize,
    /// An object in the place of the records.
    single: Option<Vec<u8>>,
    found: bool,
}

/// An object or a list that has begun.
struct Level {
    is_object: bool,
    /// The key whose value comes next.
    key: String,
    /// Whether a key comes next.
    wants_key: bool,
    /// The place of the value that comes next.
    place: usize,
}

#[derive(Clone, Copy)]
enum State {
    /// Outside of the records.
    Frame,
    /// In a text there.
    Text { escaped: bool, is_key: bool },
    /// In the list of records, between two of them.
    Between(Next),
    /// In a record.
    Record(Inside),
    /// In an object in the place of the records.
    Single(Inside),
}

/// What may come next in the list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    RecordOrEnd,
    Record,
    CommaOrEnd,
}

impl JsonSplitter {
    /// The records are at this place.
    pub fn new(path: &RecordsPath) -> Self {
        Self {
            gathered: Gathered::default(),
            path: path.clone(),
            state: State::Frame,
            frame: Vec::new(),
            levels: Vec::new(),
            key: 0,
            single: None,
            found: false,
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// What can be no JSON, a record or frame that is too long.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Fault> {
        let mut rest = piece;
        while let Some(&byte) = rest.first() {
            rest = match self.state {
                State::Record(inside) => self.in_record(inside, rest)?,
                State::Single(inside) => self.in_single(inside, rest)?,
                State::Between(next) => self.between(next, byte, rest)?,
                State::Text { escaped, is_key } => {
                    self.in_text(escaped, is_key, byte)?;
                    &rest[1..]
                }
                State::Frame => {
                    self.in_frame(byte)?;
                    &rest[1..]
                }
            };
        }
        if self.frame.len() > FRAME_LIMIT {
            let message = format!("the answer has more than {} MiB beside its records", FRAME_LIMIT >> 20);
            return Err(Fault::bad_data(message).help("is `records_path` the list of the records?"));
        }
        Ok(())
    }

    /// Bytes that it holds.
    pub fn kept(&self) -> usize {
        self.gathered.kept() + self.frame.capacity() + self.single.as_ref().map_or(0, Vec::capacity)
    }

    fn in_record<'a>(&mut self, mut inside: Inside, rest: &'a [u8]) -> Result<&'a [u8], Fault> {
        let (length, ends) = inside.scan(rest);
        self.gathered.bytes().extend_from_slice(&rest[..length]);
        self.state = State::Record(inside);
        if ends {
            self.gathered.end_value();
            self.gathered.end_record();
            self.state = State::Between(Next::CommaOrEnd);
        } else {
            self.gathered.check_length()?;
        }
        Ok(&rest[length..])
    }

    fn in_single<'a>(&mut self, mut inside: Inside, rest: &'a [u8]) -> Result<&'a [u8], Fault> {
        let (length, ends) = inside.scan(rest);
        let single = self.single.get_or_insert_default();
        single.extend_from_slice(&rest[..length]);
        if single.len() > RECORD_LIMIT {
            return Err(too_long());
        }
        self.state = State::Single(inside);
        if ends {
            self.frame.extend_from_slice(b"{}");
            self.state = State::Frame;
        }
        Ok(&rest[length..])
    }

    fn between<'a>(&mut self, next: Next, byte: u8, rest: &'a [u8]) -> Result<&'a [u8], Fault> {
        self.state = match (byte, next) {
            (b' ' | b'\t' | b'\r' | b'\n', _) => return Ok(&rest[1..]),
            (b',', Next::CommaOrEnd) => State::Between(Next::Record),
            (b']', Next::RecordOrEnd | Next::CommaOrEnd) => {
                self.frame.push(b']');
                State::Frame
            }
            (b',' | b']' | b'}', _) | (_, Next::CommaOrEnd) => {
                let shown = char::from(byte);
                return Err(Fault::bad_data(format!("the answer is not JSON: {shown:?} in the list of the records")));
            }
            _ => {
                self.state = State::Record(Inside::default());
                return Ok(rest);
            }
        };
        Ok(&rest[1..])
    }

    fn in_text(&mut self, escaped: bool, is_key: bool, byte: u8) -> Result<(), Fault> {
        self.frame.push(byte);
        self.state = match byte {
            _ if escaped => State::Text { escaped: false, is_key },
            b'\\' => State::Text { escaped: true, is_key },
            b'"' => {
                if is_key && let Some(level) = self.levels.last_mut() {
                    level.key = serde_json::from_slice(&self.frame[self.key..]).map_err(|error| not_json(&error))?;
                }
                State::Frame
            }
            _ => State::Text { escaped: false, is_key },
        };
        Ok(())
    }

    fn in_frame(&mut self, byte: u8) -> Result<(), Fault> {
        // A byte order mark.
        if self.frame.is_empty() && matches!(byte, 0xef | 0xbb | 0xbf) {
            return Ok(());
        }
        if matches!(byte, b'{' | b'[') && self.is_here() {
            self.found = true;
            if byte == b'{' {
                self.state = State::Single(Inside::begun());
                self.single = Some(vec![b'{']);
                return Ok(());
            }
            self.state = State::Between(Next::RecordOrEnd);
        }
        let in_list = matches!(self.state, State::Between(_));
        match byte {
            b'"' => {
                self.key = self.frame.len();
                let is_key = self.levels.last().is_some_and(|level| level.is_object && level.wants_key);
                self.state = State::Text { escaped: false, is_key };
            }
            b'{' | b'[' if !in_list => {
                let is_object = byte == b'{';
                self.levels.push(Level { is_object, key: String::new(), wants_key: is_object, place: 0 });
            }
            b'}' | b']' => {
                self.levels.pop();
            }
            b',' => {
                if let Some(level) = self.levels.last_mut() {
                    level.wants_key = level.is_object;
                    level.place += 1;
                }
            }
            b':' => {
                if let Some(level) = self.levels.last_mut() {
                    level.wants_key = false;
                }
            }
            _ => {}
        }
        self.frame.push(byte);
        Ok(())
    }

    /// Whether the value that begins is the one that the pointer leads to.
    fn is_here(&self) -> bool {
        let steps = &self.path.steps;
        !self.found
            && self.levels.len() == steps.len()
            && self.levels.iter().zip(steps).all(|(level, step)| match level.is_object {
                true => level.key == *step,
                false => step.parse() == Ok(level.place),
            })
    }

    /// Ends the page, and gives its frame.
    ///
    /// # Errors
    /// A document that was cut short, that is none, or that has nothing where the records should be.
    pub fn end(&mut self) -> Result<Value, Failure> {
        if !matches!(self.state, State::Frame) {
            return Err(cut_short());
        }
        let frame: Value = match serde_json::from_slice(&self.frame) {
            Ok(frame) => frame,
            Err(error) if error.is_eof() && !self.frame.trim_ascii().is_empty() => return Err(cut_short()),
            Err(error) => return Err(not_json(&error).into()),
        };
        if let Some(single) = self.single.take() {
            whole::records(&single, &self.path, &mut self.gathered)?;
        } else if !self.found {
            self.path.check_absent(&frame)?;
        }
        self.gathered.end();
        Ok(frame)
    }
}

fn not_json(error: &serde_json::Error) -> Fault {
    // Its place would be one in the frame, not in the answer.
    let what = error.to_string();
    let what = what.split(" at line").next().unwrap_or_default();
    Fault::bad_data(format!("the answer is not JSON: {what}")).help("set `format` if it is NDJSON or CSV")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::FaultKind;
    use proptest::prelude::*;
    use serde_json::json;

    fn split(path: Option<&str>, pieces: &[&[u8]]) -> Result<(Vec<String>, Value), Failure> {
        let path = RecordsPath::new(path).expect("a pointer");
        let mut splitter = JsonSplitter::new(&path);
        for piece in pieces {
            splitter.push(piece)?;
        }
        let frame = splitter.end()?;
        let mut found = Vec::new();
        while let Some(records) = splitter.gathered.take() {
            found.extend(records.values().map(|value| String::from_utf8_lossy(value).into_owned()));
        }
        Ok((found, frame))
    }

    fn records(path: Option<&str>, text: &str) -> Vec<String> {
        split(path, &[text.as_bytes()]).expect("good").0
    }

    fn kind(path: Option<&str>, text: &str) -> FaultKind {
        split(path, &[text.as_bytes()]).expect_err("refused").fault.kind()
    }

    #[test]
    fn records_are_found_whatever_pieces_they_come_in() {
        let text = "\u{feff}{\"a\\\"]\": [1, {\"x\": \"]\"}], \"d/~\": {\"items\": [[], {\"k\": \"v\\\\\\\" ,]}\"} , 5,\"t\", null ]}, \"next\": \"é\"}";
        let wanted = ["[]", "{\"k\": \"v\\\\\\\" ,]}\"}", "5", "\"t\"", "null"];
        for cut in 0..text.len() {
            let (head, tail) = text.as_bytes().split_at(cut);
            let (found, frame) = split(Some("/d~1~0/items"), &[head, tail]).expect("good");
            assert_eq!(found, wanted);
            assert_eq!(frame, json!({"a\"]": [1, {"x": "]"}], "d/~": {"items": []}, "next": "é"}));
        }
    }

    #[test]
    fn a_pointer_leads_through_lists() {
        assert_eq!(records(Some("/1/0"), "[[9], [[1, 2], [3]]]"), ["1", "2"]);
        assert_eq!(records(None, " [ ] "), [""; 0]);
        assert_eq!(records(Some(""), "[{}]"), ["{}"]);
        assert_eq!(records(Some("/a"), r#"{"b": [1], "a": null}"#), [""; 0]);
    }

    #[test]
    fn columns_become_records_and_an_object_is_one() {
        let hourly = r#"{"hourly": {"time": ["a", "b"], "temp": [1.50, null]}}"#;
        assert_eq!(records(Some("/hourly"), hourly), [r#"{"time":"a","temp":1.50}"#, r#"{"time":"b","temp":null}"#]);
        assert_eq!(records(None, r#"{"id": 1, "tags": ["x"]}"#), [r#"{"id": 1, "tags": ["x"]}"#]);
        assert_eq!(kind(Some("/hourly"), r#"{"hourly": {"time": [1, 2], "temp": [1]}}"#), FaultKind::BadData);
    }

    #[test]
    fn a_list_that_was_most_likely_meant_is_told() {
        let text = r#"{"total": 2, "results": [{"a": 1}, {"a": 2}]}"#;
        let fault = split(None, &[text.as_bytes()]).expect_err("refused").fault;
        assert!(fault.help_text().is_some_and(|help| help.contains("/results")), "{fault:?}");
        assert_eq!(records(Some(""), text), [text]);
        assert_eq!(records(Some("/results"), text).len(), 2);
    }

    #[test]
    fn nothing_at_the_place_of_the_records_is_told_with_what_there_is() {
        let fault = split(Some("/itms"), &[br#"{"items": [1]}"#]).expect_err("refused").fault;
        assert_eq!(fault.kind(), FaultKind::BadData);
        assert!(fault.help_text().is_some_and(|help| help.contains("items")), "{fault:?}");
        assert_eq!(kind(Some("/a"), r#"{"a": 5}"#), FaultKind::BadData);
        assert_eq!(kind(None, "5"), FaultKind::BadData);
    }

    #[test]
    fn what_is_cut_short_is_told_from_what_is_no_json() {
        let text = r#"{"items": [{"a": 1}, {"a": 2}], "n": 1}"#;
        for cut in 1..text.len() {
            let failure = split(Some("/items"), &[&text.as_bytes()[..cut]]).expect_err("cut");
            assert_eq!(failure.fault.kind(), FaultKind::Upstream, "{}", &text[..cut]);
        }
        for wrong in ["", "<html>", "{]", "[1,]", "[1 2]", "[,1]", r#"{"items": [1]]"#, r#"{"a" "b"}"#, "[1] x"] {
            assert_eq!(kind(Some("/items").filter(|_| wrong.contains("items")), wrong), FaultKind::BadData, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_list_is_cut_into_its_records(
            values in prop::collection::vec(r#"[\[\]{}",\\: a\n]{0,12}"#, 0..20),
            cut in 0usize..400,
        ) {
            let list: Vec<Value> = values.iter().map(|text| json!({text.as_str(): [text, 1]})).collect();
            let text = json!({"x": "]", "rows": list}).to_string();
            let (head, tail) = text.as_bytes().split_at(cut.min(text.len()));
            let (found, _) = split(Some("/rows"), &[head, tail]).expect("good");
            let found: Vec<Value> = found.iter().map(|one| serde_json::from_str(one).expect("JSON")).collect();
            prop_assert_eq!(found, list);
        }
    }
}
