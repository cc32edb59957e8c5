//! What is completed, by whom, and within which limits: all mistakes at once, and nothing asked.

use crate::asker::Limits;
use crate::chat::{Manner, OWN_FIELDS};
use crate::client::{Endpoint, bearer, not_allowed};
use crate::local::Chosen;
use crate::operator::Operator;
use crate::params::{OnError, Params, Prices};
use crate::template::Template;
use crate::work::{Work, holds_texts};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flight_common::outbound::{self, AllowList};
use flight_common::{Fault, FaultKind, Violation, columns, params};
use reqwest::Url;
use std::sync::Arc;
use std::time::Duration;

/// What marks a gap unless told.
const MARK: &str = "[MISSING]";

/// What to run.
pub struct Run {
    /// The columns that come out.
    pub(crate) schema: SchemaRef,
    /// What is completed.
    pub(crate) work: Work,
    /// The column that gets the words.
    pub(crate) column: String,
    /// Whom to ask. A dry run asks nobody, and counts tokens by a local model if there is one.
    pub(crate) whom: Option<Whom>,
    /// Whether nothing is asked.
    pub(crate) dry_run: bool,
    /// What is the same in all requests, also in those of a dry run.
    pub(crate) manner: Manner,
    /// How much at a time.
    pub(crate) limits: Limits,
    /// Rows to ask for at most.
    pub(crate) max_rows: u64,
    /// What becomes of a row that fails.
    pub(crate) on_error: OnError,
    /// What tokens cost.
    pub(crate) prices: Option<Prices>,
}

/// Whom to ask.
pub(crate) enum Whom {
    /// A server.
    Server(Box<Endpoint>),
    /// A model in this process.
    Local(Box<Chosen>),
}

/// Works out what to run. `chosen` is what became of the choice of a local model, if there is one.
///
/// # Errors
/// [`FaultKind::BadParams`] for parameters that do not go together or lack a server, [`FaultKind::BadSchema`] for columns
/// that are missing, that hold no texts, or that are there already.
pub fn run(
    params: Params,
    operator: &Operator,
    allowed: &AllowList,
    chosen: Option<Result<Chosen, Fault>>,
    input: &SchemaRef,
) -> Result<Run, Fault> {
    let mut wrong = mismatches(&params);
    let operators = operator.model.clone().filter(|_| params.base_url.is_none());
    let model = params.model_file.clone().or(params.model.clone()).or(operators);
    if model.is_none() && !params.dry_run {
        wrong.push(violation("/model", "no model is named", "name one as the server calls it: gpt-4o-mini"));
    }
    let manner = Manner {
        model: model.unwrap_or_default(),
        system: params.system.clone(),
        max_tokens: params.max_tokens,
        options: params.options.clone(),
    };
    let whom = match chosen {
        Some(chosen) => chosen.map(|chosen| Some(Whom::Local(Box::new(chosen)))),
        None if params.dry_run => Ok(None),
        None => endpoint(&params, operator, allowed).map(|endpoint| Some(Whom::Server(Box::new(endpoint)))),
    };
    let whom = match whom {
        Ok(whom) => whom,
        Err(fault) if fault.kind() == FaultKind::BadParams => {
            wrong.extend(fault.violations().iter().cloned());
            None
        }
        Err(fault) => return Err(fault),
    };
    if !wrong.is_empty() {
        return Err(params::bad_params(wrong));
    }
    let (work, column, schema) = match (&params.text_column, &params.prompt) {
        (Some(column), _) => gaps(&params, column, input)?,
        (None, prompt) => answers(&params, prompt.as_deref().unwrap_or_default(), input)?,
    };
    let manner = match &work {
        Work::Gaps { mark, .. } => Manner { system: manner.system.or_else(|| Some(fill_the_gap(mark))), ..manner },
        Work::Answers(_) => manner,
    };
    Ok(Run {
        schema,
        work,
        column,
        whom: whom.map(|whom| match whom {
            Whom::Server(endpoint) => Whom::Server(Box::new(Endpoint { manner: manner.clone(), ..*endpoint })),
            local => local,
        }),
        dry_run: params.dry_run,
        manner,
        limits: Limits {
            concurrency: params.concurrency.into(),
            per_minute: params.requests_per_minute,
            retries: params.retries,
        },
        max_rows: params.max_rows.unwrap_or(u64::MAX),
        on_error: params.on_error,
        // A model of one's own costs nothing.
        prices: params.prices.or(params.model_file.map(|_| Prices { input: 0.0, output: 0.0 })),
    })
}

