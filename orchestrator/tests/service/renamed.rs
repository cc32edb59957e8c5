//! Loads that are called otherwise when their run is resumed: they are told the names under which they may have committed.

use super::*;

/// What each load was told that has committed: its name, and what it may have been called.
fn added(house: &House) -> Vec<String> {
    let path = house.env.data_root.path().join("added.txt");
    let told = std::fs::read_to_string(&path).expect("something was added");
    std::fs::remove_file(path).expect("it is there");
    let mut lines: Vec<String> = told.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.sort();
    lines
}

fn once() -> Settings {
    let retry = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
    Settings { retry, ..settings() }
}

const BODY: &str = "
steps:
  - {id: n, service: numbers, params: {rows: 5}}
  - {id: a, service: adds, params: {note: same}, depends_on: n}
  - {id: late, service: numbers, params: {rows: 1, needs: ready.txt}, depends_on: a}
finally:
  - {id: told, service: numbers, params: {rows: 1}}
  - {id: f, service: adds, depends_on: told}
";

/// Renames a load of the text.
fn called(body: &str, old: &str, new: &str) -> String {
    body.replace(&format!("id: {old},"), &format!("id: {new},")).replace(&format!("_on: {old}"), &format!("_on: {new}"))
}

impl Replica {
    /// Resumes a failed run with another text, until it has failed again.
    async fn again(&self, run: &str, body: &str, reuse: bool) {
        self.service.resume(run, Some(body.to_owned()), reuse, "ann").await.expect("it can be resumed");
        self.until(run, RunState::Failed).await;
    }
}

async fn assert_loads_are_told_their_former_names(house: &House, mesh: impl Mesh) {
    let replica = at_work(idle_on(house, mesh, once()).await);
    let run = replica.submit(BODY).await;
    replica.until(&run, RunState::Failed).await;
    assert_eq!(added(house), ["a:", "f:"]);

    // Renamed and changed; and what runs finally, which is done anew by each attempt.
    let body = called(&called(BODY, "a", "b"), "f", "g").replace("note: same", "note: other");
    replica.again(&run, &body, true).await;
    assert_eq!(added(house), ["b: a f", "g: a f"]);

    // Renamed alone: it is known by its work, and by its name from now on. One that was added is another load.
    let body = called(&body, "b", "c").replace("finally:", "  - {id: d, service: adds, depends_on: n}\nfinally:");
    let body = body.replace("ready.txt}, depends_on: c", "ready.txt}, depends_on: [c, d]");
    replica.again(&run, &body, true).await;
    assert_eq!(added(house), ["d: a f", "g: a f"]);
    let renamed = replica.events(&run).await.into_iter().find(|event| event.kind == "renamed").expect("it is told");
    assert_eq!(renamed.body, serde_json::json!({"loads": {"b": "c"}}));
    replica.again(&run, &body.replace("note: other", "note: third"), true).await;
    assert_eq!(added(house), ["c: b a f", "g: a f"]);

    // Begun anew; who was there beside another one is not that one.
    let body = called(&body, "c", "e").replace("[c, d]", "[e, d]");
    replica.again(&run, &body, false).await;
    assert_eq!(added(house), ["d: a b f", "e: a b c f", "g: a f"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_are_told_their_former_names_in_one_process() {
    let house = House::new();
    assert_loads_are_told_their_former_names(&house, house.in_process()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_are_told_their_former_names_over_the_mesh() {
    let house = House::new();
    let (mesh, server) = house.served().await;
    assert_loads_are_told_their_former_names(&house, mesh).await;
    server.stop().await.expect("it goes down");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_whose_answer_was_lost_is_told_its_former_name() {
    let house = House::new();
    let replica = replica(&house, once()).await;
    let body = BODY.replace("note: same", "needs: answer.txt");
    let run = replica.submit(&body).await;
    replica.until(&run, RunState::Failed).await;
    assert_eq!(added(&house), ["a:", "f:"]);
    assert!(replica.service.store().commits(&run).await.expect("told").iter().all(|commit| commit.step == "f"));
    replica.again(&run, &called(&body, "a", "b"), true).await;
    assert_eq!(added(&house), ["b: a", "f:"]);
    // And by its old one again.
    replica.again(&run, &body, true).await;
    assert_eq!(added(&house), ["a: b", "f:"]);
}
