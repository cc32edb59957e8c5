//! What a caller believes of a pipeline before it changes it, so that nobody overwrites what they have not seen.

/// What must be there before it is replaced: the newest version of a pipeline, or a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Anything, or nothing.
    #[default]
    Any,
    /// There is one.
    There,
    /// There is none.
    NotThere,
    /// Its hash is one of these.
    OneOf(Vec<String>),
    /// Its hash is none of these, or there is none.
    NoneOf(Vec<String>),
}

impl Expected {
    /// The version of this hash.
    pub fn hash(hash: &str) -> Self {
        Self::OneOf(vec![hash.to_owned()])
    }

    /// Whether that is so of what there is, by its hash.
    pub fn holds(&self, newest: Option<&str>) -> bool {
        let among = |hashes: &[String]| newest.is_some_and(|newest| hashes.iter().any(|hash| hash == newest));
        match self {
            Self::Any => true,
            Self::There => newest.is_some(),
            Self::NotThere => newest.is_none(),
            Self::OneOf(hashes) => among(hashes),
            Self::NoneOf(hashes) => !among(hashes),
        }
    }
}
