"""Programs that own their application, one of each kind, whole: from their first line to their exit code.

Each is a process. Its user is a QTimer that looks at what is to be seen and does the next thing: `user((when, what),
...)`. The last ones are qasync's examples, in words of our own.
"""

import pytest

# A process for each.
pytestmark = pytest.mark.slow

PRELUDE = """
import asyncio, contextlib, functools, sys, threading, time
from qtpy import QtCore, QtGui, QtWidgets
import asyncslot
from asyncslot import AsyncSlotRunner, asyncModal, asyncSignal, asyncSlot

app = QtWidgets.QApplication(["program"])
exec_app = getattr(app, "exec", None) or app.exec_

def user(*steps):
    # Do one thing after the other, each when it can be done.
    waiting = list(steps)
    def look():
        if waiting and waiting[0][0]():
            waiting.pop(0)[1]()
    timer = QtCore.QTimer(app)
    timer.timeout.connect(look)
    timer.start(1)
    give_up = QtCore.QTimer(app)
    give_up.timeout.connect(lambda: (print("the user still waits:", len(waiting)), app.exit(99)))
    give_up.start(50000)

def modal():
    return app.activeModalWidget()

def run():
    with AsyncSlotRunner():
        code = exec_app()
    print("exit code", code)
"""


@pytest.fixture
def run_program(run_python):
    """Return a function that runs a program and returns the lines that it prints."""

    def run_program(source):
        done = run_python(PRELUDE + source + "\nrun()\n")
        assert "never retrieved" not in done.stderr, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout.splitlines()

    return run_program


TRAY = """
app.setQuitOnLastWindowClosed(False)

class Tray(QtWidgets.QSystemTrayIcon):
    # Looks for mail in the background; no window but when it is asked for one.
    def __init__(self):
        super().__init__(QtGui.QIcon(QtGui.QPixmap(8, 8)))
        self.menu = QtWidgets.QMenu()
        self.look = self.menu.addAction("Look now")
        self.about = self.menu.addAction("About")
        self.leave = self.menu.addAction("Quit")
        self.setContextMenu(self.menu)
        self.look.triggered.connect(self.look_now)
        self.about.triggered.connect(self.tell)
        self.leave.triggered.connect(self.quit)
        self.looks = 0
        self.is_told = False
        self.polling = self.poll()

    @asyncSlot
    async def poll(self):
        try:
            while True:
                await asyncio.sleep(0.001)
                await self.look_now()
        except asyncio.CancelledError:
            print("polling has ended")
            raise

    @asyncSlot(on_repeat="drop")
    async def look_now(self):
        await asyncio.sleep(0.001)
        self.looks += 1
        self.setToolTip("%d looks" % self.looks)

    @asyncSlot
    async def tell(self):
        await asyncModal(functools.partial(QtWidgets.QMessageBox.about, None, "Tray", "It looks for mail"))
        self.is_told = True

    @asyncSlot
    async def quit(self):
        self.polling.cancel()
        await asyncio.wait([self.polling])
        app.quit()

def begin():
    global tray
    tray = Tray()
    tray.show()

# A slot is called before the application runs: only inside the runner.
QtCore.QTimer.singleShot(0, begin)
tray = None
user(
    (lambda: tray and tray.looks > 2, lambda: tray.look.trigger()),
    (lambda: True, lambda: tray.about.trigger()),
    (modal, lambda: (modal().close(), print("the message is closed"))),
    (lambda: tray.is_told, lambda: setattr(tray, "looks", 0)),
    (lambda: tray.looks > 2, lambda: (print("it still looks"), tray.leave.trigger())),
)
"""


def test_a_tray_application_without_windows(run_program):
    """It goes on when the last window is closed, and quits from a slot that has ended its work first."""
    assert run_program(TRAY) == ["the message is closed", "it still looks", "polling has ended", "exit code 0"]


