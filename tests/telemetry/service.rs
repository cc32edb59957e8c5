//! The service whose telemetry is watched.

use super::*;

/// `quiver up`, watched.
pub struct Service<'a> {
    pub house: &'a House,
    pub process: Running,
    pub url: String,
}

impl<'a> Service<'a> {
    pub fn start(house: &'a House, watch: &Watch) -> Self {
        let words = ["up", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0", "--json"];
        let mut command = watch.command(house, &words);
        // Nobody takes lineage there: that is counted too.
        let [metrics, _] = watch.collector.scraped();
        command.env("OPENLINEAGE_URL", format!("http://{metrics}"));
        let mut process = Running::of(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"));
        let output = BufReader::new(process.child().stdout.take().expect("its output"));
        let line = output.lines().map_while(Result::ok).find(|line| line.contains("\"api\"")).expect("an address");
        let url = line.split('"').nth(3).expect("a URL").to_owned();
        Self { house, process, url }
    }

    pub fn submit(&self, words: &[&str]) -> String {
        let ended = self.house.quiver(&[&["runs", "submit"], words, &["--url", &self.url]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout.trim().to_owned()
    }

    pub fn show(&self, run: &str) -> Value {
        self.house.quiver(&["runs", "show", run, "--json", "--url", &self.url]).json()
    }

    pub fn until(&self, run: &str, state: &str) {
        eventually(SOON, &format!("{run} is {state}"), || (self.show(run)["state"] == state).then_some(()));
    }

    /// The reports of all attempts of a run.
    pub fn reports(&self, run: &str) -> Vec<Value> {
        let address = self.url.trim_start_matches("http://");
        let answer = http::get(address, &format!("/api/v1/runs/{run}/attempts")).expect("an answer");
        let attempts: Vec<Value> = serde_json::from_str(&answer).expect("attempts");
        attempts.into_iter().map(|mut attempt| attempt["report"].take()).collect()
    }

    pub fn kill_server(&self, step: &str) {
        let named = format!("serve {step} ");
        let (pid, _) =
            children(self.process.pid()).into_iter().find(|(_, line)| line.contains(&named)).expect("it runs");
        signal(pid, "KILL");
    }
}
