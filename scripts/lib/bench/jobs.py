"""What scripts/bench.py measures of jobs that users have: work for a GUI that comes over the network.

    tiles     a map: TILES pictures of 20 KB, AT_ONCE at a time, decoded and painted; from a server that is near
              (no delay), or a bit further away (5 ms)
    feed      a table that shows values as they come: 10,000 a second, for the rows of a model
    calls     a server in the GUI thread: 50 clients that call at once, each again and again

A job can be done without asyncio, too; so besides the loops there are the ways of `job_ways`. A job is an object that
has a part for each: with_asyncio(), with_threads(), with_qt(). Each of them calls begin() when it has imported what it
needs. They are as users write them: plain, one callback for each thing, nothing saved up for later.

The peer is a process of its own (job_peer.py). All else is counted: what a way spends in threads of its own is CPU time
of this process, too.
"""

import asyncio
import functools
import importlib
import json
import queue
import socket
import socketserver
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from lib.bench import job_peer
from lib.bench.screen import Frames
from lib.bench.workloads import clock, percentile

TILES = 3000
RATE = 10_000

_LOCALHOST = "127.0.0.1"


class _Job:
    """What jobs have in common.

    Args:
        bench: what a workload is told.
        unit: what is counted.

    Attributes:
        count: how many there were so far.
    """

    def __init__(self, bench, unit):
        self.contender = contender = bench.contender
        self.core = contender.core
        self.widgets = importlib.import_module(contender.binding + ".QtWidgets")
        self.gui = importlib.import_module(contender.binding + ".QtGui")
        self.seconds = bench.seconds * 4  # frames are few: a 99th percentile wants a hundred
        self.count = 0
        self._unit = unit
        self._peers = []
        self._failure = None
        self._frames = Frames(self.core, self.begin_frame)

    def begin_frame(self):
        """Do what a frame begins with."""

    def start_peer(self, *arguments):
        """Start the other side."""
        command = [sys.executable, "-m", "lib.bench.job_peer", *map(str, arguments)]
        self._peers.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        return self._peers[-1]

    def network(self):
        """Return Qt's own network classes."""
        return importlib.import_module(self.contender.binding + ".QtNetwork")

    def begin(self):
        """Begin to measure. Thread: the GUI's."""
        self._frames.start()
        self._cpu = time.process_time()
        self.began = clock()

    def end(self):
        """Note that all is done, as of now. Thread: the GUI's."""
        self.ended = clock()
        self._cpu = time.process_time() - self._cpu
        self._frames.stop()

    def fail(self, exc, quit_qt):
        """End with what has gone wrong in a thread. Thread: the GUI's."""
        self._failure = exc
        quit_qt()

    def do(self):
        """Have the contender do it, and return the figures."""
        try:
            self.contender.do(self)
            if self._failure is not None:
                raise self._failure
            return self.figures()
        finally:
            for peer in self._peers:
                peer.kill()
                peer.communicate()

    def figures(self):
        return {
            f"{self._unit}s/s": self.count / (self.ended - self.began),
            f"µs CPU of a {self._unit}": self._cpu / self.count * 1e6,
            **self._frames.figures(),
        }


# -- tiles -----------------------------------------------------------------------


