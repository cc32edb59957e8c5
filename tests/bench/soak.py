"""Mixed load for an hour: does anything grow?

    cargo build --release
    python3 tests/bench/soak.py [--minutes 60] [--pace 1.0]

`quiver up` with real servers of steps is asked for a run a second: small and large ones, with kept outputs, a diamond, a
group that is repeated, gates that fail, sources that are not there. Every now and then a run is cancelled, a server of a
step is killed or stands still, somebody listens to events and goes away, reads a kept output, or breaks an upload off.
The orchestrator itself is killed once, in the fifth minute.

Each minute it writes down what the processes take: memory, open files and sockets of the orchestrator and of the servers,
files in the orchestrator's own folder, how long runs took. At the end the figures go to docs/benchmarks.md.
"""

import argparse
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

from common import REPOSITORY, memory_mb, publish

PIPELINES = {name: (REPOSITORY / f"examples/pipelines/{name}.yaml").read_text()
             for name in ["hr_analytics", "ecommerce_analytics", "departments_diamond", "orders_two_ways"]}
KEEPING = """name: kept
steps:
  - {id: read, service: extract-csv, params: {file_path: examples/data/hr_employees.csv}, checkpoint: true}
  - {id: write, service: load-data, params: {format: parquet, dataset_name: kept}, depends_on: read}
"""
LARGE = """name: large
steps:
  - {id: read, service: extract-csv, params: {file_path: large.csv}}
  - {id: fill, service: clean-nan, params: {strategy: fill_median}, depends_on: read}
  - {id: write, service: load-data, params: {format: csv, dataset_name: large}, depends_on: fill}
"""
GATE = ["quality.rules.min_rows=501"]
COLUMNS = ["minute", "runs", "failed", "took_ms", "memory_mb", "servers_mb", "files", "servers_files", "sockets",
           "own_files", "own_mb"]


class Service:
    """The orchestrator under load, and its servers."""

    def __init__(self, folder, program):
        self.folder, self.program = folder, program
        self.start()

    def start(self):
        words = [self.program, "up", "--json", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0", "--lease", "5s",
                 "--keep-for", "2m"]
        self.process = subprocess.Popen(words, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True)
        line = next(line for line in self.process.stdout if '"api"' in line)
        self.address = line.split('"')[3].removeprefix("http://")

    def servers(self):
        """Their processes. Threads and processes may end while they are looked at."""
        found = []
        for children in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            try:
                found += [int(pid) for pid in children.read_text().split()]
            except OSError:
                pass
        return found

    def ask(self, method, path, body=None, headers=None):
        """The status and the answer; nothing while it is down."""
        try:
            connection = http.client.HTTPConnection(self.address, timeout=20)
            connection.request(method, "/api/v1" + path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return None, b""
        finally:
            connection.close()

    def submit(self, yaml, sets=()):
        if sets:
            body, kind = json.dumps({"yaml": yaml, "set": list(sets)}), "application/json"
        else:
            body, kind = yaml, "application/yaml"
        status, answer = self.ask("POST", "/runs", body, {"content-type": kind})
        return json.loads(answer)["id"] if status == 202 else None


def open_files(pid):
    names = []
    try:
        for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            names.append(os.readlink(entry))
    except OSError:
        pass
    return names


def sizes(folder):
    """The bytes of each file beneath a folder. What goes meanwhile is gone."""
    found = []
    # Other than `rglob`, it passes over folders that go meanwhile.
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found.append(os.stat(os.path.join(place, name)).st_size)
            except OSError:
                pass
    return found


def sample(service, minute, since):
    """What there is at this moment."""
    servers = service.servers()
    own = sizes(service.folder / ".quiver")
    files = open_files(service.process.pid)
    _, answer = service.ask("GET", "/runs?limit=1000")
    runs = [run for run in json.loads(answer)["items"] if (run["ended_at"] or 0) > since * 1000]
    took = [run["ended_at"] - run["created_at"] for run in runs if run["state"] == "done"]
    return dict(zip(COLUMNS, [
        minute, len(runs), sum(run["state"] != "done" for run in runs),
        round(statistics.median(took)) if took else 0,
        round(memory_mb(service.process.pid)), round(sum(map(memory_mb, servers))),
        len(files), sum(len(open_files(pid)) for pid in servers),
        sum(name.startswith("socket:") for name in files),
        len(own), round(sum(own) / 1e6, 1),
    ]))


def listen_and_leave(service, run):
    host, port = service.address.split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5) as listener:
            listener.sendall(f"GET /api/v1/runs/{run}/events HTTP/1.1\r\nhost: {service.address}\r\n\r\n".encode())
            listener.recv(1000)
    except OSError:
        pass


