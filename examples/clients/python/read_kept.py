"""Runs a pipeline on an orchestrator, then reads what one of its steps has kept: pip install pyarrow.

    python read_kept.py grpc://127.0.0.1:8814 pipeline.yaml STEP [TOKEN]
"""

import json
import sys
import time

import pyarrow.flight as flight

address, file, step, *token = sys.argv[1:]
client = flight.connect(address)
options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token[0]}".encode())] if token else [])


def ask(action, body):
    answer = next(iter(client.do_action(flight.Action(action, body.encode()), options)))
    return json.loads(answer.body.to_pybytes())


run = ask("quiver.submit", json.dumps({"yaml": open(file).read()}))
while run["state"] in ("queued", "running"):
    time.sleep(0.1)
    run = ask("quiver.run", run["id"])
if run["state"] != "done":
    sys.exit(f"the run is {run['state']}: {run['fault']}")

try:
    info = client.get_flight_info(flight.FlightDescriptor.for_path("runs", run["id"], step), options)
except KeyError as error:  # what pyarrow makes of NOT_FOUND
    sys.exit(error.args[0])
table = client.do_get(info.endpoints[0].ticket, options).read_all()
print(f"{step}: {table.num_rows} rows, {table.num_columns} columns")