WIZARD = """
class Page(QtWidgets.QInputDialog):
    def __init__(self, label):
        super().__init__()
        self.setLabelText(label)

async def ask(label):
    page = Page(label)
    page.open()
    result, = await asyncSignal(page.finished)
    if not result:
        raise asyncio.CancelledError
    return page.textValue()

async def prepare():
    while True:
        await asyncio.sleep(0.001)
        prepared.append(len(prepared))

async def wizard():
    preparing = asyncio.ensure_future(prepare())
    try:
        name = await ask("Your name")
        place = await ask("Your place")
        seen = len(prepared)
        question = functools.partial(QtWidgets.QMessageBox.question, None, "Sure", "%s of %s?" % (name, place))
        answer = await asyncModal(question)
        yes = getattr(QtWidgets.QMessageBox, "StandardButton", QtWidgets.QMessageBox).Yes
        print(name, place, "yes" if answer == yes else "no", "prepared meanwhile:", len(prepared) > seen)
    finally:
        preparing.cancel()
    return 3

@asyncSlot
async def main():
    app.exit(await wizard())

def answer(text):
    page = modal()
    page.setTextValue(text)
    page.accept()

prepared = []
app.setQuitOnLastWindowClosed(False)
QtCore.QTimer.singleShot(0, main)

def is_page(label):
    return lambda: isinstance(modal(), Page) and modal().labelText() == label

def say_yes():
    buttons = getattr(QtWidgets.QMessageBox, "StandardButton", QtWidgets.QMessageBox)
    box = modal()  # PySide forgets the button with it
    box.button(buttons.Yes).click()

def has_gone_on():
    before.setdefault("count", len(prepared))
    return isinstance(modal(), QtWidgets.QMessageBox) and len(prepared) > before["count"] + 2

before = {}
user(
    (is_page("Your name"), lambda: answer("Ada")),
    (is_page("Your place"), lambda: answer("London")),
    (has_gone_on, say_yes),
)
"""


def test_a_wizard_of_dialogs(run_program):
    """One coroutine from page to page, while another one prepares what comes; its result is the exit code."""
    assert run_program(WIZARD) == ["Ada London yes prepared meanwhile: True", "exit code 3"]


SERVICE = """
class Window(QtWidgets.QLabel):
    def __init__(self):
        super().__init__("0")
        self.port = None

    @asyncSlot
    async def serve(self):
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            await asyncio.get_event_loop().create_future()
        finally:
            server.close()
            await server.wait_closed()
            print("no longer served")

    async def answer(self, reader, writer):
        name = await reader.readline()
        self.setText(str(int(self.text()) + 1))
        writer.write(b"hello " + name)
        await writer.drain()
        writer.close()

def client():
    import socket
    with socket.create_connection(("127.0.0.1", window.port)) as connection:
        connection.sendall(b"Ada\\n")
        said.append(connection.makefile().readline().strip())

window, said = Window(), []
window.show()
QtCore.QTimer.singleShot(0, window.serve)
user(
    (lambda: window.port, lambda: threading.Thread(target=client).start()),
    (lambda: said, lambda: threading.Thread(target=client).start()),
    (lambda: len(said) == 2, lambda: (print(said, window.text()), window.close())),
)
"""


def test_a_service_with_a_window(run_program):
    """It serves while the window is open; the last window that closes ends it, clean-up and all."""
    assert run_program(SERVICE) == ["['hello Ada', 'hello Ada'] 2", "no longer served", "exit code 0"]


