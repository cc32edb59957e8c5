"""The work of durable.py in Prefect and in Dagster, each with its own store in SQLite.

    python3 durable_peers.py prefect|dagster FOLDER

Prints as JSON: milliseconds of one run, median; and of the same three functions called without either.
"""

import csv
import json
import os
import pathlib
import statistics
import sys
import time

RUNS = 30
tool, folder = sys.argv[1], pathlib.Path(sys.argv[2]).absolute()
# Read as they are imported.
os.environ.update(PREFECT_HOME=str(folder), PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
                  PREFECT_LOGGING_LEVEL="CRITICAL", PREFECT_SERVER_ANALYTICS_ENABLED="false", DO_NOT_TRACK="1",
                  DAGSTER_HOME=str(folder))


def read():
    with open(folder / "in.csv", newline="") as file:
        return list(csv.reader(file))


def clean(rows):
    return [row for row in rows if all(row)]


def write(rows):
    with open(folder / "out.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)


def median_ms(run):
    run()
    took = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        run()
        took.append(1000 * (time.perf_counter() - begun))
    return statistics.median(took)


def by_prefect():
    from prefect import flow, task

    steps = [task(step) for step in (read, clean, write)]

    @flow
    def small():
        rows = steps[0]()
        steps[2](steps[1](rows))

    return median_ms(small)


def by_dagster():
    import logging

    from dagster import DagsterInstance, job, op

    logging.disable(logging.CRITICAL)

    @op(name="read")
    def reads():
        return read()

    @op(name="clean")
    def cleans(rows):
        return clean(rows)

    @op(name="write")
    def writes(rows):
        write(rows)

    @job
    def small():
        writes(cleans(reads()))

    with DagsterInstance.get() as instance:
        return median_ms(lambda: small.execute_in_process(instance=instance))


def main():
    rows = [["id", "name", "pay"], *([str(n), f"name {n}", str(n * 1.5)] for n in range(100))]
    with open(folder / "in.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    plain = median_ms(lambda: write(clean(read())))
    print(json.dumps({"run_ms": {"prefect": by_prefect, "dagster": by_dagster}[tool](), "work_ms": plain}))


if __name__ == "__main__":
    main()
