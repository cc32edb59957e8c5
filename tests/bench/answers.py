"""A server of long answers, made while they are sent: python answers.py ROWS prints where it listens.

`/orders.ndjson` has ROWS orders of about 200 bytes. They are the same 10,000 over and over, so that making them takes no
time; nothing of them is on disk.
"""

import http.server
import json
import sys

BLOCK = 10_000
CITIES = ["Porto", "Oslo", "Zürich", "Gdańsk", "Lyon", "Graz"]


def order(number):
    return {
        "id": 9_000_000_000 + number,
        "placed_at": f"2024-{number % 12 + 1:02}-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:00Z",
        "customer": {"name": f"customer {number * 7919 % BLOCK}", "city": CITIES[number % len(CITIES)], "zip": f"{number:05}"},
        "amount": round(number * 1.37 % 900, 2),
        "paid": number % 3 > 0,
        "coupon": f"SPRING-{number % 90}" if number % 5 == 0 else None,
    }


ROWS = "".join(json.dumps(order(number), ensure_ascii=False) + "\n" for number in range(BLOCK)).encode()


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        blocks = int(sys.argv[1]) // BLOCK
        self.send_response(200)
        self.send_header("content-type", "application/x-ndjson")
        self.send_header("content-length", str(blocks * len(ROWS)))
        self.end_headers()
        try:
            for _ in range(blocks):
                self.wfile.write(ROWS)
        except OSError:
            pass  # Whoever only wanted to see the first rows has left.

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    print(f"http://127.0.0.1:{server.server_port}/orders.ndjson", len(ROWS) * (int(sys.argv[1]) // BLOCK), flush=True)
    server.serve_forever()