def break_an_upload(service):
    host, port = service.address.split(":")
    head = f"PUT /api/v1/datasets/broken.bin HTTP/1.1\r\nhost: {service.address}\r\ncontent-length: 100000000\r\n\r\n"
    try:
        with socket.create_connection((host, int(port)), timeout=5) as upload:
            upload.sendall(head.encode() + b"x" * 100_000)
    except OSError:
        pass


def stir(service, second, run, paused):
    """A little of everything that goes wrong."""
    if second % 7 == 0:
        service.submit(PIPELINES["hr_analytics"], GATE)
    if second % 11 == 0 and run:
        listen_and_leave(service, run)
    if second % 13 == 0:
        service.submit(PIPELINES["hr_analytics"], ["extract.file_path=nowhere.csv"])
    if second % 17 == 0:
        large = service.submit(LARGE)
        service.ask("POST", f"/runs/{large}/cancel") if second % 34 == 0 else None
    if second % 19 == 0:
        kept = service.submit(KEEPING)
        time.sleep(0.5)
        service.ask("GET", f"/runs/{kept}/steps/read/preview")
        service.ask("GET", f"/runs/{kept}/steps/read/download?format=csv")
    if second % 23 == 0:
        break_an_upload(service)
    if second % 41 == 0:
        os.kill(random.choice(service.servers()), signal.SIGKILL)
    if second % 53 == 0:
        paused.append((time.monotonic() + 3, random.choice(service.servers())))
        os.kill(paused[-1][1], signal.SIGSTOP)


def let_go_on(paused, now):
    for due, pid in [one for one in paused if one[0] < now]:
        paused.remove((due, pid))
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


def clear_outputs(folder):
    """What loads wrote is not ours to count: old outputs go."""
    for output in folder.glob("*/processed/*"):
        if output.stat().st_mtime < time.time() - 60:
            output.unlink(missing_ok=True)


def soak(folder, program, minutes, pace):
    service = Service(folder, program)
    samples, paused, names = [], [], list(PIPELINES)
    begun = time.monotonic()
    since, second, killed = time.time(), 0, False
    try:
        while (passed := time.monotonic() - begun) < minutes * 60:
            second += 1
            run = service.submit(PIPELINES[names[second % len(names)]])
            stir(service, second, run, paused)
            let_go_on(paused, time.monotonic())
            if not killed and passed > 300:
                killed = True
                service.process.kill()
                service.process.wait()
                service.start()
            if passed >= 60 * (len(samples) + 1):
                clear_outputs(folder)
                samples.append(sample(service, len(samples) + 1, since))
                since = time.time()
                print(json.dumps(samples[-1]), flush=True)
            time.sleep(max(0.0, begun + second * pace - time.monotonic()))
        let_go_on(paused, float("inf"))
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and json.loads(
                service.ask("GET", "/runs?state=queued,running,cancelling&limit=1")[1])["items"]:
            time.sleep(1)
        _, left = service.ask("GET", "/runs?state=queued,running,cancelling&limit=100")
        print(json.dumps({"not_ended": len(json.loads(left)["items"])}))
    finally:
        service.process.terminate()
        service.process.wait(60)
    return samples


def told(samples):
    """The table, every fifth minute, and the curve of memory."""
    head = ["minute", "runs ended", "not done", "median ms", "orchestrator MB", "servers MB", "open files",
            "servers' open files", "sockets", "own files", "own MB"]
    rows = [one for one in samples if one["minute"] % 5 == 0 or one["minute"] == 1]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(one[name]) for name in COLUMNS) + " |" for one in rows]
    curve = ["```mermaid", "xychart-beta", '  title "Memory, MB, minute by minute"',
             f"  x-axis 1 --> {samples[-1]['minute']}", "  y-axis 0 --> "
             + str(max(one["memory_mb"] + one["servers_mb"] for one in samples)),
             "  line " + str([one["memory_mb"] for one in samples]),
             "  line " + str([one["servers_mb"] for one in samples]), "```"]
    return "\n".join(lines + ["", "The orchestrator below, the servers of all steps together above it:", ""] + curve)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=REPOSITORY / "target/release/quiver", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--pace", type=float, default=1.0, help="seconds between runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        shutil.copytree(REPOSITORY / "examples", folder / "examples")
        program = options.program.absolute()
        subprocess.run([program, "generate", "hr", "--rows", "200000", "-o", folder / "large.csv"], check=True)
        samples = soak(folder, program, options.minutes, options.pace)
    publish({"soak": lambda: told(samples)}, ["soak"])


if __name__ == "__main__":
    main()
