//! Whom a pipeline wants told how its runs end.

use super::steps::{planned, told};
use serde_json::json;

const STEPS: &str = "steps: [{id: a, service: read-rows, params: {columns: []}}]\n";

#[tokio::test]
async fn hooks_are_read_in_their_long_and_short_forms() {
    let said = "\
hooks:
  on_failure: [{url: \"https://example.org/hook\", secret: \"secret://hook-key\"}, \"secret://chat\"]
  on_success: https://example.org/done
  on_cancel:
";
    let hook = |url: &str, secret: Option<&str>| json!({"url": url, "secret": secret});
    assert_eq!(
        planned(&format!("{said}{STEPS}")).await.to_json()["rules"]["hooks"],
        json!({
            "on_success": [hook("https://example.org/done", None)],
            "on_failure": [hook("https://example.org/hook", Some("secret://hook-key")), hook("secret://chat", None)],
            "on_cancel": [],
        })
    );
}

#[tokio::test]
async fn a_wrong_hook_is_told_at_its_place() {
    let wrong = "\
hooks:
  «on_fail»: https://example.org/
  on_failure: [«7», «ftp://example.org/», «example.org», «\"https://ann:pass@example.org/\"»]
  on_success: {url: https://example.org/, secret: «hunter2», «secrets»: x}
  on_cancel: {«secret»: \"secret://key\"}
";
    let codes =
        ["unknown-key", "wrong-type", "bad-value", "bad-value", "bad-value", "bad-value", "unknown-key", "missing-key"];
    let problems = told(&format!("{wrong}{STEPS}"), &codes).await;
    assert_eq!(problems[0].help.as_deref(), Some("did you mean \"on_failure\"?"));
    assert!(problems.iter().all(|one| !one.message.contains("hunter2") && !one.message.contains("pass@")));
}
