"""A host that is only half there: each thing that an adapter asks of its host is taken away in turn.

A plug-in's own tests may load a stub of the host's module, or a mock; a host may be starting, or on its way out. An
adapter of ours then answers no, or does what it can, or gives way to plain Qt, with a line in Python's log. What is
taken away was noted by spies while everything was there (spied_hosts.py), and stands in no list.
"""

import asyncio
import logging
import sys
import threading
import types
from unittest import mock

import pytest

import asyncslot
from asyncslot import _hosts, host_adapters
from spied_hosts import WAYS, spied
from stand_ins import NoStubs

MESSAGE = "my_plugin: it failed"


def error():
    try:
        raise ValueError("spoilt")
    except ValueError as exc:
        return exc


@pytest.fixture(params=host_adapters._ADAPTERS)
def host(request, monkeypatch):
    """The name of a host's adapter; nothing has been logged about it yet."""
    monkeypatch.setattr(_hosts, "_logged", [])
    return request.param


@pytest.fixture
def window(app, windows):
    from qtpy import QtWidgets

    window = QtWidgets.QMainWindow()
    window.show()
    yield window
    window.setObjectName("")  # whoever looks for the next one must not find this
    window.hide()
    window.deleteLater()


@pytest.fixture
def whole(host, window, monkeypatch):
    """The Trip and the adapter of a host that is all there, behind spies."""
    try:
        return spied(host, window, monkeypatch)
    except NoStubs as exc:
        pytest.skip(str(exc))


class Life:
    """A plug-in's life in a host: it is found, attached, works, shows progress, fails, and is detached."""

    def __init__(self, adapter, spin):
        self.adapter = adapter
        self.spin = spin

    def live(self):
        host_adapters.find_batch_hint()
        assert self.adapter.is_running() in (True, False)
        batch = getattr(self.adapter, "batch", lambda: None)()
        assert batch is None or isinstance(batch, str)
        self.adapter.gui_parent()
        lease = asyncslot.attach("my_plugin")
        try:
            _hosts.find_parent(lease.host)
            for exc in (None, error()):
                lease.host.report(MESSAGE, exc)
            thread = threading.Thread(target=lease.host.report, args=(MESSAGE, error()))
            thread.start()
            thread.join(10)
            assert not thread.is_alive()
            task = lease.create_task(self.work(lease))
            self.spin(task.done)
            assert task.result() == "worked"
        finally:
            report = lease.detach()
        assert report.abandoned == []
        assert not getattr(self.adapter, "_relays", None)
        assert not getattr(self.adapter, "_shown", None)
        return lease.host

    async def work(self, lease):
        async with lease.progress("Tiles", total=4) as progress:
            progress.advance(1, "of the old town")
            # Where a timer tells the host of progress, longer than from one turn of it to the next.
            await asyncio.sleep(0.12 if hasattr(self.adapter, "TimedProgress") else 0.01)
            progress.update(None, "")
        return "worked"


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_each_thing_that_is_asked_of_a_host_may_be_spoilt(whole, spin, way, caplog, capsys):
    """Whatever a host lacks, a plug-in attaches, works, fails visibly and detaches."""
    trip, adapter = whole
    life = Life(adapter, spin)
    assert life.live() is adapter
    asked = list(trip.asked)
    assert len(asked) > 3, asked
    problems = []
    for path in asked:
        trip.path, trip.way, trip.texts = path, way, []
        caplog.clear()
        capsys.readouterr()
        try:
            host = life.live()
        except Exception as exc:
            problems.append(f"{path}: {exc!r} in {exc.__traceback__.tb_next and _where(exc)}")
            continue
        logged = _warnings(caplog)
        if isinstance(host, _hosts.PlainQt) and len(logged) > 1:
            problems.append(f"{path}: {len(logged)} lines in the log")
        seen = caplog.text + capsys.readouterr().err + "\n".join(trip.texts)
        if MESSAGE not in seen:
            problems.append(f"{path}: the error was not seen anywhere")
    assert problems == [], "\n".join(problems)


def _warnings(caplog):
    """Return what was logged that is no report of an error."""
    return [each for each in caplog.records if each.levelno == logging.WARNING]


def _where(exc):
    traceback = exc.__traceback__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno}"


MAKERS = {"empty": types.ModuleType, "mocks": lambda name: mock.MagicMock(name=name)}


@pytest.mark.parametrize("make", MAKERS)
def test_a_stub_that_has_next_to_nothing_is_no_host(host, window, spin, monkeypatch, make, caplog):
    """The modules of the host are there, with nothing in them, or are mocks: a plug-in's tests pass with plain Qt."""
    adapter = __import__(f"asyncslot.host_adapters.{host}", fromlist=["NAME"])
    # What a whole stand-in has of modules is what a stub may have of them.
    try:
        with monkeypatch.context() as patch:
            before = set(sys.modules)
            spied(host, window, patch)
            names = set(sys.modules) - before
    except NoStubs as exc:
        pytest.skip(str(exc))
    for name in names:
        monkeypatch.setitem(sys.modules, name, MAKERS[make](name))
    Life(adapter, spin).live()
    assert len(_warnings(caplog)) <= 1


STUB = """
import sys, types
from {binding} import QtCore

class Notifier:
    pass

class Krita(QtCore.QObject):
    @staticmethod
    def instance():
        return types.SimpleNamespace(notifier=Notifier)

sys.modules["krita"] = types.ModuleType("krita")
sys.modules["krita"].Krita = Krita
app = QtCore.QCoreApplication([])
import asyncslot
lease = asyncslot.attach("my_plugin")
assert lease.host.NAME == "Qt", lease.host
assert "host" in asyncslot.report().lower()

async def work():
    app.quit()

lease.create_task(work())
(getattr(app, "exec", None) or app.exec_)()
assert not lease.is_attached
"""


def test_the_stub_of_a_plugins_own_tests_is_plain_qt(app, run_python):
    """Of Krita's: a Notifier without anything, in an application without a command line; one line says so."""
    from qtpy import API_NAME

    done = run_python(STUB.format(binding=API_NAME))
    assert done.stderr.count("Krita is only half there") == 1, done.stderr


RUNNER = """
import sys, types
from {binding} import QtCore

class Krita(QtCore.QObject):
    @staticmethod
    def instance():
        return object()

sys.modules["krita"] = types.ModuleType("krita")
sys.modules["krita"].Krita = Krita
app = QtCore.QCoreApplication(["/usr/bin/kritarunner", "-s", "script"])
import asyncslot
for name in ("first", "second"):
    assert asyncslot.attach(name).host.NAME == "Qt"
    asyncslot.detach()
"""


def test_a_batch_mode_with_a_qt_application_is_told_its_advice(app, run_python):
    """kritarunner has a QApplication, so attach() works there; that nothing may run is said once."""
    from qtpy import API_NAME

    done = run_python(RUNNER.format(binding=API_NAME))
    assert done.stderr.count("use asyncio.run() instead of attach()") == 1, done.stderr
