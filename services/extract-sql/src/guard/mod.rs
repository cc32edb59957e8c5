//! What a query may be: one statement, which only reads.
//!
//! The text is read by a real parser of the database's dialect, so that `action = 'delete'` is a comparison with a text.
//! Functions are looked for among the tokens, so that none hides in a corner of the grammar. This is one of three walls:
//! the database is asked within a read-only transaction, under a time-out.

mod steady;
mod told;
mod tree;
mod words;

pub use steady::is_moment;

use databases::Kind;
use flight_common::{Fault, TextPlace};
use sqlparser::ast::Ident;
use sqlparser::dialect::{Dialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace, Word};

/// A query that was checked.
#[derive(Debug)]
pub struct Checked {
    /// Its text without comments and what comes after its last word. Each comment is blanked, so that the database reads
    /// nothing that the guard took for one, and places in the text stay what they are.
    pub text: String,
    /// The tables that it names, each by the parts of its name.
    pub tables: Vec<Vec<Ident>>,
    /// The word by which it may give other rows when it is asked again, if there is one.
    pub unsteady: Option<String>,
    /// For each column of its rows the type that its text tells, as [`told::types`] finds it.
    pub told: Vec<Option<String>>,
}

/// Checks a query.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for what is no query, [`flight_common::FaultKind::Denied`] for one that does more
/// than read; each names the word and its place.
pub fn checked(kind: Kind, query: &str) -> Result<Checked, Fault> {
    check_length(query)?;
    check_conditional_comments(kind, query)?;
    let dialect = dialect(kind);
    let tokens = Tokenizer::new(&*dialect, query).tokenize_with_location();
    let all = tokens.map_err(|error| unreadable(&error.to_string()))?;
    let tokens: Vec<&TokenWithSpan> = all.iter().filter(|token| !is_blank(&token.token)).collect();
    let end = end(query, &tokens)?;
    check_begin(&tokens)?;
    check_words(kind, &tokens)?;
    let parsed = Parser::new(&*dialect).with_tokens_with_locations(spelled_out(&all)).parse_statements();
    let statements = parsed.map_err(|error| match error {
        ParserError::TokenizerError(why) | ParserError::ParserError(why) => unreadable(&why),
        ParserError::RecursionLimitExceeded => unreadable("it is nested too deeply"),
    })?;
    let tables = tree::check(&statements)
        .map_err(|offence| denied(&offence.word, place(&tokens, offence.keyword), offence.why))?;
    Ok(Checked {
        text: without_comments(&query[..end], &all),
        tables,
        unsteady: steady::unsteady(&statements),
        told: told::types(&statements),
    })
}

/// Whether SQLite may call this function: asked again while it prepares the query, for views and triggers too.
pub fn may_call(function: &str) -> bool {
    words::refused(Kind::Sqlite, function).is_none()
}

fn dialect(kind: Kind) -> Box<dyn Dialect> {
    match kind {
        Kind::Postgres => Box::new(PostgreSqlDialect {}),
        Kind::MySql => Box::new(MySqlDialect {}),
        Kind::Sqlite => Box::new(SQLiteDialect {}),
    }
}

/// Bytes of the longest query: what the parser makes of it may nest as deep as it is long.
const LONGEST: usize = 256 << 10;

fn check_length(query: &str) -> Result<(), Fault> {
    if query.len() <= LONGEST {
        return Ok(());
    }
    let what = format!("the query has {} bytes, and {LONGEST} is the most", query.len());
    Err(refuse(Fault::bad_params(what), "join with a table of the database instead of listing values"))
}

/// Comments of MySQL that are statements after all, for servers of some version: nobody else can tell what they hide.
fn check_conditional_comments(kind: Kind, query: &str) -> Result<(), Fault> {
    let found = ["/*!", "/*M!", "/*m!"].into_iter().find(|start| kind == Kind::MySql && query.contains(start));
    found.map_or(Ok(()), |start| Err(denied(start, None, "a comment that the server runs cannot be checked")))
}

fn is_blank(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_) | Token::EOF)
}

/// The byte after the last word. A semicolon anywhere else separates statements.
fn end(query: &str, tokens: &[&TokenWithSpan]) -> Result<usize, Fault> {
    let meant = tokens.iter().rposition(|token| token.token != Token::SemiColon).map_or(0, |last| last + 1);
    if let Some(between) = tokens[..meant].iter().find(|token| token.token == Token::SemiColon) {
        let what = format!("more than one statement: the first ends {}", at(between.span.start));
        let fault = refuse(Fault::bad_params(what), "write one query; a further one is a step of its own");
        return Err(fault.in_text(text_place(between.span.start)));
    }
    Ok(tokens[..meant].last().map_or(0, |last| offset(query, last.span.end)))
}

