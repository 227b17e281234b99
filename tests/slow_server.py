"""A server on this machine that takes its time: what plug-ins in real hosts download from."""

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 64 * 1024
PIECE_SECONDS = 0.02


@contextlib.contextmanager
def serving(file):
    """Serve in a thread, and yield the address: /file comes slowly, /stalls stops in its middle, all else is not there.

    Args:
        file: its content, as bytes.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.file = file
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield "http://{}:{}".format(*server.server_address)
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path not in ("/file", "/stalls"):
            self.send_error(404)
            return
        file = self.server.file
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
