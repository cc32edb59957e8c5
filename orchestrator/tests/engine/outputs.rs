//! Steps of several outputs, and outputs of several readers.

use super::*;

#[tokio::test]
async fn a_step_of_two_outputs_that_fails_at_once_tells_why() {
    let yaml = "
steps:
  - {id: n, service: numbers, params: {rows: 10}}
  - {id: p, service: parts, params: {fail: true}, depends_on: n}
  - {id: s, service: sum, inputs: {input: p.rest}}
";
    for (house, report) in both(64 << 20, yaml, RunOptions::default).await {
        let fault = report.fault.as_ref().expect("a fault");
        assert_eq!((fault.message(), fault.step_name()), ("these rows are not liked", Some("p")));
        assert_eq!(house.names(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_further_output_that_breaks_off_by_itself_fails_its_step() {
    let yaml = "
steps:
  - {id: n, service: numbers, params: {rows: 10}}
  - {id: p, service: parts, depends_on: n}
  - {id: s, service: sum, inputs: {input: p.rest}}
";
    let house = House::with_memory(64 << 20);
    let report = house.run(BreaksFurther(house.in_process()), yaml, RunOptions::default()).await;
    let fault = report.fault.as_ref().expect("a fault");
    assert_eq!((fault.message(), fault.step_name()), ("the connection broke", Some("p")));
    assert_eq!(status_of(&report, "p"), Status::Failed);
    assert_ne!(status_of(&report, "s"), Status::Done);
    assert_eq!(house.names(), Vec::<String>::new());
}

/// A mesh whose further outputs end with a fault at their first rows.
struct BreaksFurther<M>(M);

impl<M: Planner> Planner for BreaksFurther<M> {
    fn catalog(&self) -> BoxFuture<'_, Result<Vec<Arc<StepDescription>>, Fault>> {
        self.0.catalog()
    }

    fn files(&self, pattern: &str) -> Result<Matching, Fault> {
        self.0.files(pattern)
    }

    fn plan(&self, command: StepCommand, inputs: Vec<SchemaRef>) -> BoxFuture<'_, Result<StepPlan, Fault>> {
        self.0.plan(command, inputs)
    }
}

impl<M: Mesh> Mesh for BreaksFurther<M> {
    type Item = M::Item;

    fn start(&self, call: Call<M::Item>) -> BoxFuture<'_, Result<Running<M::Item>, Fault>> {
        let breaks = |output: EdgeStream<M::Item>| {
            output.wrap(|items| items.map(|item| item.and_then(|_| Err(Fault::upstream("the connection broke")))))
        };
        async move {
            let mut running = self.0.start(call).await?;
            let further = running.outputs.split_off(1);
            running.outputs.extend(further.into_iter().map(breaks));
            Ok(running)
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_diamond_of_two_outputs_does_not_hang() {
    let yaml = "
steps:
  - {id: n, service: numbers, params: {rows: 4000000}}
  - {id: p, service: parts, depends_on: n}
  - {id: j, service: second-then-first, inputs: {first: p, second: p.rest}}
  - {id: s, service: sum, depends_on: j}
";
    for (house, report) in both(4 << 20, yaml, RunOptions::default).await {
        assert_eq!(report.status, Status::Done, "{report:?}");
        assert_eq!(house.sum(), Some(3_999_999 * 2_000_000 + 7));
    }
}

const DIAMOND: &str = "
steps:
  - {id: n, service: numbers, params: {rows: 4000000}}
  - {id: j, service: second_then_first, depends_on: [n, n]}
  - {id: s, service: sum, depends_on: j}
";

#[tokio::test]
async fn a_diamond_whose_join_reads_one_side_first_does_not_hang() {
    for (house, report) in both(4 << 20, DIAMOND, RunOptions::default).await {
        assert_eq!(report.status, Status::Done, "{report:?}");
        assert_eq!(house.sum(), Some(3_999_999 * 4_000_000));
    }
}
