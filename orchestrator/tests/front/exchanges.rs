//! Calls that belong to one exchange.

use super::Door;
use super::support::House;
use super::support::steps::{Nothing, spec};
use flight_common::client::StepClient;
use flight_common::testing::{batch, slices};
use flight_common::wire::{FrameStream, Gather, encode_stream};
use flight_common::{
    BatchStream, Effects, Fault, FaultKind, InputSchemas, Inputs, Outputs, Permission, Planned, Step, StepCommand,
    StepContext, StepEnv, StepKind, StepSpec,
};
use futures::TryStreamExt;
use orchestrator::mesh::{Call, FlightMesh, Mesh};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Gives its rows, and gives them once more by a further output.
struct Twice;

impl Step for Twice {
    type Params = Nothing;
    type Run = ();

    fn spec(&self) -> StepSpec {
        let outputs = &["output", "again"];
        StepSpec { outputs, ..spec("twice", StepKind::Transform, flight_common::INPUT, Effects::None) }
    }

    async fn plan(&self, _: Nothing, inputs: &InputSchemas, _: &StepEnv) -> Result<Planned<()>, Fault> {
        Ok(Planned::new(inputs.only().clone(), ()).output(inputs.only().clone()))
    }

    fn process(&self, (): (), inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        let input = inputs.only()?;
        let (sender, again) = futures::channel::mpsc::unbounded();
        let (schema, claimed) = (input.schema(), context.claims("again"));
        let main = input.map_batches(schema.clone(), move |batch| {
            // Whether anybody reads it is for them to say.
            let _ = sender.unbounded_send(Ok(batch.clone()));
            Ok(batch)
        });
        Ok(Outputs::main(main).and(claimed.then(|| BatchStream::new(schema, again))))
    }
}

/// One address, from which connections go to these servers in turn: what a cluster has before the replicas of a step.
async fn balanced(servers: Vec<SocketAddr>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let accepting = tokio::spawn(async move {
        for server in servers.into_iter().cycle() {
            let Ok((mut caller, _)) = listener.accept().await else { return };
            tokio::spawn(async move {
                let mut callee = TcpStream::connect(server).await.expect("the server is there");
                // Either may end as it likes.
                let _ = tokio::io::copy_bidirectional(&mut caller, &mut callee).await;
            });
        }
    });
    (address, accepting)
}

fn numbers() -> FrameStream {
    let rows = batch!("n" => Int64Array [1, 2, 3]);
    FrameStream::new(rows.schema(), encode_stream(slices(&rows, 2), false))
}

fn command(step: &str, exchange_id: &str) -> StepCommand {
    StepCommand { step: step.to_owned(), exchange_id: exchange_id.to_owned(), ..StepCommand::default() }
}

#[tokio::test]
async fn all_calls_of_an_exchange_reach_the_replica_that_has_it() {
    let house = House::new();
    let registry = || House::registry().with(Twice);
    let ((at, first), (beside, second)) = (house.listening(registry()).await, house.listening(registry()).await);
    let (address, _balancer) = balanced(vec![at, beside]).await;
    let clients = vec![StepClient::tcp(&address).expect("an address")];
    let mesh = FlightMesh::connect(clients, house.env.data_root.clone()).await.expect("it answers");
    let door = Door::before(house, mesh, vec![first, second]).await;
    let client = StepClient::tcp(&door.orchestrator.front().to_string()).expect("an address");

    for number in 0..4 {
        let id = format!("further-{number}");
        let both = StepCommand { outputs: vec!["again".to_owned()], ..command("twice", &id) };
        let exchange = client.exchange(&both, Some(numbers()), Gather::Aligned, None).await.expect("it begins");
        exchange.frames.try_collect::<Vec<_>>().await.expect("a normal end");
        let further = StepCommand { output: "again".to_owned(), ..command("twice", &id) };
        let fetched = client.output(&further, Gather::Aligned, None).await.expect("it waits there");
        fetched.frames.try_collect::<Vec<_>>().await.expect("a normal end");
        assert_eq!(fetched.report.get().map(|report| report.rows_in), Some(3));

        let id = format!("staged-{number}");
        let staged = StepCommand { input: "second".to_owned(), ..command("second-then-first", &id) };
        client.stage(&staged, numbers()).await.expect("kept");
        let joined = command("second-then-first", &id);
        let exchange = client.exchange(&joined, Some(numbers()), Gather::Aligned, None).await.expect("both are there");
        exchange.frames.try_collect::<Vec<_>>().await.expect("a normal end");
        assert_eq!(exchange.report.get().map(|report| report.rows_out), Some(6));
    }
    let unknown = StepCommand { output: "again".to_owned(), ..command("twice", "unknown") };
    let fault = client.output(&unknown, Gather::Aligned, None).await.err().expect("no such exchange");
    assert_eq!(fault.kind(), FaultKind::NotFound);
    door.orchestrator.stop().await;
}

#[tokio::test]
async fn a_second_exchange_of_one_id_takes_nothing_from_the_first() {
    let house = House::new();
    let (address, server) = house.listening(House::registry().with(Twice)).await;
    let clients = vec![StepClient::tcp(&address.to_string()).expect("an address")];
    let mesh = FlightMesh::connect(clients, house.env.data_root.clone()).await.expect("it answers");
    let door = Door::before(house, mesh, vec![server]).await;
    let client = StepClient::tcp(&door.orchestrator.front().to_string()).expect("an address");

    let both = StepCommand { outputs: vec!["again".to_owned()], ..command("twice", "one") };
    let wrong = StepCommand { outputs: vec!["agian".to_owned()], ..both.clone() };
    let refused = client.exchange(&wrong, Some(numbers()), Gather::Aligned, None).await.err().expect("no such output");
    assert!(refused.message().contains("agian"), "{refused}");
    // What was refused may be tried again, with what is right.
    let exchange = client.exchange(&both, Some(numbers()), Gather::Aligned, None).await.expect("it begins");
    exchange.frames.try_collect::<Vec<_>>().await.expect("a normal end");
    let refused = client.exchange(&both, Some(numbers()), Gather::Aligned, None).await.err().expect("it is there");
    assert_eq!(refused.kind(), FaultKind::BadParams, "{refused}");
    assert!(refused.help_text().is_some_and(|help| help.contains("a fresh exchange_id")), "{refused}");
    let further = StepCommand { output: "again".to_owned(), ..command("twice", "one") };
    let fetched = client.output(&further, Gather::Aligned, None).await.expect("it waits there");
    fetched.frames.try_collect::<Vec<_>>().await.expect("a normal end");
    assert_eq!(fetched.report.get().map(|report| report.rows_in), Some(3));
    door.orchestrator.stop().await;
}

#[tokio::test]
async fn an_input_that_cannot_be_staged_is_told_at_once() {
    let house = House::new();
    let (address, _server) = house.listening(House::registry()).await;
    let client = StepClient::tcp(&address.to_string()).expect("an address");
    // As many inputs as may wait for their exchanges.
    for number in 0..256 {
        let staged = StepCommand { input: "second".to_owned(), ..command("second-then-first", &number.to_string()) };
        client.stage(&staged, numbers()).await.expect("kept");
    }
    let mesh = FlightMesh::connect(vec![client], house.env.data_root.clone()).await.expect("it answers");
    let call = Call {
        command: command("second-then-first", "late"),
        inputs: vec![numbers(), numbers()],
        limit: None,
        permission: Permission::default(),
    };
    let started = tokio::time::timeout(Duration::from_secs(10), mesh.start(call)).await.expect("it is told at once");
    assert_eq!(started.err().map(|fault| fault.kind()), Some(FaultKind::Busy));
}
