//! `quiver pipelines`: what an orchestrator stores by name.

use super::{file, print, print_json};
use crate::cli::{PipelinesArgs, PipelinesCommand};
use crate::exit::Exit;
use crate::show;
use flight_common::Fault;
use orchestrator::store::{Pipeline, PipelineVersion};
use reqwest::Method;

/// Does what was asked with stored pipelines.
pub async fn pipelines(args: PipelinesArgs) -> Result<Exit, Fault> {
    let remote = args.remote.open()?;
    match args.command {
        PipelinesCommand::List => {
            let all: Vec<Pipeline> = remote.read(remote.api(Method::GET, &["pipelines"])).await?;
            if args.json {
                print_json(&all)?;
            }
            for one in all.iter().filter(|_| !args.json) {
                let line = format!("{:<32} version {:<4} {}\n", one.name, one.version, show::when(one.updated_at));
                print(line.as_bytes())?;
            }
        }
        PipelinesCommand::Put { name, file, unchecked } => {
            let text = file::text(&file).await?;
            let request = remote.api(Method::PUT, &["pipelines", &name]).header("content-type", "application/yaml");
            let stored: PipelineVersion = remote.read(request.query(&[("check", !unchecked)]).body(text)).await?;
            match args.json {
                true => print_json(&stored)?,
                false => print(format!("{} is stored as version {}\n", stored.name, stored.version).as_bytes())?,
            }
        }
        PipelinesCommand::Show { name, version } => {
            let request = remote.api(Method::GET, &["pipelines", &name]).query(&query("version", version));
            match args.json {
                true => print_json(&remote.read::<serde_json::Value>(request).await?)?,
                false => print(text(&remote, request.header("accept", "application/yaml")).await?.as_bytes())?,
            }
        }
        PipelinesCommand::Versions { name } => {
            let request = remote.api(Method::GET, &["pipelines", &name, "versions"]);
            let all: Vec<PipelineVersion> = remote.read(request).await?;
            if args.json {
                print_json(&all)?;
            }
            for one in all.iter().filter(|_| !args.json) {
                let line =
                    format!("{:>4}  {}  {}  {}\n", one.version, show::when(one.created_at), &one.hash, one.created_by);
                print(line.as_bytes())?;
            }
        }
        PipelinesCommand::Diff { name, from, to } => {
            let query = [query("from", from), query("to", to)].concat();
            let diff = text(&remote, remote.api(Method::GET, &["pipelines", &name, "diff"]).query(&query)).await?;
            if diff.is_empty() {
                show::tell(format_args!("these versions of {name} do not differ"));
            }
            print(diff.as_bytes())?;
        }
        PipelinesCommand::Delete { name } => {
            remote.send(remote.api(Method::DELETE, &["pipelines", &name])).await?;
            show::tell(format_args!("{name} is deleted; its runs stay"));
        }
    }
    Ok(Exit::Done)
}

fn query(name: &'static str, value: Option<i64>) -> Vec<(&'static str, i64)> {
    value.into_iter().map(|value| (name, value)).collect()
}

async fn text(remote: &crate::remote::Remote, request: reqwest::RequestBuilder) -> Result<String, Fault> {
    let answer = remote.send(request).await?.text().await;
    answer.map_err(|error| Fault::upstream(format!("{} broke off: {error}", remote.url())))
}
