//! What is wrong with a model, or with what is asked of it.

/// Why there is no model, or no answer. Messages go on where the name of the file stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The file system says no.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// The file is no GGUF file, is cut, or contradicts itself.
    #[error("{0}")]
    Malformed(String),
    /// The file is right, and holds something that is not known here.
    #[error("{0}")]
    Unsupported(String),
    /// This prompt will not do; another one may.
    #[error("{0}")]
    Prompt(String),
    /// Whoever asked wants no answer any more.
    #[error("the answer was stopped")]
    Stopped,
    /// Something failed that the checks before did not foresee.
    #[error("it cannot be computed: {0}")]
    Failed(String),
}

impl Flaw {
    /// A file that is not what it should be.
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }

    /// A file with something that is not known here.
    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported(what.into())
    }

    /// What went wrong in a library, in one line.
    pub(crate) fn failed(cause: impl std::fmt::Display) -> Self {
        // Its errors may carry a backtrace after their first line.
        Self::Failed(cause.to_string().lines().next().unwrap_or_default().to_owned())
    }
}

impl From<std::io::Error> for Flaw {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::malformed("the file is cut short"),
            _ => Self::Unreadable(error.to_string()),
        }
    }
}

/// Runs code of a library that may panic over a file that contradicts itself in a way that nobody has thought of.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Flaw>) -> Result<T, Flaw> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Flaw::failed(text.unwrap_or("it panicked")))
    })
}
