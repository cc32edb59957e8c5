//! The whole orchestrator: store, service and API put together, for `quiver up` and for `quiver-orchestrator`.

mod options;

pub use options::{ServeOptions, default_store, has_default_store};

use crate::access::Access;
use crate::api::{Api, ApiLimits, ApiServer};
use crate::front::FrontServer;
use crate::mesh::{FlightMesh, Planner};
use crate::run::Runner;
use crate::service::Service;
use crate::store::Store;
use flight_common::{DataRoot, Fault, FaultKind, StepEnv, canonical_name, params};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Says that the runs of the store are of another data root, if they are: of orchestrators that share a store, each would write
/// to another place. A data root is known by the id in its own folder. Each bucket has one of its own beneath the state folder,
/// which those that share the store need to share as well: what runs keep is there.
async fn compare_data_root(store: &Store, root: &DataRoot) -> Result<bool, Fault> {
    if !store.is_shared() {
        return Ok(true);
    }
    let own = root.own_folder()?;
    let file = own.path().join(ROOT_ID);
    let first_line = || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
    };
    if first_line().is_none() {
        // Of several who make one at the same time, the first is heard.
        own.append(Path::new(ROOT_ID), format!("{}\n", uuid::Uuid::now_v7()).as_bytes())?;
    }
    let id = first_line().ok_or_else(|| Fault::internal(format!("{} cannot be read", file.display())))?;
    let known = store.data_root(&id).await?;
    if known != id {
        tracing::warn!(
            data_root = %root,
            "the store was used with another data root first: orchestrators that share a store need the same --data-root, and with \
             a bucket the same --state-dir, or their runs write to different places, and do not find what they kept; if this is the same one, or in its place for good, write {known} into {}",
            file.display()
        );
    }
    Ok(known == id)
}

/// The file with the id of a data root.
const ROOT_ID: &str = "root-id";

/// The limits of steps, by the names that the steps go by. While a server does not answer, its steps are not known: a limit
/// of one of them holds only by its own name.
///
/// # Errors
/// [`FaultKind::BadParams`] for a step that there is not, and for two limits of one.
async fn by_step(limits: &[(String, usize)], planner: &dyn Planner) -> Result<HashMap<String, usize>, Fault> {
    let mut by_step = HashMap::new();
    if limits.is_empty() {
        return Ok(by_step);
    }
    // Whoever does not answer is among the silent.
    let steps = planner.catalog().await.unwrap_or_default();
    let silent = planner.silent();
    for (name, most) in limits {
        let wrong = |why: String| Fault::bad_params(format!("--max-runs-per-step: {why}"));
        let step = match steps.iter().find(|step| step.answers_to(name)) {
            Some(step) => step.name.clone(),
            None if silent.is_empty() => {
                let known = steps.iter().map(|step| step.name.as_str());
                return Err(wrong(format!("there is no step \"{name}\"")).help(params::did_you_mean(name, known)));
            }
            None => {
                tracing::warn!(
                    "--max-runs-per-step: whether there is a step \"{name}\" is not known, since these do not answer: {}; \
                     the limit holds if that is the step's own name, as `quiver steps` lists it",
                    silent.join(", ")
                );
                canonical_name(name)
            }
        };
        if by_step.insert(step.clone(), *most).is_some() {
            return Err(wrong(format!("{step} has two limits")).help("name each step once"));
        }
    }
    Ok(by_step)
}

/// Refuses to listen where others could come in: without tokens anywhere but on this machine, and without TLS there too,
/// unless a proxy in front does it.
///
/// # Errors
/// [`flight_common::FaultKind::Denied`] with what to do.
fn guarded(address: SocketAddr, access: Access, encrypted: bool) -> Result<(), Fault> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    if access == Access::Open {
        return Err(Fault::denied(format!("without tokens, {address} would be open to everybody"))
            .help("turn tokens on with --tokens, or listen on 127.0.0.1"));
    }
    if !encrypted {
        return Err(Fault::denied(format!("without TLS, tokens could be read on their way to {address}"))
            .help("name --tls-cert and --tls-key; --plaintext says that a proxy in front does it"));
    }
    Ok(())
}

/// Names the option for an address that cannot be listened on.
fn elsewhere(fault: Fault, option: &str) -> Fault {
    match fault.kind() {
        FaultKind::Busy | FaultKind::Upstream => {
            fault.help(format!("choose another address with {option}; port 0 takes a free one"))
        }
        _ => fault,
    }
}

