//! `quiver token`: who may call an orchestrator.
//!
//! The first token cannot be asked of an orchestrator that asks for tokens: whoever may write its store makes it there.

use super::{print, print_json, store};
use crate::cli::{TokenArgs, TokenCommand};
use crate::exit::Exit;
use crate::remote::Remote;
use crate::show;
use flight_common::{Fault, RootOptions, passwords};
use orchestrator::api::NewToken;
use orchestrator::store::{Store, Token};
use reqwest::Method;
use serde_json::json;

/// Who keeps the tokens.
enum Keeper {
    Orchestrator(Remote),
    Store(Store),
}

/// Does what was asked with tokens.
pub async fn token(args: TokenArgs) -> Result<Exit, Fault> {
    let keeper = match args.store.is_none() && !args.here && args.remote.is_named()? {
        true => Keeper::Orchestrator(args.remote.open()?),
        false => Keeper::Store(the_store(&args).await?),
    };
    match args.command {
        TokenCommand::Create { name, role, good_for } => {
            let NewToken { token, secret } = match &keeper {
                Keeper::Orchestrator(remote) => {
                    let seconds = good_for.map(|time| time.as_secs());
                    let body = json!({"name": name, "role": role, "good_for_seconds": seconds});
                    remote.read(remote.api(Method::POST, &["tokens"]).json(&body)).await?
                }
                Keeper::Store(store) => {
                    let (token, secret) = store.make_token(&name, role, good_for).await?;
                    NewToken { token, secret }
                }
            };
            match args.json {
                true => print_json(&NewToken { token, secret })?,
                false => {
                    let whom = match &keeper {
                        Keeper::Orchestrator(remote) => passwords::hidden(remote.url()),
                        Keeper::Store(_) => {
                            format!("the orchestrator of {}", place(args.store.as_deref(), &args.root)?)
                        }
                    };
                    let (name, role) = (&token.name, token.role.name());
                    show::tell(format_args!("{name} may call {whom} as {role}. This is shown once:"));
                    print(format!("{secret}\n").as_bytes())?;
                }
            }
        }
        TokenCommand::List => {
            let tokens: Vec<Token> = match &keeper {
                Keeper::Orchestrator(remote) => remote.read(remote.api(Method::GET, &["tokens"])).await?,
                Keeper::Store(store) => store.tokens().await?,
            };
            match args.json {
                true => print_json(&tokens)?,
                false => print(show::tokens(&tokens).as_bytes())?,
            }
        }
        TokenCommand::Revoke { id } => {
            match &keeper {
                Keeper::Orchestrator(remote) => drop(remote.send(remote.api(Method::DELETE, &["tokens", &id])).await?),
                Keeper::Store(store) => store.revoke_token(&id).await?,
            }
            show::tell(format_args!("{id} is revoked"));
        }
    }
    Ok(Exit::Done)
}

/// The store of this machine. Who only looks for tokens makes none.
async fn the_store(args: &TokenArgs) -> Result<Store, Fault> {
    let url = args.store.as_deref();
    if let TokenCommand::Create { .. } = args.command {
        return store::open(url, &args.root).await;
    }
    if let Some(store) = store::open_made(url, &args.root).await? {
        return Ok(store);
    }
    Err(Fault::not_found(format!("no orchestrator has kept anything at {} yet", place(url, &args.root)?))
        .help("--data-root or --store names another place, --url an orchestrator that runs"))
}

/// Where that store is.
fn place(url: Option<&str>, root: &RootOptions) -> Result<String, Fault> {
    match url {
        Some(url) => Ok(passwords::hidden(url)),
        None => Ok(root.open()?.to_string()),
    }
}
