//! Which file a load writes, and in which form.

use crate::params::{Compression, Format, Params};
use flight_common::{DataRoot, Fault};
use formats::Form;
use std::path::{Path, PathBuf};

/// How a file of this form may be compressed; the first is what it is unless told.
fn compressions(form: Form) -> &'static [Compression] {
    use Compression::{Gzip, Lz4, None, Snappy, Zstd};
    match form {
        Form::Csv | Form::Json | Form::Jsonl => &[None, Gzip, Zstd],
        Form::Xlsx => &[None],
        Form::Parquet => &[Snappy, Zstd, Gzip, Lz4, None],
        Form::Arrow => &[None, Lz4, Zstd],
    }
}

fn is_text(form: Form) -> bool {
    matches!(form, Form::Csv | Form::Json | Form::Jsonl)
}

impl From<Format> for Form {
    fn from(format: Format) -> Self {
        match format {
            Format::Csv => Self::Csv,
            Format::Json => Self::Json,
            Format::Jsonl | Format::Ndjson => Self::Jsonl,
            Format::Xlsx | Format::Excel => Self::Xlsx,
            Format::Parquet => Self::Parquet,
            Format::Arrow => Self::Arrow,
        }
    }
}

/// A file to be written.
#[derive(Clone, Debug)]
pub struct Target {
    /// In which form.
    pub form: Form,
    /// How compressed.
    pub compression: Compression,
    /// What the data are called.
    pub dataset: String,
    /// The file that the user named, relative to the data root.
    named: Option<PathBuf>,
}

impl Target {
    /// What the parameters say.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] and [`flight_common::FaultKind::Denied`], each with the parameter.
    pub fn new(params: &Params, root: &DataRoot) -> Result<Self, Fault> {
        check_dataset(&params.dataset_name)?;
        // Its folder is a path like any other.
        root.locate(&params.dataset_name, "dataset_name")?;
        let named = params.path.as_deref().map(|path| root.locate(path, "path")).transpose()?;
        let (ending, packed) = named.as_deref().map_or((None, None), endings);
        let form = match (params.format, &named) {
            (Some(format), _) => format.into(),
            (None, None) => Form::Csv,
            (None, Some(path)) => ending.as_deref().and_then(Form::from_ending).ok_or_else(|| unknown_ending(path))?,
        };
        if let (Some(path), Some(_)) = (&named, packed.filter(|_| !is_text(form))) {
            return Err(packed_within(path, form));
        }
        let compression = params.compression.or(packed).unwrap_or(compressions(form)[0]);
        check_compression(form, compression)?;
        Ok(Self { form, compression, dataset: params.dataset_name.clone(), named })
    }

    /// The file of this run, relative to the data root.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for a run whose name cannot be part of a file's name.
    pub fn path(&self, run_id: &str) -> Result<PathBuf, Fault> {
        if let Some(named) = &self.named {
            return Ok(named.clone());
        }
        if !run_id.is_empty() && !is_plain_name(run_id) {
            return Err(Fault::bad_params(format!("the run id {run_id:?} cannot be part of a file's name"))
                .help("use up to 128 of A-Z a-z 0-9 . _ - for it"));
        }
        // A caller that names no run cannot repeat one either: its output gets a name that nobody else has.
        let fresh = uuid::Uuid::now_v7().to_string();
        let run = if run_id.is_empty() { &fresh } else { run_id };
        let packed = match self.compression {
            Compression::Gzip if is_text(self.form) => ".gz",
            Compression::Zstd if is_text(self.form) => ".zst",
            _ => "",
        };
        let name = format!("{}_{run}.{}{packed}", self.dataset, self.form.name());
        Ok(self.place().join(name))
    }

    /// The parameter that names it.
    pub fn param(&self) -> &'static str {
        match self.named {
            Some(_) => "path",
            None => "dataset_name",
        }
    }

    /// What is the same for all runs: the file that was named, or the folder with a file of each run.
    pub fn place(&self) -> PathBuf {
        match &self.named {
            Some(named) => named.clone(),
            None => [self.dataset.as_str(), "processed"].iter().collect(),
        }
    }
}

fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=128).contains(&name.len()) && name.bytes().all(plain) && name != "." && name != ".."
}

fn check_dataset(name: &str) -> Result<(), Fault> {
    if is_plain_name(name) {
        return Ok(());
    }
    let message = format!("dataset_name: {name:?} cannot be part of a path");
    Err(Fault::bad_params(message.clone())
        .help("use 1 to 128 of A-Z a-z 0-9 . _ - for it, such as hr_employees")
        .violation("/dataset_name", message))
}

/// `csv` and gzip of `a.csv.gz`; `csv` of `a.csv`.
fn endings(path: &Path) -> (Option<String>, Option<Compression>) {
    let ending = |path: &Path| path.extension().map(|ending| ending.to_string_lossy().into_owned());
    let packed = match ending(path).as_deref() {
        Some("gz") => Compression::Gzip,
        Some("zst") => Compression::Zstd,
        _ => return (ending(path), None),
    };
    (ending(Path::new(path.file_stem().unwrap_or_default())), Some(packed))
}

/// Such files are compressed within, and readers take the ending at its word.
fn packed_within(path: &Path, form: Form) -> Fault {
    let message = format!("path: {} says that a whole {} file is compressed", path.display(), form.name());
    let help = match compressions(form) {
        [_] => "leave .gz or .zst out",
        _ => "leave .gz or .zst out; what is within is compressed as `compression` says",
    };
    Fault::bad_params(message.clone()).help(help).violation("/path", message)
}

fn unknown_ending(path: &Path) -> Fault {
    let message = format!("path: the ending of {} does not tell the format", path.display());
    Fault::bad_params(message.clone())
        .help("set format to csv, json, jsonl, xlsx, parquet or arrow")
        .violation("/path", message)
}

fn check_compression(form: Form, compression: Compression) -> Result<(), Fault> {
    let known = compressions(form);
    if known.contains(&compression) {
        return Ok(());
    }
    let word = |compression: &Compression| format!("{compression:?}").to_lowercase();
    let message = format!("compression: {} files are not compressed with {}", form.name(), word(&compression));
    let known: Vec<String> = known.iter().map(word).collect();
    Err(Fault::bad_params(message.clone()).help(format!("use {}", known.join(", "))).violation("/compression", message))
}