class _Tiles(_Job):
    """Fetches tiles and shows them, again from the beginning until enough time has passed for there to be frames."""

    AT_ONCE = 16
    COLUMNS = 4

    def __init__(self, bench, delay):
        super().__init__(bench, "tile")
        self._number = bench.amount(TILES)
        self._port = int(self.start_peer("tiles", delay).stdout.readline())
        self._url = f"http://{_LOCALHOST}:{self._port}/"
        side = self.COLUMNS * job_peer.SIDE
        self._canvas = canvas = self.gui.QPixmap(side, side)
        self.connections_of_qt = None  # Qt's own number
        job = self

        class Map(self.widgets.QWidget):
            def paintEvent(self, event):
                painter = job.gui.QPainter(self)
                painter.drawPixmap(0, 0, canvas)
                painter.end()

        self._map = Map()
        self._map.resize(side, side)
        self._map.show()

    def begin_frame(self):
        self._map.update()

    def show(self, index, data):
        """Show a tile. Thread: the GUI's."""
        image = self.gui.QImage.fromData(data)
        if image.width() != job_peer.SIDE:
            raise ValueError(f"tile {index} is no picture of {job_peer.SIDE} pixels")
        row, column = divmod(index % self.COLUMNS**2, self.COLUMNS)
        painter = self.gui.QPainter(self._canvas)
        painter.drawImage(column * image.width(), row * image.height(), image)
        painter.end()
        self.count += 1

    def _wants_more(self):
        return clock() < self.began + self.seconds

    def with_asyncio(self, call, ask):
        """Return a coroutine that fetches by aiohttp.

        Args: call, ask: as loops.Contender.do() tells.
        """
        import aiohttp

        async def work(session, indexes):
            for index in indexes:
                async with session.get(f"{self._url}{index}") as response:
                    call(self.show, index, await response.read())

        async def fetch():
            while self._wants_more():
                indexes = iter(range(self._number))
                async with aiohttp.ClientSession() as session:
                    await asyncio.gather(*(work(session, indexes) for _ in range(self.AT_ONCE)))
            call(self.end)

        self.begin()
        return fetch()

    def with_streams(self):
        """Return a coroutine that fetches by asyncio's streams: as much of HTTP as this server needs."""

        async def work(indexes):
            reader, writer = await asyncio.open_connection(_LOCALHOST, self._port)
            for index in indexes:
                writer.write(b"GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % index)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                self.show(index, await reader.readexactly(length))
            writer.close()

        async def fetch():
            while self._wants_more():
                indexes = iter(range(self._number))
                await asyncio.gather(*(work(indexes) for _ in range(self.AT_ONCE)))
            self.end()

        self.begin()
        return fetch()

    def with_threads(self, relay, quit_qt):
        """Fetch by urllib3, in as many threads as there may be requests."""
        import urllib3

        def fetch(pool, index):
            try:
                relay.call(show, index, pool.request("GET", f"{self._url}{index}").data)
            except Exception as exc:
                relay.call(self.fail, exc, quit_qt)

        def show(index, data):
            self.show(index, data)
            if self.count % self._number == 0:
                start() if self._wants_more() else end()

        def start():
            pool = urllib3.PoolManager(maxsize=self.AT_ONCE)
            for index in range(self._number):
                executor.submit(fetch, pool, index)

        def end():
            self.end()
            executor.shutdown()
            quit_qt()

        executor = ThreadPoolExecutor(self.AT_ONCE)
        self.begin()
        start()

    def with_qt(self, quit_qt):
        """Fetch by QNetworkAccessManager."""
        network = self.network()
        manager = self._manager = network.QNetworkAccessManager()
        replies = self._replies = set()  # PyQt leaves them to us, and would collect them while they wait
        indexes = iter(())

        def get():
            index = next(indexes, None)
            if index is not None:
                request = network.QNetworkRequest(self.core.QUrl(f"{self._url}{index}"))
                if self.connections_of_qt is not None:
                    configuration = network.QHttp1Configuration()
                    configuration.setNumberOfConnectionsPerHost(self.connections_of_qt)
                    request.setHttp1Configuration(configuration)
                reply = manager.get(request)
                replies.add(reply)
                reply.finished.connect(functools.partial(show, index, reply))

        def show(index, reply):
            self.show(index, reply.readAll())
            replies.discard(reply)
            reply.deleteLater()
            if self.count % self._number:
                get()
            else:
                start() if self._wants_more() else end()

        def start():
            nonlocal indexes
            indexes = iter(range(self._number))
            for _ in range(self.AT_ONCE):
                get()

        def end():
            self.end()
            quit_qt()

        self.begin()
        start()


def tiles(bench, delay):
    """Fetch tiles, 16 at once, decode and paint them. Args: delay: seconds that each answer takes."""
    return _Tiles(bench, delay).do()


# -- the feed --------------------------------------------------------------------


class _Feed(_Job):
    """Shows the messages of a feed in a table; the row is that of the message."""

    def __init__(self, bench):
        super().__init__(bench, "message")
        self._number = int(RATE * self.seconds)
        self._late = []
        self._port = int(self.start_peer("feed", RATE).stdout.readline())
        self._make_table()

    def _make_table(self):
        core = self.core
        display = getattr(core.Qt, "ItemDataRole", core.Qt).DisplayRole

        class Model(core.QAbstractTableModel):
            def __init__(self):
                super().__init__()
                self.rows = [["row", str(row), ""] for row in range(job_peer.ROWS)]

            def rowCount(self, parent=None):
                return len(self.rows)

            def columnCount(self, parent=None):
                return len(self.rows[0])

            def data(self, index, role=display):
                return self.rows[index.row()][index.column()] if role == display else None

            def set_value(self, row, value):
                self.rows[row][2] = str(value)
                index = self.index(row, 2)
                self.dataChanged.emit(index, index)

        self._model = Model()
        self._table = self.widgets.QTableView()
        self._table.setModel(self._model)
        self._table.resize(400, 400)
        self._table.show()

    def show(self, message):
        """Show a message, and return whether it was the last. Thread: the GUI's."""
        self._model.set_value(message["row"], message["value"])
        self._late.append(clock() - message["sent"])
        self.count += 1
        if self.count == self._number:
            self.end()
        return self.count >= self._number

    def with_asyncio(self, call, ask):
        """Return a coroutine that reads lines from a stream."""

        async def read():
            reader, writer = await asyncio.open_connection(_LOCALHOST, self._port)
            left = self._number
            async for line in reader:
                call(self.show, json.loads(line))
                left -= 1
                if not left:
                    break
            writer.close()

        self.begin()
        return read()

    def with_threads(self, relay, quit_qt):
        """Read lines in a thread."""

        def read():
            with socket.create_connection((_LOCALHOST, self._port)) as sock, sock.makefile("rb") as file:
                for _ in range(self._number):
                    relay.call(self.show, json.loads(file.readline()))
            relay.call(quit_qt)

        self.begin()
        threading.Thread(target=read).start()

    def with_qt(self, quit_qt):
        """Read lines from a QTcpSocket."""

        def read():
            while sock.canReadLine():
                if self.show(json.loads(sock.readLine().data())):
                    sock.readyRead.disconnect(read)
                    quit_qt()
                    return

        self.begin()
        sock = self._socket = self.network().QTcpSocket()
        sock.readyRead.connect(read)
        sock.connectToHost(_LOCALHOST, self._port)

    def figures(self):
        return {
            **super().figures(),
            "ms late p50": percentile(self._late, 50) * 1000,
            "ms late p99": percentile(self._late, 99) * 1000,
        }


def feed(bench):
    """Show 10,000 messages a second in a table."""
    return _Feed(bench).do()


# -- calls -----------------------------------------------------------------------


class _Calls(_Job):
    """Answers calls: each is a line, shows in the GUI, and is answered by a line."""

    def __init__(self, bench):
        super().__init__(bench, "call")
        self._label = self.widgets.QLabel()
        self._label.resize(200, 50)
        self._label.show()
        self._callers = job_peer.CALLERS

    def start_callers(self, port):
        """Start those who call. Thread: any."""
        self.start_peer("calls", self.seconds, port)

    def answer(self, line):
        """Return the answer to a call. Thread: the GUI's."""
        if not self.count:
            self.begin()
        self.count += 1
        self._label.setText(line.decode())
        return b"answer to " + line

    def note_end(self):
        """Note that a caller has gone, and return whether it was the last. Thread: the GUI's."""
        self._callers -= 1
        if not self._callers:
            self.end()
        return not self._callers

    def with_asyncio(self, call, ask):
        """Return a coroutine that serves by asyncio's streams."""

        async def serve():
            is_over = asyncio.Event()

            async def answer(reader, writer):
                async for line in reader:
                    writer.write(await ask(self.answer, line))
                    await writer.drain()
                writer.close()
                if await ask(self.note_end):
                    is_over.set()

            server = await asyncio.start_server(answer, _LOCALHOST, 0)
            self.start_callers(server.sockets[0].getsockname()[1])
            await is_over.wait()
            server.close()

        return serve()

    def with_threads(self, relay, quit_qt):
        """Serve by socketserver, with a thread for each caller."""
        job = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                answers = queue.Queue()
                for line in self.rfile:
                    relay.call(lambda: answers.put(job.answer(line)))  # noqa: B023 - it has run when the next one comes
                    self.wfile.write(answers.get())
                relay.call(note_end)

        def note_end():
            if self.note_end():
                quit_qt()

        server = socketserver.ThreadingTCPServer((_LOCALHOST, 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.start_callers(server.server_address[1])

    def with_qt(self, quit_qt):
        """Serve by QTcpServer."""
        network = self.network()
        sockets = []

        def accept():
            while server.hasPendingConnections():
                sock = server.nextPendingConnection()
                sockets.append(sock)
                sock.readyRead.connect(functools.partial(read, sock))
                sock.disconnected.connect(note_end)

        def read(sock):
            while sock.canReadLine():
                sock.write(self.answer(sock.readLine().data()))

        def note_end():
            if self.note_end():
                quit_qt()

        self._server = server = network.QTcpServer()
        server.newConnection.connect(accept)
        server.listen(network.QHostAddress(_LOCALHOST), 0)
        self.start_callers(server.serverPort())

    def figures(self):
        seen = json.loads(self._peers[0].stdout.readline())
        return {
            "calls/s": seen["calls/s"],
            **{name: value for name, value in super().figures().items() if name != "calls/s"},
            "ms call p50": seen["ms p50"],
            "ms call p99": seen["ms p99"],
        }


def calls(bench):
    """Answer 50 clients at once, in the GUI thread."""
    return _Calls(bench).do()
