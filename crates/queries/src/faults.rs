//! Faults on their way through DataFusion, and its errors as faults.

use crate::parser::of_parser;
use crate::words::{in_words, one_line};
use datafusion::common::{SchemaError, Span};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Word};
use flight_common::params::did_you_mean;
use flight_common::{Fault, FaultKind, TextPlace};
use std::cell::LazyCell;
use std::collections::{BTreeSet, HashMap};
use std::error::Error;

/// Mistakes of one query that are told at once.
const MOST: usize = 32;
/// Levels of `CASE` and brackets from which on a query that cannot be read is one that nests too deeply. The parser goes 50
/// levels deep, and what stands around these takes some. Of a `CASE` that lies deeper it says anything but that: it takes the
/// word for the name of a column.
const DEEP: usize = 45;

/// The fault somewhere inside an error: one that passed through DataFusion is the fault that it was.
pub fn carried(error: &DataFusionError) -> Option<Fault> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(here) = next {
        if let Some(fault) = here.downcast_ref::<Fault>() {
            return Some(fault.clone());
        }
        // What an I/O error holds is not its source.
        let held = here.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match held {
            Some(held) => Some(held),
            None => here.source(),
        };
    }
    None
}

/// A fault that is to pass through DataFusion.
pub fn into_error(fault: Fault) -> DataFusionError {
    DataFusionError::External(Box::new(fault))
}

/// Why a query is refused, and which word of it is to blame, where that is known.
pub struct Refusal {
    /// What is wrong.
    pub fault: Fault,
    /// Where in the query.
    pub place: Option<TextPlace>,
}

impl Refusal {
    /// The fault of the parameter that has the query. What is wrong with a value while a query is planned is wrong with the
    /// query.
    pub fn at(self, pointer: &str) -> Fault {
        let Self { fault, place } = self;
        let fault = match fault.kind() {
            FaultKind::BadParams | FaultKind::BadSchema => fault,
            FaultKind::BadData => {
                let refused = Fault::bad_params(fault.message());
                fault.help_text().into_iter().fold(refused, Fault::help)
            }
            _ => return fault,
        };
        let message = fault.message().to_owned();
        let fault = fault.violation(pointer, message);
        place.into_iter().fold(fault, Fault::in_text)
    }
}

/// What planning this query said, one by one: the first [`MOST`].
pub fn refusals(error: &DataFusionError, query: &str) -> Vec<Refusal> {
    let words = LazyCell::new(|| Words::of(query));
    let mut found = Vec::new();
    gather(error, None, &words, &mut found);
    found
}

fn gather<'q>(
    error: &DataFusionError,
    place: Option<TextPlace>,
    words: &LazyCell<Words, impl FnOnce() -> Words + 'q>,
    found: &mut Vec<Refusal>,
) {
    match error {
        _ if found.len() == MOST => {}
        DataFusionError::Context(_, inner) => gather(inner, place, words, found),
        DataFusionError::Shared(inner) => gather(inner, place, words, found),
        DataFusionError::Collection(all) => all.iter().for_each(|error| gather(error, place, words, found)),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let start = diagnostic.span.map(|Span { start, .. }| TextPlace { line: start.line, column: start.column });
            gather(inner, place.or(start), words, found);
        }
        DataFusionError::SQL(..) if words.deepest >= DEEP => {
            found.push(Refusal { fault: too_deep(), place: None });
        }
        _ => {
            let told = told(error);
            let place = place.or(told.place).or_else(|| words.place_of(told.word.as_deref()?));
            found.push(Refusal { fault: told.fault, place });
        }
    }
}

/// What a query said that runs, or one of which nobody holds the text.
pub fn fault(error: DataFusionError) -> Fault {
    told(&error).fault
}

/// The place of a word in a query that names it once.
pub fn place_of(word: &str, query: &str) -> Option<TextPlace> {
    Words::of(query).place_of(word)
}

/// The words of a query.
struct Words {
    /// Where each stands; nothing for one that stands in several places.
    places: HashMap<String, Option<TextPlace>>,
    /// How deep `CASE` and brackets lie in each other.
    deepest: usize,
}

impl Words {
    /// None of what cannot be read.
    fn of(query: &str) -> Self {
        let tokens = Tokenizer::new(&GenericDialect {}, query).tokenize_with_location().unwrap_or_default();
        let deepest = deepest(&tokens);
        let mut places = HashMap::new();
        for it in tokens {
            let Token::Word(word) = it.token else { continue };
            let start = it.span.start;
            let place = Some(TextPlace { line: start.line, column: start.column });
            places.entry(word.value).and_modify(|known| *known = None).or_insert(place);
        }
        Self { places, deepest }
    }

    fn place_of(&self, word: &str) -> Option<TextPlace> {
        *self.places.get(word)?
    }
}

