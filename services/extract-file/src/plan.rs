//! The plan: a look into every file.

use crate::condition::Condition;
use crate::files;
use crate::format::{Opened, parquet};
use crate::given::Given;
use crate::params::{Format, Params};
use crate::partitions::{self, Written};
use crate::prune::may_hold;
use crate::read::{Job, Run, Seen};
use crate::unify::Unified;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use flight_common::params::{Wrong, bad_param};
use flight_common::{DataRoot, Dataset, Fault, FaultKind, FileIdentity, Planned, ReadFile, columns, compute, files_of};
use std::sync::Arc;

/// What a look into the files has found.
struct Found {
    files: Vec<Seen>,
    /// All columns, of the files and of their folders.
    schema: SchemaRef,
}

/// Opens the files and finds out what they hold, and which parts of them are to be read.
///
/// # Errors
/// What is wrong with the files, said of the parameter `file_path` unless it speaks of another.
pub async fn plan(params: Params, root: DataRoot) -> Result<Planned<Run>, Fault> {
    let given = Given::new(params.types.clone())?;
    let params = Arc::new(params);
    let look = {
        let (params, given, root) = (params.clone(), given.clone(), root.clone());
        compute::run(move || look(&params, &given, &root).map_err(of_the_files)).await?
    };
    let all = look.schema.clone();
    let condition = match params.condition.clone() {
        Some(text) => Some(compute::run_deep(move || Condition::compile(&text, &all)).await?),
        None => None,
    };
    let selected = selected(&params, &look.schema)?;
    compute::run(move || {
        let jobs = jobs(&look, condition.as_ref(), &root)?;
        let identities: Vec<FileIdentity> = look.files.iter().map(|file| file.identity.clone()).collect();
        let parts = look.files.iter().map(|file| file.row_groups.unwrap_or(1)).sum();
        let from_files = from_files(&look);
        let known = look.schema.fields().to_vec();
        let run = Run {
            schema: selected.clone(),
            condition,
            from_files,
            known,
            given,
            unknown: params.unknown_fields,
            files: look.files,
            jobs,
            parts,
        };
        let places = identities.iter().map(|file| root.locate(file.path(), files::PARAM));
        let dataset = Dataset::files(&root, &places.collect::<Result<Vec<_>, _>>()?);
        let reads = ReadFile::of(&root, &params.file_path, identities.iter().map(FileIdentity::path), files::PARAM)?;
        let planned = Planned::new(selected, run).source(FileIdentity::of_all(&identities));
        Ok(planned.dataset(dataset).reads(reads))
    })
    .await
}

fn of_the_files(fault: Fault) -> Fault {
    if !fault.violations().is_empty() || fault.kind() == FaultKind::Internal {
        return fault;
    }
    let message = fault.message().to_owned();
    fault.violation(format!("/{}", files::PARAM), message)
}

