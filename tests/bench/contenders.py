"""The HR pipeline, and a join, as the peers would write them: python contenders.py NAME ARGUMENTS."""

import sys

NULLS = ["", "#N/A", "NA", "N/A", "NULL", "NaN", "None", "n/a", "nan", "null"]
GONE = ["EmployeeCount", "Over18", "StandardHours"]


def polars_hr(source, target, streaming):
    import polars as pl

    rows = pl.scan_csv(source, null_values=NULLS)
    # The gate: enough rows, few nulls, no repeated row.
    engine = "streaming" if streaming else "in-memory"
    if not streaming:
        whole = rows.collect(engine=engine)
        assert whole.height >= 100
        assert sum(whole.null_count().row(0)) / (whole.height * whole.width) <= 0.1
        assert whole.n_unique() == whole.height
        rows = whole.lazy()
    else:
        facts = rows.select(pl.len(), pl.struct(pl.all()).n_unique().alias("distinct")).collect(engine=engine)
        assert facts["len"][0] >= 100 and facts["distinct"][0] == facts["len"][0]
    income = pl.col("MonthlyIncome")
    z = ((income - income.mean()) / income.std(ddof=1)).abs()
    kept = rows.drop(GONE).filter(z.le(3.0) | income.is_null()).drop_nulls()
    if streaming:
        kept.sink_csv(target, engine=engine)
    else:
        kept.collect(engine=engine).write_csv(target)


def duckdb_hr(source, target):
    import duckdb

    db = duckdb.connect()
    db.execute("SET threads = 2")
    nulls = ", ".join(f"'{null}'" for null in NULLS)
    # DuckDB would read Yes and No as booleans, and write them as true and false.
    texts = "{'Attrition': 'VARCHAR', 'OverTime': 'VARCHAR', 'Over18': 'VARCHAR'}"
    db.execute(f"CREATE TABLE t AS SELECT * FROM read_csv('{source}', nullstr=[{nulls}], types={texts})")
    rows, distinct = db.execute("SELECT count(*), (SELECT count(*) FROM (SELECT DISTINCT * FROM t)) FROM t").fetchone()
    assert rows >= 100 and distinct == rows
    columns = [name for name, *_ in db.execute("DESCRIBE t").fetchall() if name not in GONE]
    whole = " AND ".join(f'"{name}" IS NOT NULL' for name in columns)
    chosen = ", ".join(f'"{name}"' for name in columns)
    db.execute(f"""
        COPY (
          SELECT {chosen} FROM t, (SELECT avg(MonthlyIncome) m, stddev_samp(MonthlyIncome) s FROM t)
          WHERE (MonthlyIncome IS NULL OR abs(MonthlyIncome - m) / s <= 3.0) AND {whole}
        ) TO '{target}' (HEADER)""")


def polars_join(left, right, target):
    import polars as pl

    pl.scan_csv(left).join(pl.scan_csv(right), on="id", suffix="_y").collect().write_parquet(target, compression="snappy")


def duckdb_join(left, right, target):
    import duckdb

    db = duckdb.connect()
    db.execute("SET threads = 2")
    db.execute(f"""
        COPY (SELECT l.id, l.a, r.b FROM read_csv('{left}') l JOIN read_csv('{right}') r USING (id))
        TO '{target}' (FORMAT parquet)""")


def echo_server():
    """pyarrow's (C++) Flight server, giving back what it gets."""
    import pyarrow.flight as flight

    class Echo(flight.FlightServerBase):
        def do_exchange(self, context, descriptor, reader, writer):
            writer.begin(reader.schema)
            for chunk in reader:
                if chunk.data is not None:
                    writer.write_batch(chunk.data)
            # The report that a Quiver client waits for.
            writer.write_metadata(b'{"step": "echo"}')

    server = Echo("grpc://127.0.0.1:0")
    print(f"listening on 127.0.0.1:{server.port}", flush=True)
    server.serve()


def echo_drive(address):
    """The client of the echo in pyarrow (C++): the same batches as those of `wire drive`, and the same report."""
    import json
    import threading
    import time

    import pyarrow as pa
    import pyarrow.flight as flight

    def large():
        words = pa.array(["alpha", "beta", "gamma", "delta", "eps", "zeta-long", "eta", "theta"])
        rows = range(5_000_000)
        ints = {name: pa.array([n * step % 1_000_003 for n in rows]) for name, step in
                [("a", 1), ("b", 7919), ("c", 104_729), ("d", 31)]}
        floats = pa.array([(n % 100_000) / 100.0 for n in rows])
        short = words.take(pa.array([n % 8 for n in rows]))
        ids = pa.array([f"id{n % 1_000_000:06}" for n in rows])
        return pa.table({**ints, "e": floats, "f": floats, "g": short, "h": ids}).to_batches(max_chunksize=64 * 1024)

    def exchange(batches):
        writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(b'{"step": "echo"}'))

        def write():
            writer.begin(batches[0].schema)
            for batch in batches:
                writer.write_batch(batch)
            writer.done_writing()

        writing = threading.Thread(target=write)
        writing.start()
        rows = sum(chunk.data.num_rows for chunk in reader if chunk.data is not None)
        writing.join()
        writer.close()
        return rows

    client = flight.connect(f"grpc://{address}")
    batches = large()
    payload = sum(batch.nbytes for batch in batches)
    for number in range(6):
        begun = time.perf_counter()
        rows = exchange(batches)
        seconds = time.perf_counter() - begun
        print(json.dumps({"round": number, "rows": rows, "seconds": seconds, "gb_per_s": payload / seconds / 1e9}))
    small = pa.record_batch({f"c{place}": [f"v{n}" if place % 3 == 2 else n * place for n in range(500)]
                             for place in range(10)})
    micros = []
    for _ in range(2000):
        begun = time.perf_counter()
        exchange([small])
        micros.append((time.perf_counter() - begun) * 1e6)
    micros = sorted(micros[200:])
    print(json.dumps({"p50_us": round(micros[len(micros) // 2]), "p99_us": round(micros[len(micros) * 99 // 100])}))


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {
        "polars-eager": lambda source, target: polars_hr(source, target, False),
        "polars-streaming": lambda source, target: polars_hr(source, target, True),
        "duckdb": duckdb_hr,
        "polars-join": polars_join,
        "duckdb-join": duckdb_join,
        "echo-server": echo_server,
        "echo-drive": echo_drive,
    }[name](*arguments)