fn violation(pointer: &str, message: impl Into<String>, help: &str) -> Violation {
    Violation::new(pointer, message).help(help.to_owned())
}

/// Parameters that do not go together.
fn mismatches(params: &Params) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let gaps = params.text_column.is_some();
    match (gaps, params.prompt.is_some()) {
        (true, true) => {
            wrong.push(violation("/prompt", "text_column and prompt exclude each other", "use two steps"));
        }
        (false, false) => {
            wrong.push(violation("", "neither text_column nor prompt is given", "one says what is to be completed"));
        }
        (false, true) if params.output_column.is_none() => {
            wrong.push(violation("/prompt", "output_column is missing", "name the new column that takes the answers"));
        }
        _ => {}
    }
    if gaps && params.output_column.is_some() {
        wrong.push(violation("/output_column", "output_column goes with prompt", "the words stay in text_column"));
    }
    if params.output_column.as_deref() == Some("") {
        wrong.push(violation("/output_column", "output_column is empty", "name the new column: answer"));
    }
    if !gaps && params.missing_placeholder.is_some() {
        let message = "missing_placeholder goes with text_column";
        wrong.push(violation("/missing_placeholder", message, "a prompt has no gap"));
    }
    if params.missing_placeholder.as_deref() == Some("") {
        wrong.push(violation("/missing_placeholder", "missing_placeholder is empty", "write what marks a gap: ___"));
    }
    if !gaps && params.on_error == OnError::Keep {
        wrong.push(violation("/on_error", "keep goes with text_column", "a new column has nothing to keep: use null"));
    }
    if params.model_file.is_some() {
        for (name, given) in [
            ("base_url", params.base_url.is_some()),
            ("model", params.model.is_some()),
            ("api_key", params.api_key.is_some()),
            ("requests_per_minute", params.requests_per_minute.is_some()),
            ("prices", params.prices.is_some()),
        ] {
            if given {
                let message = format!("{name} goes with a server, and model_file stands in its place");
                wrong.push(violation(&format!("/{name}"), message, "leave one of them out"));
            }
        }
    }
    for field in params.options.keys().filter(|field| OWN_FIELDS.contains(&field.as_str())) {
        wrong.push(violation(&format!("/options/{field}"), format!("{field} is not for options to set"), "remove it"));
    }
    wrong
}

/// The request to give the words for the gap and nothing else.
fn fill_the_gap(mark: &str) -> String {
    format!(
        "The text has a gap, marked {mark}. Answer with the words that belong in its place and with nothing else: no \
         quotation marks, no explanation, nothing of the text around it."
    )
}

type Planned = (Work, String, SchemaRef);

fn gaps(params: &Params, column: &str, input: &SchemaRef) -> Result<Planned, Fault> {
    const POINTER: &str = "/text_column";
    let place = columns::find(input, column, POINTER)?;
    let found = input.field(place).data_type();
    if !holds_texts(found) {
        return Err(columns::wrong_type(column, found, "text", POINTER));
    }
    let schema = match params.on_error {
        // A text that is never null may become so.
        OnError::Null if !input.field(place).is_nullable() => {
            let mut fields: Vec<_> = input.fields().iter().cloned().collect();
            fields[place] = Arc::new(input.field(place).clone().with_nullable(true));
            Arc::new(Schema::new_with_metadata(fields, input.metadata().clone()))
        }
        _ => input.clone(),
    };
    let mark = params.missing_placeholder.clone().unwrap_or_else(|| MARK.to_owned());
    Ok((Work::Gaps { place, mark }, column.to_owned(), schema))
}

