//! A prompt in the form in which a model was taught to be spoken to: the chat template of the file, which is Jinja.

use crate::flaw::Flaw;
use crate::tokens::Tokens;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, context};

const NAME: &str = "chat";
/// Steps that a template may take: far above any, and far below what hurts.
const FUEL: u64 = 100_000;

/// The chat template of a model. One of none hands prompts on as they are.
pub(crate) struct Chat(Option<Environment<'static>>);

impl Chat {
    /// Reads a template.
    pub fn read(template: Option<&str>) -> Result<Self, Flaw> {
        let Some(template) = template else { return Ok(Self(None)) };
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Lenient);
        env.set_fuel(Some(FUEL));
        env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(Flaw::failed)?);
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        env.add_function("raise_exception", |why: String| {
            Err::<String, _>(Error::new(ErrorKind::InvalidOperation, why))
        });
        env.add_template_owned(NAME, template.to_owned())
            .map_err(|error| Flaw::unsupported(format!("its chat template cannot be read: {}", reason(&error))))?;
        Ok(Self(Some(env)))
    }

    /// What the model reads, and after which its answer follows. A model that knows no system message gets it before the
    /// prompt.
    pub fn render(&self, system: Option<&str>, prompt: &str, tokens: &Tokens) -> Result<String, Flaw> {
        let (system, prompt) = (system.map(|system| tokens.without_marks(system)), tokens.without_marks(prompt));
        let joined = system.as_ref().map_or_else(|| prompt.clone(), |system| format!("{system}\n\n{prompt}"));
        let Some(env) = &self.0 else { return Ok(joined) };
        let message = |role: &str, content: &str| context!(role => role, content => content);
        let told = system.as_deref().map(|system| message("system", system));
        let first = render(env, told.into_iter().chain([message("user", &prompt)]).collect(), tokens);
        let rendered = match first {
            Err(_) if system.is_some() => render(env, vec![message("user", &joined)], tokens),
            rendered => rendered,
        };
        rendered.map_err(|error| Flaw::unsupported(format!("its chat template fails: {}", reason(&error))))
    }
}

fn render(env: &Environment<'_>, messages: Vec<minijinja::Value>, tokens: &Tokens) -> Result<String, Error> {
    env.get_template(NAME)?.render(context! {
        messages => messages,
        add_generation_prompt => true,
        // Models that think aloud before they answer are asked not to.
        enable_thinking => false,
        bos_token => tokens.begin_text(),
        eos_token => tokens.end_text(),
    })
}

fn reason(error: &Error) -> String {
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    error.detail().map_or_else(|| format!("{}{line}", error.kind()), |detail| format!("{detail}{line}"))
}
