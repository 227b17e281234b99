"""A server on this machine that takes its time: what plug-ins in real hosts download from."""

import contextlib
import functools
import time
from http.server import BaseHTTPRequestHandler

from lib import http_server  # from scripts/, which `vendored` has put on the path when conftest imported it

PIECE = 64 * 1024
PIECE_SECONDS = 0.02


def serving(file):
    """Serve: /file comes slowly, /stalls stops in its middle, all else is not there.

    Args:
        file: its content, as bytes.

    Returns:
        A context manager with the address to put in front.
    """
    return http_server.serving(functools.partial(Handler, file), waits=False)


class Handler(BaseHTTPRequestHandler):
    def __init__(self, file, *args):
        self.file = file
        super().__init__(*args)

    def do_GET(self):
        if self.path not in ("/file", "/stalls"):
            self.send_error(404)
            return
        file = self.file
        self.send_response(200)
        self.send_header("Content-Length", str(len(file)))
        self.end_headers()
        end = len(file) if self.path == "/file" else len(file) // 4
        # Clients that go away in the middle are what some of the tests are about.
        with contextlib.suppress(ConnectionError):
            for start in range(0, end, PIECE):
                self.wfile.write(file[start : start + PIECE])
                time.sleep(PIECE_SECONDS)
            if self.path == "/stalls":
                self.rfile.read(1)  # returns when the client is gone

    def log_message(self, format, *args):
        pass