FETCH = """
class Window(QtWidgets.QWidget):
    def __init__(self):
        super().__init__()
        self.address, self.button = QtWidgets.QLineEdit(), QtWidgets.QPushButton("Fetch")
        self.status, self.page = QtWidgets.QLabel("ready"), QtWidgets.QTextEdit()
        layout = QtWidgets.QVBoxLayout(self)
        for widget in (self.address, self.button, self.status, self.page):
            layout.addWidget(widget)
        self.button.clicked.connect(self.on_clicked)

    @asyncSlot
    async def on_clicked(self):
        self.button.setEnabled(False)
        self.status.setText("fetching")
        try:
            self.page.setText(await self.fetch(self.address.text()))
        except OSError as exc:
            self.status.setText("failed: " + type(exc).__name__)
        else:
            self.status.setText("finished")
        finally:
            self.button.setEnabled(True)

    @asyncSlot
    async def fetch(self, address):
        host, _, port = address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
        head, _, body = (await reader.read()).decode().partition("\\r\\n\\r\\n")
        writer.close()
        return body

import http.server, socket

class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"a page")

    def log_message(self, *args):
        pass

pages = http.server.HTTPServer(("127.0.0.1", 0), Pages)
threading.Thread(target=pages.serve_forever, daemon=True).start()
with socket.socket() as unused:
    unused.bind(("127.0.0.1", 0))
    nobody = "127.0.0.1:%d" % unused.getsockname()[1]
window = Window()
window.show()

def fetch(address):
    window.address.setText(address)
    window.button.click()
    print(window.status.text(), window.button.isEnabled())

user(
    (lambda: True, lambda: fetch("127.0.0.1:%d" % pages.server_port)),
    (window.button.isEnabled, lambda: (print(window.status.text(), window.page.toPlainText()), fetch(nobody))),
    (window.button.isEnabled, lambda: (print(window.status.text()), window.close())),
)
"""


def test_a_window_that_fetches_a_page(run_program):
    """qasync's first example: a slot awaits another one, and what that raises it shows."""
    assert run_program(FETCH) == [
        "fetching False",
        "finished a page",
        "fetching False",
        "failed: ConnectionRefusedError",
        "exit code 0",
    ]


PROGRESS = """
class Bar(QtWidgets.QProgressBar):
    @asyncSlot
    async def work(self):
        await self.first_half()
        loop = asyncio.get_event_loop()
        with contextlib.closing(Steps()) as steps:
            await loop.run_in_executor(None, steps.second_half, self.show_threadsafe(loop))
        print("in a thread:", steps.thread is not threading.main_thread(), "and here at", self.value())
        self.close()

    async def first_half(self):
        for number in range(50):
            self.setValue(number)
            await asyncio.sleep(0.001)

    def show_threadsafe(self, loop):
        return lambda number: loop.call_soon_threadsafe(self.setValue, number)

class Steps:
    def second_half(self, show):
        self.thread = threading.current_thread()
        for number in range(50, 101):
            show(number)
            time.sleep(0.001)

    def close(self):
        print("steps are closed at", bar.value())

bar = Bar()
bar.setRange(0, 100)
bar.show()
QtCore.QTimer.singleShot(0, bar.work)
user()
"""


def test_a_progress_bar_of_a_coroutine_and_a_thread(run_program):
    """qasync's second: half of the work is a coroutine's, half a thread's that hands its numbers over."""
    assert run_program(PROGRESS) == ["steps are closed at 100", "in a thread: True and here at 100", "exit code 0"]


MODALS = """
async def count():
    while True:
        await asyncio.sleep(0.001)
        counted.append(1)

async def ask(number):
    # Each in its turn: two that are modal at once end in the order in which they are closed.
    async with turn:
        before = len(counted)
        information = functools.partial(QtWidgets.QMessageBox.information, None, "Box", "box %d" % number)
        await asyncModal(information)
        print("box", number, "and counted meanwhile:", len(counted) > before)

@asyncSlot
async def main():
    global turn
    turn = asyncio.Lock()
    counting = asyncio.ensure_future(count())
    await asyncio.gather(ask(1), ask(2))
    counting.cancel()
    app.exit(0)

def is_box(text):
    def look():
        box = modal()
        if box is None or box.text() != text:
            return False
        since.setdefault(text, len(counted))
        return len(counted) > since[text] + 2
    return look

app.setQuitOnLastWindowClosed(False)
counted, since = [], {}
QtCore.QTimer.singleShot(0, main)
user((is_box("box 1"), lambda: modal().close()), (is_box("box 2"), lambda: modal().close()))
"""


def test_modal_boxes_beside_a_task_that_goes_on(run_program):
    """qasync's third: what its asyncWrap() is for."""
    assert run_program(MODALS) == [
        "box 1 and counted meanwhile: True",
        "box 2 and counted meanwhile: True",
        "exit code 0",
    ]