fn deepest(tokens: &[TokenWithSpan]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for it in tokens {
        match &it.token {
            Token::LParen | Token::Word(Word { keyword: Keyword::CASE, .. }) => depth += 1,
            Token::RParen | Token::Word(Word { keyword: Keyword::END, .. }) => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

struct Told {
    fault: Fault,
    place: Option<TextPlace>,
    word: Option<String>,
}

fn told(error: &DataFusionError) -> Told {
    if let Some(fault) = carried(error) {
        return Told { fault, place: None, word: None };
    }
    let root = error.find_root();
    match root {
        DataFusionError::SchemaError(error, _) => of_schema(error),
        DataFusionError::SQL(error, _) => {
            let (fault, place) = of_parser(&one_line(&error.to_string()));
            Told { fault, place, word: None }
        }
        DataFusionError::ResourcesExhausted(_) => Told { fault: too_large(), place: None, word: None },
        DataFusionError::IoError(error) => Told { fault: Fault::io("a spill file", error), place: None, word: None },
        _ => {
            let words = in_words(&root.strip_backtrace());
            let kind = match root {
                DataFusionError::ArrowError(..) | DataFusionError::Execution(_) | DataFusionError::External(_) => {
                    FaultKind::BadData
                }
                DataFusionError::Plan(_) | DataFusionError::NotImplemented(_) => FaultKind::BadParams,
                _ if words.known => FaultKind::BadParams,
                _ => return Told { fault: Fault::internal(error), place: None, word: None },
            };
            let fault = Fault::new(kind, words.message);
            let fault = words.help.into_iter().fold(fault, Fault::help);
            Told { fault, place: None, word: words.word }
        }
    }
}

/// A name of columns of more than one table.
pub(crate) fn of_several(name: &str) -> Fault {
    Fault::bad_schema(format!("\"{name}\" is a column of more than one table")).help("name the table too: orders.id")
}

fn of_schema(error: &SchemaError) -> Told {
    let (name, fault) = match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let known: BTreeSet<&str> = valid_fields.iter().map(|column| column.name.as_str()).collect();
            let fault = Fault::bad_schema(format!("no column \"{}\"", field.flat_name()));
            (field.name(), fault.help(did_you_mean(field.name(), known)))
        }
        SchemaError::AmbiguousReference { field } => (field.name(), of_several(&field.flat_name())),
        SchemaError::DuplicateQualifiedField { qualifier, name } => {
            let fault = Fault::bad_schema(format!("two columns are called {}.{name}", qualifier.table()));
            (name.as_str(), fault.help("give one of the tables, or of the columns, another name: orders AS b"))
        }
        SchemaError::DuplicateUnqualifiedField { name } => {
            let fault = Fault::bad_schema(format!("two columns are called {name}"));
            (name.as_str(), fault.help("give one of them another name: AS other"))
        }
    };
    Told { fault: fault.column(name), place: None, word: Some(name.to_owned()) }
}

fn too_deep() -> Fault {
    Fault::bad_params("the query nests too deeply")
        .help("use fewer brackets, and one CASE with a WHEN for each case; or do it in several steps")
}

/// Why a query is refused memory. DataFusion would name settings that nobody here can set.
pub fn too_large() -> Fault {
    Fault::busy("the query needs more memory than there is")
        .help("raise --memory-limit, or ask for less at once: fewer columns, smaller groups or partitions")
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::error::ArrowError;
    use datafusion::sql::sqlparser::parser::ParserError;
    use std::io;
    use std::sync::Arc;

    #[test]
    fn a_fault_comes_out_of_whatever_it_was_wrapped_in() {
        let fault = || Box::new(Fault::upstream("the source is gone"));
        let wrapped = [
            DataFusionError::External(fault()),
            DataFusionError::ArrowError(Box::new(ArrowError::ExternalError(fault())), None),
            DataFusionError::IoError(io::Error::other(*fault())),
            DataFusionError::Shared(Arc::new(DataFusionError::External(fault()))).context("while reading"),
            DataFusionError::ArrowError(
                Box::new(ArrowError::IoError("write".to_owned(), io::Error::other(*fault()))),
                None,
            ),
        ];
        for error in wrapped {
            assert_eq!(carried(&error), Some(*fault()), "{error:?}");
        }
    }

    #[test]
    fn want_of_memory_is_busy_and_a_bad_value_is_bad_data() {
        let exhausted = DataFusionError::ResourcesExhausted("no more".to_owned()).context("HashJoin");
        let told = fault(exhausted);
        assert_eq!((told.kind(), told.message()), (FaultKind::Busy, "the query needs more memory than there is"));
        let cast = ArrowError::CastError("Cannot cast string 'x' to value of Int64 type".to_owned());
        let told = fault(DataFusionError::ArrowError(Box::new(cast), None));
        assert_eq!((told.kind(), told.message()), (FaultKind::BadData, "'x' is no Int64"));
        assert!(told.help_text().is_some_and(|help| help.contains("TRY_CAST")));
    }

    #[test]
    fn of_very_many_mistakes_the_first_are_told() {
        let wrong = |n: usize| DataFusionError::Plan(format!("mistake {n}"));
        let told = refusals(&DataFusionError::Collection((0..100_000).map(wrong).collect()), "SELECT 1");
        assert_eq!((told.len(), told[0].fault.message().contains("mistake 0")), (MOST, true));
    }

    #[test]
    fn a_query_that_nests_too_deeply_is_told_so_whatever_the_parser_says() {
        let said = "Expected: end of statement, found: id at Line: 1, Column: 18";
        let error = DataFusionError::SQL(Box::new(ParserError::ParserError(said.to_owned())), None);
        let nested = |levels| {
            let (cases, ends) = ("CASE WHEN id = 1 THEN 1 ELSE ".repeat(levels), " END".repeat(levels));
            format!("SELECT {cases}0{ends} FROM input")
        };
        let told = |levels| refusals(&error, &nested(levels)).remove(0).fault.message().to_owned();
        assert_eq!(told(60), "the query nests too deeply");
        assert!(told(3).contains("id stands where nothing more is expected"), "{}", told(3));
    }

    #[test]
    fn a_word_is_found_where_it_stands_alone() {
        let query = "SELECT 'nme', a.nme -- nme\nFROM a JOIN b";
        assert_eq!(place_of("nme", query), Some(TextPlace { line: 1, column: 17 }));
        assert_eq!(place_of("a", query), None);
        assert_eq!(place_of("b", query), Some(TextPlace { line: 2, column: 13 }));
    }
}
