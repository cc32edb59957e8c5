"""An OpenLineage consumer: takes events until one says that a pipeline has ended, and holds each of them to the classes of
the official client, which refuse what they do not know and miss what they need."""

import http.server
import importlib
import json
import pkgutil
import sys

import openlineage.client.generated as generated
from openlineage.client import event_v2
from openlineage.client.generated.base import BaseFacet

MODULES = [importlib.import_module(f"{generated.__name__}.{m.name}") for m in pkgutil.iter_modules(generated.__path__)]
FACETS = {c.__name__: c for m in MODULES for c in vars(m).values() if isinstance(c, type) and issubclass(c, BaseFacet)}


def facet(content):
    content = dict(content)
    assert content.pop("_producer").startswith("urn:quiver:"), content
    name = content.pop("_schemaURL").rsplit("/", 1)[1]
    FACETS[name](**content)


def facets(content):
    for one in content.values():
        facet(one)
    return {}


def dataset(kind, side, content):
    facets(content["facets"])
    facets(content[side])
    return kind(content["namespace"], content["name"])


def check(event):
    assert event["schemaURL"].endswith("#/$defs/RunEvent")
    event_v2.RunEvent(
        eventTime=event["eventTime"],
        eventType=event_v2.RunState(event["eventType"]),
        run=event_v2.Run(event["run"]["runId"], facets(event["run"]["facets"])),
        job=event_v2.Job(event["job"]["namespace"], event["job"]["name"], facets(event["job"]["facets"])),
        producer=event["producer"],
        inputs=[dataset(event_v2.InputDataset, "inputFacets", one) for one in event["inputs"]],
        outputs=[dataset(event_v2.OutputDataset, "outputFacets", one) for one in event["outputs"]],
    )


class Consumer(http.server.BaseHTTPRequestHandler):
    events = []

    def do_POST(self):
        self.events.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_):
        pass


def main():
    server = http.server.HTTPServer(("127.0.0.1", 0), Consumer)
    server.timeout = 60
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    ended = lambda: Consumer.events and Consumer.events[-1]["job"]["name"] == "hr-analytics" and len(Consumer.events) > 1
    while not ended():
        before = len(Consumer.events)
        server.handle_request()
        assert len(Consumer.events) > before, "no event comes"
    for event in Consumer.events:
        check(event)
    last = Consumer.events[-1]
    assert [one["name"].rsplit("/", 2)[1:] for one in last["inputs"]] == [["data", "hr_employees.csv"]], last
    assert [one["name"].rsplit("/", 2)[1:] for one in last["outputs"]] == [["hr_analytics", "processed"]], last
    print(f"{last['eventType']} after {len(Consumer.events)} events")


if __name__ == "__main__":
    sys.exit(main())