/// The same with `SELECT * FROM t` for each `TABLE t`, of which the parser knows too little. The database is sent the query
/// as it was written.
fn spelled_out(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut spelled = Vec::with_capacity(tokens.len() + 2);
    let mut before = None;
    for token in tokens {
        let is_table =
            matches!(&token.token, Token::Word(word) if word.keyword == Keyword::TABLE && word.quote_style.is_none());
        if is_table && may_begin_after(before) {
            let words = [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")];
            spelled.extend(words.map(|word| TokenWithSpan::new(word, token.span)));
        } else {
            spelled.push(token.clone());
        }
        before = if is_blank(&token.token) { before } else { Some(&token.token) };
    }
    spelled
}

/// Whether a query, or a side of a `UNION`, may begin after this.
fn may_begin_after(before: Option<&Token>) -> bool {
    match before {
        None | Some(Token::LParen) => true,
        Some(Token::Word(word)) => matches!(
            word.keyword,
            Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::ALL | Keyword::DISTINCT
        ),
        Some(_) => false,
    }
}

/// Spaces in the place of comments. Lines stay lines.
fn without_comments(text: &str, tokens: &[TokenWithSpan]) -> String {
    let is_comment = |token: &&TokenWithSpan| match &token.token {
        Token::Whitespace(space) => {
            matches!(space, Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_))
        }
        _ => false,
    };
    let (mut plain, mut done) = (String::with_capacity(text.len()), 0);
    for comment in tokens.iter().filter(is_comment) {
        let (from, to) = (offset(text, comment.span.start), offset(text, comment.span.end));
        plain.push_str(text.get(done..from).unwrap_or_default());
        let blank = |letter| if letter == '\n' { '\n' } else { ' ' };
        plain.extend(text.get(from..to).unwrap_or_default().chars().map(blank));
        done = to;
    }
    plain.push_str(text.get(done..).unwrap_or_default());
    plain
}

/// Statements that are no queries are named for what they are.
fn check_begin(tokens: &[&TokenWithSpan]) -> Result<(), Fault> {
    let help = "the step takes one SELECT or WITH query";
    match tokens.iter().find(|token| token.token != Token::LParen).map(|first| &first.token) {
        None => Err(refuse(Fault::bad_params("the query is empty"), help)),
        Some(Token::Word(word))
            if matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::TABLE) =>
        {
            Ok(())
        }
        Some(Token::Word(word)) => {
            Err(refuse(Fault::denied(format!("this is no query but begins with {}", word.value.to_uppercase())), help))
        }
        Some(other) => Err(refuse(Fault::bad_params(format!("this is no query but begins with {other}")), help)),
    }
}

/// Looks at each word, and whether it calls what may not be called: `f(x)` does, and for PostgreSQL `x.f`, `(x).f` and
/// `TREAT(x AS f)` do too.
fn check_words(kind: Kind, tokens: &[&TokenWithSpan]) -> Result<(), Fault> {
    for (here, token) in tokens.iter().enumerate() {
        let after = |more: usize| tokens.get(here + more).map(|next| &next.token);
        let place = Some(token.span.start);
        if kind == Kind::MySql && token.token == Token::Colon && matches!(after(1), Some(Token::Word(_))) {
            let what = format!("a value by a name {}: MySQL knows them by ? alone", at(token.span.start));
            return Err(refuse(Fault::bad_params(what), "write ? in the query for each value of params"));
        }
        if kind == Kind::Postgres && is_special_text(&token.token) && after(1).is_some_and(is_text) {
            let why = "the server reads on by the rules of the first part, and the guard by those of the second";
            let help = "write it as one text, or put || between its parts";
            let what = format!("a text that goes on {} is refused: {why}", at(tokens[here + 1].span.start));
            return Err(refuse(Fault::denied(what), help).in_text(text_place(tokens[here + 1].span.start)));
        }
        let Token::Word(word) = &token.token else { continue };
        if let Some(why) = words::refused_anywhere(&word.value).filter(|_| kind == Kind::Postgres) {
            return Err(denied(&word.value, place, why));
        }
        let is_called = after(1) == Some(&Token::LParen);
        if let Some(why) = words::refused(kind, &word.value).filter(|_| is_called) {
            return Err(denied(&word.value, place, why));
        }
        let follows_dot = here.checked_sub(1).is_some_and(|before| tokens[before].token == Token::Period);
        if let Some(why) = words::refused(kind, &word.value).filter(|_| kind == Kind::Postgres && follows_dot) {
            return Err(denied_after_dot(&word.value, token.span.start, why));
        }
        if kind == Kind::Postgres && is_called && word.keyword == Keyword::TREAT && word.quote_style.is_none() {
            return Err(denied("TREAT", place, "it calls a function by the name that stands after AS; CAST does not"));
        }
        if word.keyword == Keyword::INTO {
            return Err(denied("INTO", place, "a query that only reads puts its rows nowhere else"));
        }
        if kind == Kind::MySql && word.keyword == Keyword::LOCK && word.quote_style.is_none() {
            return Err(denied("LOCK", place, "it locks rows, which keeps others from writing them"));
        }
        if word.keyword == Keyword::FOR && locks(after(1), after(2)) {
            return Err(denied("FOR", place, "it locks rows, which keeps others from writing them"));
        }
        if spells_by_code(kind, word, after(1), after(2)) {
            return Err(denied(
                "U&",
                place,
                "a name spelled by codes cannot be looked up among those that are refused",
            ));
        }
    }
    Ok(())
}