fn look(params: &Params, given: &Given, root: &DataRoot) -> Result<Found, Fault> {
    let mut unified = Unified::default();
    let mut looked_at: Vec<(FileIdentity, Format, Option<usize>, Written)> = Vec::new();
    let paths = files_of(root, &params.file_path, files::PARAM)?;
    let format =
        |path: &String| params.format.or_else(|| Format::of_name(path)).ok_or_else(|| files::of_no_format(path));
    let formats = paths.iter().map(format).collect::<Result<Vec<_>, _>>()?;
    for ((path, format), file) in paths.iter().zip(formats).zip(root.open_files(&paths, files::PARAM)) {
        let file = file?;
        let identity = FileIdentity::of(&file, path)?;
        given.check_format(path, format)?;
        let look = Opened { path: path.clone(), file: file.into_std(), format }.look(params.sample_rows)?;
        let look = look.typed(given, path)?;
        unified.add(path, &look)?;
        let written = partitions::of_path(path);
        looked_at.push((identity, format, look.row_groups, written));
    }
    let written: Vec<(&str, &Written)> =
        looked_at.iter().map(|(identity, _, _, written)| (identity.path(), written)).collect();
    let made = partitions::columns(&written, &params.partition_types)?;
    let own = Some(unified.schema()).filter(|own| !own.fields().is_empty()).unwrap_or_else(|| given.columns());
    given.check_columns(&own, &made)?;
    let of_files = own.fields().iter().filter(|field| !made.iter().any(|made| made.name() == field.name())).cloned();
    let fields: Vec<FieldRef> = of_files.chain(made.iter().cloned().map(Arc::new)).collect();
    if fields.is_empty() {
        return Err(Fault::bad_data(format!("{} has no columns", params.file_path))
            .help("is it empty? For JSON that may be, name the columns in `types`"));
    }
    let files = looked_at.into_iter().map(|(identity, format, row_groups, written)| {
        let values = written.into_iter().zip(&made);
        let folders =
            values.map(|((name, value), field)| Ok((name, partitions::one(value.as_deref(), field.data_type())?)));
        Ok(Seen { identity, format, folders: folders.collect::<Result<_, Fault>>()?, row_groups })
    });
    Ok(Found { files: files.collect::<Result<_, Fault>>()?, schema: Arc::new(Schema::new(fields)) })
}

/// The columns that come out.
fn selected(params: &Params, all: &SchemaRef) -> Result<SchemaRef, Fault> {
    let Some(list) = &params.select else { return Ok(all.clone()) };
    let mut wrong = Wrong::default();
    let mut places = Vec::new();
    for (name, pointer) in list.placed("/select") {
        let Some(place) = wrong.note(columns::find(all, name, &pointer)) else { continue };
        if places.contains(&place) {
            wrong.push(bad_param(pointer, format!("\"{name}\" is selected twice"), "leave one of them out"));
        }
        places.push(place);
    }
    wrong.into_result()?;
    if places.is_empty() {
        let message = "no column is selected";
        return Err(Fault::bad_params(message)
            .help("leave `select` out for all columns")
            .violation("/select", message));
    }
    Ok(Arc::new(all.project(&places)?))
}

/// The columns that no folder makes.
fn from_files(look: &Found) -> Vec<FieldRef> {
    let made = look.files.first().map(|file| file.folders.as_slice()).unwrap_or_default();
    let of_files = |field: &&FieldRef| !made.iter().any(|(name, _)| name == field.name());
    look.schema.fields().iter().filter(of_files).cloned().collect()
}

/// What is to be read, in order: row groups of Parquet files, and other files as a whole, without those that can hold no
/// row for which the condition holds.
fn jobs(look: &Found, condition: Option<&Condition>, root: &DataRoot) -> Result<Vec<Job>, Fault> {
    let mut jobs = Vec::new();
    let is_asked = |file: &&Seen| condition.is_some() && file.row_groups.is_some();
    let asked: Vec<String> = look.files.iter().filter(is_asked).map(|file| file.identity.path().to_owned()).collect();
    let mut opened = root.open_files(&asked, files::PARAM);
    for (place, file) in look.files.iter().enumerate() {
        let may_hold = match condition {
            None => vec![true; file.row_groups.unwrap_or(1)],
            Some(condition) if file.row_groups.is_some() => {
                let opened = opened.next().ok_or_else(|| Fault::internal("a file is opened for each"))??;
                file.identity.check(&opened, "while it was planned")?;
                let metadata = parquet::metadata(file.identity.path(), &opened)?;
                may_hold(condition, &file.folders, Some(&metadata))
            }
            Some(condition) => may_hold(condition, &file.folders, None),
        };
        let parts = may_hold.iter().enumerate().filter(|(_, may_hold)| **may_hold);
        jobs.extend(parts.map(|(part, _)| Job { file: place, row_group: file.row_groups.map(|_| part) }));
    }
    Ok(jobs)
}
