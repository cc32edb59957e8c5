//! What Prometheus is asked: the figures of runs, and every query of the dashboards and alerts.

use super::*;

/// Figures by metric and step, as the reports of runs have them.
pub type Figures = BTreeMap<(&'static str, String), u64>;

pub const COUNTED: [(&str, &str); 4] = [
    ("quiver_step_rows_in_total", "rows_in"),
    ("quiver_step_rows_out_total", "rows_out"),
    ("quiver_step_bytes_out_total", "bytes_out"),
    ("quiver_step_bytes_spilled_total", "bytes_spilled"),
];

pub fn add(figures: &mut Figures, report: &Value) {
    for step in report["steps"].as_array().into_iter().flatten() {
        for (metric, field) in COUNTED {
            *figures.entry((metric, text(&step["step"]))).or_default() += step[field].as_u64().expect("a figure");
        }
        *figures.entry(("quiver_steps_total", text(&step["step"]))).or_default() += 1;
    }
}

/// The answer of Prometheus to a query: labels and value of each series.
pub fn query(prometheus: &Prometheus, query: &str) -> Vec<(Value, f64)> {
    let answer = prometheus.ask(&format!("/api/v1/query?query={}", http::escaped(query)));
    let answer: Value = answer.and_then(|answer| serde_json::from_str(&answer).ok()).unwrap_or_default();
    let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    let value = |one: &Value| one["value"][1].as_str().and_then(|value| value.parse().ok()).unwrap_or(f64::NAN);
    series.into_iter().map(|mut one| (one["metric"].take(), value(&one))).collect()
}

pub fn counted(prometheus: &Prometheus) -> Figures {
    let mut figures = Figures::new();
    for metric in COUNTED.iter().map(|(metric, _)| *metric).chain(["quiver_steps_total"]) {
        for (labels, value) in query(prometheus, &format!("sum by (step) ({metric})")) {
            figures.insert((metric, text(&labels["step"])), value as u64);
        }
    }
    figures
}

/// A query of a dashboard, as Grafana asks it with everything chosen.
pub fn filled(query: &str) -> String {
    let chosen = [("$__rate_interval", "1m"), ("$__range", "30m"), ("$pipeline", ".*"), ("$step", ".*")];
    chosen.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value))
}

/// Every query of a dashboard, those that fill its variables included.
pub fn queries_of(board: &str) -> Vec<String> {
    let file = configs().join("grafana/dashboards").join(board);
    let board: Value = serde_json::from_str(&std::fs::read_to_string(file).expect("a dashboard")).expect("JSON");
    let panels = board["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().expect("queries"));
    let variables = board["templating"]["list"].as_array().expect("variables").iter();
    let values = variables.map(|variable| {
        let asked = text(&variable["query"]);
        let inner = asked.trim_start_matches("label_values(").trim_end_matches(')');
        let (metric, label) = inner.split_once(", ").expect("a metric and a label");
        format!("group by ({label}) ({metric}{{{label}!=\"\"}})")
    });
    targets.map(|target| text(&target["expr"])).chain(values).collect()
}

/// The expressions of all alerts that Prometheus has read, each telling whether it goes off: a comparison leaves
/// nothing where all is well.
pub fn alerts(prometheus: &Prometheus) -> Vec<String> {
    let rules: Value = serde_json::from_str(&prometheus.ask("/api/v1/rules").expect("rules")).expect("JSON");
    let groups = rules["data"]["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
    let told = |rule: &Value| {
        let query = text(&rule["query"]);
        let (value, compared, limit) = [" > ", " < ", " == "]
            .iter()
            .find_map(|compared| query.rsplit_once(compared).map(|(value, limit)| (value, *compared, limit)))
            .unwrap_or_else(|| panic!("{query} compares nothing"));
        format!("{value}{compared}bool {limit}")
    };
    rules.map(told).collect()
}
