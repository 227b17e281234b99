"""An HTTP server on this machine, on a thread of its own: what plug-ins download from in the demo and in tests."""

import contextlib
import threading
from http.server import ThreadingHTTPServer


@contextlib.contextmanager
def serving(handler, *, waits):
    """Serve on a free port; yield the address to put in front.

    Args:
        handler: called as a BaseHTTPRequestHandler's class is.
        waits: whether the end waits for the answers that are under way.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = not waits
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="HTTP server", daemon=True)
    thread.start()
    try:
        yield "http://{}:{}".format(*server.server_address)
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