/// Whether it is a text, of any kind.
fn is_text(token: &Token) -> bool {
    matches!(token, Token::SingleQuotedString(_)) || is_special_text(token)
}

/// Whether it is a text with rules of its own: `E'…'`, `U&'…'`, `N'…'`, `B'…'`, `X'…'`. PostgreSQL lets a text go on in another
/// line (its manual, 4.1.2.1), and then takes the rest by the same rules.
fn is_special_text(token: &Token) -> bool {
    matches!(
        token,
        Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::HexStringLiteral(_)
    )
}

/// `UPDATE`, `SHARE`, `NO KEY UPDATE` and `KEY SHARE`, after `FOR`.
fn locks(first: Option<&Token>, second: Option<&Token>) -> bool {
    let is = |token: Option<&Token>, text: &str| matches!(token, Some(Token::Word(word)) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text));
    is(first, "UPDATE")
        || is(first, "SHARE")
        || is(first, "NO") && is(second, "KEY")
        || is(first, "KEY") && is(second, "SHARE")
}

/// `U&"..."`: PostgreSQL's way to write a name by the codes of its letters.
fn spells_by_code(kind: Kind, word: &Word, first: Option<&Token>, second: Option<&Token>) -> bool {
    let quoted = matches!(second, Some(Token::Word(name)) if name.quote_style == Some('"'));
    kind == Kind::Postgres && word.value.eq_ignore_ascii_case("u") && first == Some(&Token::Ampersand) && quoted
}

/// Where a keyword stands.
fn place(tokens: &[&TokenWithSpan], keyword: Keyword) -> Option<Location> {
    let is = |token: &&&TokenWithSpan| matches!(&token.token, Token::Word(word) if word.keyword == keyword);
    tokens.iter().find(is).map(|token| token.span.start)
}

fn at(place: Location) -> String {
    format!("at line {}, column {}", place.line, place.column)
}

fn text_place(Location { line, column }: Location) -> TextPlace {
    TextPlace { line, column }
}

fn denied(word: &str, place: Option<Location>, why: &str) -> Fault {
    let told = place.map(|place| format!(" {}", at(place))).unwrap_or_default();
    let fault = refuse(Fault::denied(format!("{word}{told} is refused: {why}")), "leave it out: the step only reads");
    place.map(text_place).into_iter().fold(fault, Fault::in_text)
}

fn denied_after_dot(word: &str, place: Location, why: &str) -> Fault {
    let told = at(place);
    let help = "leave it out; a column of this name is read without the name of its table before it";
    refuse(Fault::denied(format!("{word} {told} is refused: after a dot it is called as a function, and {why}")), help)
        .in_text(text_place(place))
}

fn unreadable(why: &str) -> Fault {
    let why = why.trim_start_matches("sql parser error: ");
    let help = "the query is parsed before it is sent, to be sure that it only reads; write it in plainer SQL";
    refuse(Fault::bad_params(format!("the query cannot be read: {why}")), help)
}

fn refuse(fault: Fault, help: &str) -> Fault {
    let message = fault.message().to_owned();
    fault.help(help).violation("/query", message)
}

/// The byte at which a line and a column (both counted from 1, in characters) lie.
fn offset(text: &str, place: Location) -> usize {
    let line = usize::try_from(place.line).unwrap_or(1).max(1) - 1;
    let column = usize::try_from(place.column).unwrap_or(1).max(1) - 1;
    let begin: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = &text[begin.min(text.len())..];
    begin + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests;