/// An orchestrator at work.
pub struct Orchestrator {
    service: Service,
    api: ApiServer,
    front: FrontServer,
    stop: CancellationToken,
    working: JoinHandle<()>,
}

impl Orchestrator {
    /// Opens the store, takes up what was left, and listens. Runs are run by `runner`; calls of single steps go to the
    /// servers of `steps`.
    ///
    /// # Errors
    /// Why the store cannot be opened, or an address not be listened on.
    pub async fn start(
        options: &ServeOptions,
        runner: Arc<dyn Runner>,
        steps: Arc<FlightMesh>,
        env: StepEnv,
    ) -> Result<Self, Fault> {
        options.out_of_reach(&env.data_root)?;
        let store = Store::open(&options.store_url(&env.data_root)?).await?;
        if let Err(fault) = compare_data_root(&store, &env.data_root).await {
            tracing::warn!(%fault, "whether the data root is the one of the store is not known");
        }
        let per_step = by_step(&options.max_runs_per_step, runner.planner()).await?;
        let service = Service::new(store, runner, env.data_root.clone(), options.settings(per_step)?)?;
        let access = if options.tokens { Access::Tokens } else { Access::Open };
        if options.tokens && service.store().tokens().await?.is_empty() {
            tracing::warn!("nobody may call yet: `quiver token create NAME --role admin` makes the first token");
        }
        let limits = ApiLimits {
            upload: options.max_upload.as_u64(),
            patience: options.request_timeout,
            ..ApiLimits::default()
        };
        let api = Api::new(service.clone(), access, limits);
        let tls = options.tls()?;
        for address in [options.api, options.front] {
            guarded(address, access, tls.is_some() || options.plaintext)?;
        }
        let api = ApiServer::start(&api, options.api, tls.as_ref()).await.map_err(|fault| elsewhere(fault, "--api"))?;
        let front = FrontServer::start(service.clone(), steps, env.space, access, options.front, tls.as_ref()).await;
        let front = front.map_err(|fault| elsewhere(fault, "--front"))?;
        let stop = CancellationToken::new();
        let working = service.start(stop.clone());
        Ok(Self { service, api, front, stop, working })
    }

    /// The URL of the REST API.
    pub fn url(&self) -> String {
        self.api.url()
    }

    /// The address of the Flight front door.
    pub fn front(&self) -> SocketAddr {
        self.front.address()
    }

    /// The runs.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Takes no more runs, lets those under way end or gives them back, and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.working.await {
            tracing::error!(%error, "the scheduler ended badly");
        }
        // Until here, people could watch how their runs ended.
        tokio::join!(self.api.stop(), self.front.stop());
        self.service.store().close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_that_is_shared_has_one_data_root() {
        let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
        let [here, there] = folders.each_ref().map(|folder| DataRoot::open(folder.path()).expect("a data root"));
        let started = tokio::task::spawn_blocking(|| {
            let server = test_servers::Postgres::shared();
            let url = server.database();
            (server, url)
        });
        let (_server, url) = started.await.expect("PostgreSQL starts");
        let store = Store::open(&url).await.expect("it opens");
        for _ in 0..2 {
            assert!(compare_data_root(&store, &here).await.expect("told"), "it is the first");
        }
        assert!(!compare_data_root(&store, &there).await.expect("told"), "it is another one");
        // As the warning says.
        let id = |root: &DataRoot| root.own_path().join(ROOT_ID);
        std::fs::copy(id(&here), id(&there)).expect("written");
        assert!(compare_data_root(&store, &there).await.expect("told"), "it has taken the place");
        let own =
            Store::open(&format!("sqlite://{}", folders[0].path().join("s.db").display())).await.expect("it opens");
        assert!(compare_data_root(&own, &there).await.expect("told"), "nobody shares it");
    }

    #[test]
    fn an_address_open_to_others_needs_tokens_and_tls() {
        let kind = |address: &str, access, encrypted| {
            let address = address.parse().expect("an address");
            guarded(address, access, encrypted).err().map(|fault| fault.kind())
        };
        assert_eq!(kind("127.0.0.1:1", Access::Open, false), None);
        assert_eq!(kind("0.0.0.0:1", Access::Open, true), Some(FaultKind::Denied));
        assert_eq!(kind("[::]:1", Access::Tokens, false), Some(FaultKind::Denied));
        assert_eq!(kind("10.0.0.1:1", Access::Tokens, true), None);
    }
}
