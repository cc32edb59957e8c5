//! What a bucket is reached with.

use std::fmt;

/// The settings of a bucket, by the names of environment variables: `AWS_ACCESS_KEY_ID` and the like.
#[derive(Clone, Default)]
pub struct AwsSettings(Vec<(String, String)>);

impl AwsSettings {
    /// Those of the environment.
    pub fn from_env() -> Self {
        let all =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        all.collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a variable that is set to something.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

impl FromIterator<(String, String)> for AwsSettings {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(all: I) -> Self {
        Self(all.into_iter().filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty()).collect())
    }
}

/// Values may be secrets.
impl fmt::Debug for AwsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}