fn answers(params: &Params, prompt: &str, input: &SchemaRef) -> Result<Planned, Fault> {
    let column = params.output_column.clone().unwrap_or_default();
    if input.column_with_name(&column).is_some() {
        let message = format!("there is a column \"{column}\" already");
        let fault = Fault::bad_schema(message.clone()).column(column).violation("/output_column", message);
        return Err(fault.help("name a new one"));
    }
    let template = Template::parse(prompt, input, "/prompt")?;
    let new = Arc::new(Field::new(&column, DataType::Utf8, true));
    let fields: Vec<_> = input.fields().iter().cloned().chain([new]).collect();
    let schema = Schema::new_with_metadata(fields, input.metadata().clone());
    Ok((Work::Answers(template), column, Arc::new(schema)))
}

/// Whom to ask; what all requests share is put in later.
fn endpoint(params: &Params, operator: &Operator, allowed: &AllowList) -> Result<Endpoint, Fault> {
    let (url, key, allowed) = match (&params.base_url, &operator.base_url) {
        (Some(base), _) => (completions(base, "base_url", "/base_url")?, None, Some(allowed.clone())),
        (None, Some(base)) => (completions(base, "QUIVER_LLM_BASE_URL", "")?, operator.api_key.clone(), None),
        (None, None) => {
            let help = "set `base_url`, or QUIVER_LLM_BASE_URL where the step runs: http://localhost:11434/v1; or try \
                        dry_run: true";
            return Err(params::bad_params(vec![violation("", "no model server is set", help)]));
        }
    };
    if let Some(allowed) = &allowed {
        let check = outbound::check(&url, allowed).map_err(|refused| not_allowed(&refused));
        check.map_err(|fault| {
            let message = fault.message().to_owned();
            fault.violation("/base_url", message)
        })?;
    }
    // The operator's key is for the operator's server, wherever a pipeline would like to have it.
    let key = params.api_key.clone().or(key);
    if let Some(key) = &key {
        bearer(key)?;
    }
    Ok(Endpoint {
        url,
        key,
        manner: Manner { model: String::new(), system: None, max_tokens: 0, options: params.options.clone() },
        deadline: Duration::from_secs(params.timeout_seconds),
        allowed,
    })
}

/// Where chat completions are, beneath the address at which the API begins.
fn completions(base: &str, name: &str, pointer: &str) -> Result<Url, Fault> {
    let wrong = |why: &str| {
        let message = format!("{name} is not the address of an API: {why}");
        Fault::bad_params(message.clone()).violation(pointer, message)
    };
    let mut url = Url::parse(base.trim()).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it begins with http:// or https://"));
    }
    match url.path_segments_mut() {
        Ok(mut path) => drop(path.pop_if_empty().extend(["chat", "completions"])),
        Err(()) => return Err(wrong("it has no path")),
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_put_after_that_of_the_api() {
        for (base, expected) in [
            ("http://localhost:11434/v1", "http://localhost:11434/v1/chat/completions"),
            ("https://host/v1/", "https://host/v1/chat/completions"),
            ("https://host", "https://host/chat/completions"),
            ("https://host/openai?api-version=1", "https://host/openai/chat/completions?api-version=1"),
        ] {
            assert_eq!(completions(base, "base_url", "/base_url").expect("an address").as_str(), expected);
        }
        for wrong in ["localhost:11434", "ftp://host/v1", "host/v1", "file:///v1"] {
            assert_eq!(completions(wrong, "base_url", "/base_url").expect_err(wrong).kind(), FaultKind::BadParams);
        }
    }
}
