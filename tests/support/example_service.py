"""A search service on this machine, as the example plug-ins ask one."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from urllib.parse import parse_qs, urlsplit

PAGES, ON_PAGE = 3, 4


class Server(ThreadingMixIn, HTTPServer):
    """/search gives PAGES pages; of "slow" the second one only when `go_on` is set; /nothing is not there."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.go_on = threading.Event()
        self.is_waiting = threading.Event()
        self.address = "http://{}:{}".format(*self.server_address)
        self.service = self.address + "/search?q={words}&page={page}"


@contextlib.contextmanager
def serving():
    """Serve in a thread, and yield the server; a search that still waits is let go on in the end."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join(10)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        if url.path != "/search":
            self.send_error(404)
            return
        query = parse_qs(url.query)
        words, page = query["q"][0], int(query["page"][0])
        if words == "slow" and page == 2:
            self.server.is_waiting.set()
            self.server.go_on.wait(20)
        entry = {"creator": "someone", "license": "by", "foreign_landing_url": "https://example.com/"}
        results = [dict(entry, title=f"{words} {page}.{number}") for number in range(ON_PAGE)]
        body = json.dumps({"page_count": PAGES, "results": results}).encode()
        with contextlib.suppress(ConnectionError):  # the client has cancelled
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format, *args):
        pass
