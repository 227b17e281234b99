"""A language model on this machine, as examples/chat asks one: its try_server.py, and what only tests want of it."""

import contextlib
import importlib.util
import json
import ssl
import threading
import time
from pathlib import Path

import patience

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "chat"


def load(path):
    """Import one file of the example, without its package."""
    spec = importlib.util.spec_from_file_location("example_" + path.stem, str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


try_server = load(EXAMPLE / "try_server.py")


class Count:
    """How often something has happened in another thread, and at which `times` of the monotonic clock."""

    def __init__(self):
        self.times = []
        self._changed = threading.Condition()

    @property
    def value(self):
        return len(self.times)

    def add(self):
        with self._changed:
            self.times.append(time.monotonic())
            self._changed.notify_all()

    def wait(self, value):
        """Return whether it has come to that within 20 seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self.value >= value, patience.FOR_THE_LOOP)


class Server(try_server.Server):
    """Writes down what it is asked.

    Attributes:
        address: what a user enters.
        questions: the list of messages of each, oldest first.
        begun: a Count of the answers by the model "held", which begin and do not go on.
        gone: a Count of those whose client has gone.
    """

    def __init__(self, key="", context=None):
        super().__init__(key=key, handler=Handler)
        self.questions = []
        self.begun = Count()
        self.gone = Count()
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        # The certificate for tests is that of this name.
        self.address = "{}://localhost:{}/v1".format("https" if context else "http", self.server_address[1])


class Handler(try_server.Handler):
    def answer(self, question):
        self.server.questions.append(question["messages"])
        super().answer(question)

    def answer_held(self, *texts):
        """Begin, and wait until the client goes."""
        self.begin()
        self.send(try_server.event("Well, "))
        self.server.begun.add()
        with contextlib.suppress(OSError):
            self.rfile.read(1)
        self.server.gone.add()

    def answer_count(self, *texts):
        """Say how often it was asked in this conversation, in one piece."""
        self.begin()
        self.send(try_server.event(texts[0]))
        self.end()

    def answer_key(self, *texts):
        """Repeat the key in an error, as servers may."""
        self.refuse(400, "No such key: " + json.dumps(self.headers["Authorization"]))

    def log_message(self, format, *args):
        pass


def tls_context(certificate):
    """Return what a server needs for TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@contextlib.contextmanager
def serving(key="", context=None):
    """Serve in a thread, and yield the Server.

    Args:
        key: what a question must bring; empty for nothing.
        context: for TLS.
    """
    with Server(key, context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)
