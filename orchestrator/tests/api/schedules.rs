//! Schedules over REST: refused with what is wrong, and holding on to their pipelines.

use super::*;

const DAILY: &str = "name: daily\nparams:\n  rows: {type: integer}\nsteps:\n  - {id: read, service: numbers, params: {rows: \"{{ rows }}\"}}\n  - {id: write, service: sum, depends_on: [read]}\n";

impl Running {
    async fn put_schedule(&self, name: &str, body: &Value) -> Response {
        let request = self.request(Method::PUT, &format!("/api/v1/schedules/{name}")).json(body);
        request.send().await.expect("an answer")
    }

    async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path).send().await.expect("an answer")
    }
}

#[tokio::test]
async fn a_schedule_is_checked_against_its_pipeline() {
    let running = Running::start(&[]).await;
    assert_eq!(running.yaml(Method::PUT, "/api/v1/pipelines/daily", DAILY).await.status(), StatusCode::CREATED);
    let spec = |cron: &str, params: Value, jitter: u64| json!({"pipeline": "daily", "cron": cron, "params": params, "jitter_seconds": jitter});
    let unknown = running.put_schedule("d", &spec("0 6 * * *", json!({"rows": 1, "row": 1}), 0)).await;
    let unknown = problem(unknown, StatusCode::UNPROCESSABLE_ENTITY).await;
    let error = &unknown["errors"][0];
    assert_eq!((&error["code"], &error["line"], &error["column"]), (&"unknown-param".into(), &1.into(), &1.into()));
    let missing = running.put_schedule("d", &spec("0 6 * * *", json!({}), 0)).await;
    let missing = problem(missing, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(missing["errors"][0]["line"], 3, "{missing}");
    for (cron, jitter) in [("* * * * * *", 0), ("0 6 * * *", 999_999_999)] {
        problem(running.put_schedule("d", &spec(cron, json!({"rows": 1}), jitter)).await, StatusCode::BAD_REQUEST)
            .await;
    }
    let unfilled = running.put_schedule("d", &spec("0 6 * * *", json!({"rows": "{{ datee }}"}), 0)).await;
    let unfilled = problem(unfilled, StatusCode::BAD_REQUEST).await;
    assert!(unfilled["help"].as_str().is_some_and(|help| help.contains("{{ date }}")), "{unfilled}");
    assert_eq!(running.get("/api/v1/schedules").await, json!([]));
    let text = running.yaml(Method::PUT, "/api/v1/schedules/d", "cron: 0 6 * * *").await;
    let text = problem(text, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    assert_eq!(text["code"], "unsupported_media_type");
    assert_eq!(running.put_schedule("d", &spec("0 6 * * *", json!({"rows": 1}), 60)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_pipeline_that_schedules_run_is_not_deleted() {
    let running = Running::start(&[]).await;
    running.yaml(Method::PUT, "/api/v1/pipelines/sums", GOOD).await;
    for name in ["nightly", "hourly"] {
        running.put_schedule(name, &json!({"pipeline": "sums", "cron": "0 6 * * *"})).await;
    }
    let kept = problem(running.delete("/api/v1/pipelines/sums").await, StatusCode::CONFLICT).await;
    assert!(kept["detail"].as_str().is_some_and(|why| why.contains("hourly, nightly")), "{kept}");
    running.get("/api/v1/pipelines/sums").await;
    for path in ["/api/v1/schedules/nightly", "/api/v1/schedules/hourly", "/api/v1/pipelines/sums"] {
        assert_eq!(running.delete(path).await.status(), StatusCode::NO_CONTENT, "{path}");
    }
}

#[tokio::test]
async fn a_range_of_dates_is_filled_back_in_the_zone_of_the_schedule() {
    let running = Running::start(&[]).await;
    running.yaml(Method::PUT, "/api/v1/pipelines/sums", GOOD).await;
    let spec = json!({"pipeline": "sums", "cron": "0 0 * * *", "zone": "Europe/Berlin", "set": ["read.rows=7"]});
    running.put_schedule("nightly", &spec).await;
    let fill = async |range: Value| {
        let request = running.request(Method::POST, "/api/v1/schedules/nightly/backfill").json(&range);
        request.send().await.expect("an answer")
    };
    let filled = fill(json!({"from": "2026-03-28", "until": "2026-03-30"})).await;
    assert_eq!(filled.status(), StatusCode::ACCEPTED);
    let filled: Value = filled.json().await.expect("JSON");
    let occurrences = filled["occurrences"].as_array().expect("a list");
    let times: Vec<&str> = occurrences.iter().filter_map(|one| one["time"].as_str()).collect();
    assert_eq!(times, ["2026-03-28T00:00:00+01:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"]);
    assert!(occurrences.iter().all(|one| one["outcome"] == "queued"), "{filled}");
    let run = running.get(&format!("/api/v1/runs/{}", occurrences[0]["run"].as_str().expect("an id"))).await;
    assert_eq!((&run["scheduled_at"], &run["sets"][0]), (&json!(1_774_652_400_000_i64), &json!("read.rows=7")));
    let cancel = async |name: &str| {
        let request = running.request(Method::POST, &format!("/api/v1/schedules/{name}/backfill/cancel"));
        request.send().await.expect("an answer")
    };
    let cancelled = cancel("nightly").await;
    assert_eq!(cancelled.status(), StatusCode::ACCEPTED);
    // They may have ended by themselves.
    let cancelled: Vec<Value> = cancelled.json().await.expect("a list");
    assert!(cancelled.len() <= 3 && cancelled.iter().all(|run| run["origin"] == "backfill:nightly"), "{cancelled:?}");
    problem(cancel("none").await, StatusCode::NOT_FOUND).await;
    let yet_to_come = fill(json!({"from": "9000-01-01", "until": "9000-01-03"})).await;
    let told = problem(yet_to_come, StatusCode::BAD_REQUEST).await;
    assert!(told["help"].as_str().is_some_and(|help| help.contains("ends now")), "{told}");
    let turned = fill(json!({"from": "2026-03-30", "until": "2026-03-28"})).await;
    let told = problem(turned, StatusCode::BAD_REQUEST).await;
    let why = "from (2026-03-30T00:00:00+02:00) is after until (2026-03-28T00:00:00+01:00)";
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains(why)), "{told}");
    problem(fill(json!({"from": "yesterday", "until": "2026-03-30"})).await, StatusCode::BAD_REQUEST).await;
}
