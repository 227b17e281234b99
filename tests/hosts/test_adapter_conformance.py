"""Does an adapter keep its contract? For ours, and for yours:

    ADAPTER=mypackage.my_adapter python -m pytest tests/hosts/test_adapter_conformance.py

With ADAPTER only that one is tested; it must be importable (PYTHONPATH). Most tests need no host: they look at how the
adapter behaves in a process that is another program, or in which its host is only half there. The last ones need the
host, and are skipped elsewhere. Run them inside it, `pytest.main([...])` on its GUI thread, or give

    STAND_IN=mypackage.my_stand_in:enter

a function without arguments that makes the process look like the host, as far as the adapter asks. Ours have stand-ins
from stand_ins.py, where they have none here their own tests do that (test_adapter_*.py, and test_hosts.py in the host).

host_adapters/README.md has the contract in words.
"""

import ast
import importlib
import inspect
import itertools
import os
import re
import subprocess
import sys
import threading
import types

import pytest

import patience
from asyncslot import _hosts, host_adapters
from stand_ins import HOSTS, NoStubs
from stand_ins_actors import enter

YOURS = os.environ.get("ADAPTER")
OURS = [f"{host_adapters.__name__}.{name}" for name in host_adapters._ADAPTERS]
NAMES = [YOURS] if YOURS else OURS

QT = re.compile(r"(PyQt\d|PySide\d|qtpy|shiboken\d|sip)(\.|$)")

# What a message may have in it.
MESSAGES = [
    "",
    "plain",
    "<b>my_plugin</b>: <Task 'ü'> & failed\nsecond line\n",
    "100 % {of} %s \\ \0 \U0001f600",
    "long " * 4000,
]


@pytest.fixture(params=NAMES, ids=lambda name: name.rpartition(".")[2])
def adapter(request):
    return importlib.import_module(request.param)


def error():
    try:
        raise ValueError("<spoilt>\nin two lines")
    except ValueError as exc:
        return exc


def modules_of_the_host(adapter):
    """Return the names of the modules that an adapter asks for: what it imports or looks up in sys.modules."""
    names = set()
    for node in ast.walk(ast.parse(inspect.getsource(adapter))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
        elif isinstance(node, (ast.Call, ast.Subscript)) and "attr='modules'" in ast.dump(node):
            # Python 3.7 has the text of a string elsewhere.
            strings = [each.value if hasattr(each, "value") else getattr(each, "s", "") for each in ast.walk(node)]
            names.update(each for each in strings if isinstance(each, str) and re.match(r"[A-Za-z_][\w.]*$", each))
    names = {name for name in names if not QT.match(name) and name not in sys.modules}
    parents = {name.rpartition(".")[0] for name in names} - {""}
    return names | {parent for parent in parents if parent not in sys.modules}


class Gone:
    """Something of a host that is going away: it is there still, and raises whatever is asked of it."""

    def __getattr__(self, name):
        raise RuntimeError("Internal C++ object already deleted")

    def __call__(self, *_args, **_kwargs):
        raise RuntimeError("Internal C++ object already deleted")


class Going(types.ModuleType):
    """A module of such a host."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Gone()


STATES = {"not there": None, "modules still empty": types.ModuleType, "going away": Going}


@pytest.fixture(params=STATES)
def half_there(request, monkeypatch, adapter, app):
    """The adapter, in a Qt application that is not its host, or in which its host is not up or is going away."""
    if adapter.is_running():
        pytest.skip("this process is the host")
    make = STATES[request.param]
    if make is not None:
        for name in modules_of_the_host(adapter):
            monkeypatch.setitem(sys.modules, name, make(name))
    return adapter


def no_modal_dialog():
    from qtpy import QtWidgets

    return QtWidgets.QApplication.activeModalWidget() is None


# -- without its host ----------------------------------------------------------------


def test_it_has_everything_with_the_right_arguments(adapter):
    """What attach() checks; all that is wrong is in one message."""
    _hosts.check_adapter(adapter)
    assert adapter.NAME.strip()


def test_importing_one_loads_neither_qt_nor_a_host(run_python):
    """Each is imported in every host."""
    run_python(
        f"""
import importlib, sys
sys.path[:] = {sys.path!r}
import asyncslot
adapters = []
for name in {NAMES!r}:
    before = set(sys.modules)
    adapters.append(importlib.import_module(name))
    loaded = {{each.partition(".")[0] for each in set(sys.modules) - before}} - {{name.partition(".")[0]}}
    standard = getattr(sys, "stdlib_module_names", loaded)
    assert loaded <= set(standard), (name, loaded - set(standard))
    assert not [each for each in sys.modules if each.startswith(("PyQt", "PySide", "qtpy"))], name
for adapter in adapters:
    assert adapter.is_running() is False, adapter
    assert getattr(adapter, "batch", lambda: None)() is None, adapter
    adapter.report("before there is any Qt", None)
"""
    )


def test_elsewhere_it_is_not_running_and_imports_nothing_to_find_out(half_there):
    """Also in a host that is starting; in one that is going away, either answer will do."""
    before = set(sys.modules)
    answer = half_there.is_running()
    assert answer is False or (answer is True and any(isinstance(module, Going) for module in sys.modules.values()))
    assert set(sys.modules) == before


def test_batch_is_a_sentence_or_none_and_imports_nothing(half_there):
    """Only a host without its GUI has advice."""
    before = set(sys.modules)
    hint = getattr(half_there, "batch", lambda: None)()
    assert hint is None or (isinstance(hint, str) and hint.strip())
    assert set(sys.modules) == before


@pytest.mark.parametrize("message", MESSAGES, ids=["empty", "plain", "HTML", "odd", "long"])
def test_report_never_raises(half_there, message, capsys):
    """In whatever state the host is, with whatever text."""
    for exc in (None, error()):
        assert half_there.report(message, exc) is None
    assert no_modal_dialog()


def test_report_without_its_host_is_not_lost(half_there, capsys, caplog):
    """On stderr, or with logging."""
    half_there.report("my_plugin: it failed", error())
    written = capsys.readouterr().err + caplog.text
    assert "my_plugin: it failed" in written
    assert "ValueError: <spoilt>" in written


class Stubborn:
    """An ASCII stderr, as Krita's is."""

    def write(self, text):
        text.encode("ascii")
        raise UnicodeEncodeError("ascii", "ü", 0, 1, "ordinal not in range(128)")

    def flush(self):
        raise OSError("closed")


@pytest.mark.parametrize("stderr", [None, Stubborn()], ids=["none", "one that fails"])
def test_report_needs_no_stderr(half_there, monkeypatch, stderr):
    """GUI programs on Windows have none."""
    monkeypatch.setattr(sys, "stderr", stderr)
    half_there.report("my_plugin: into the void", error())


def in_a_thread(function, *arguments):
    """Call a function in a thread; return what it raised."""
    raised = []

    def run():
        try:
            function(*arguments)
        except BaseException as exc:
            raised.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "it waits for the GUI thread, which may be waiting for this one"
    return raised


def test_report_from_a_thread_does_not_raise(half_there, capsys):
    """An executor's errors come from there."""
    assert in_a_thread(half_there.report, "my_plugin: in a thread", error()) == []


# -- in its host ---------------------------------------------------------------------


@pytest.fixture
def running(adapter, monkeypatch, app):
    """The adapter, in its host or in a stand-in."""
    from qtpy import QtWidgets

    window = QtWidgets.QMainWindow()
    host = adapter.__name__.rpartition(".")[2]
    if YOURS and os.environ.get("STAND_IN"):
        module, _, function = os.environ["STAND_IN"].partition(":")
        getattr(importlib.import_module(module), function)()
    elif not YOURS and host in HOSTS:
        try:
            enter(host, window, monkeypatch)
        except NoStubs as exc:
            pytest.skip(str(exc))
    if not adapter.is_running():
        pytest.skip("this process is not the host, and there is no stand-in for it here")
    yield adapter
    window.setObjectName("")


def test_its_qt_is_the_bindings_own_and_has_the_application(running):
    """Not a shim that passes its names on, of which nobody could tell which binding it is."""
    core = running.qt_core()
    assert QT.match(core.__name__)
    assert core is sys.modules[core.QObject.__module__]
    assert core.QCoreApplication.instance() is not None


def test_the_parent_is_a_widget_or_none(running):
    """For a dialog; asked for at any time."""
    widgets = sys.modules[running.qt_core().__name__.replace("QtCore", "QtWidgets")]
    assert isinstance(running.gui_parent(), (widgets.QWidget, type(None)))


def test_on_quit_can_be_taken_back_any_number_of_times(running):
    """Several at once, in any order; and nothing is called until the host quits."""
    calls = []
    unhooks = [running.on_quit(lambda: calls.append(None)) for _ in range(3)]
    for unhook in [unhooks[1], *unhooks, *unhooks]:
        assert unhook() is None
    assert calls == []


HOOKS = ("connect", "connect_about_to_quit", "open_relay")


@pytest.mark.parametrize("failing", range(3))
def test_on_quit_that_fails_leaves_nothing_hooked(running, monkeypatch, failing):
    """Whichever of its hooks fails, those before it are taken back."""
    hooked, count = [], itertools.count()

    def make(hook):
        def instead(*args):
            if next(count) == failing:
                raise RuntimeError("on purpose")
            undo = hook(*args)
            hooked.append(undo)
            return lambda: (undo(), hooked.remove(undo))

        return instead

    for name in HOOKS:
        if hasattr(running, name):
            monkeypatch.setattr(running, name, make(getattr(running, name)))
    try:
        running.on_quit(lambda: None)()
    except RuntimeError:
        is_failure = True
    else:
        is_failure = False
    assert is_failure == (next(count) > failing)
    assert hooked == []


def test_report_shows_no_modal_dialog(running, spin, capsys):
    """From any thread, with whatever text, in whichever mood the host is."""
    unhook = running.on_quit(lambda: None)
    for message in MESSAGES:
        running.report(message, error())
        assert in_a_thread(running.report, message, error()) == []
    turns = []
    spin(lambda: turns.append(None) or len(turns) > 5)
    assert no_modal_dialog()
    unhook()


FRACTIONS = [0.0, 0.5, 1.0, 1, None, 0.25]


def test_progress_can_be_updated_and_closed_at_any_time(running, spin, windows):
    """Several at once, or None for those for which there is no room; nothing of it counts as a cancel."""
    cancelled = []
    displays = [running.progress(f"Tiles {number} <&>", lambda: cancelled.append(None)) for number in range(3)]
    displays = [display for display in displays if display is not None]
    turns = []
    for fraction in FRACTIONS:
        for display in displays:
            for text in ("", "60 of 240", "<b>&amp; ü"):
                assert display.update(fraction, text) is None
        turns.clear()
        spin(lambda: turns.append(None) or len(turns) > 5)
    for display in [*displays[1:], *displays, *displays]:
        assert display.close() is None
        display.update(0.5, "into the void")
    spin(lambda: turns.append(None) or len(turns) > 20)
    assert cancelled == []
    assert no_modal_dialog()
    again = running.progress("Again", lambda: None)
    assert again is not None or not displays, "the first display was closed and there is still no room"
    if again is not None:
        again.close()


# -- the tests above -----------------------------------------------------------------

FAULTY = """
import sys, PyQt5_of_a_host
NAME = "Faulty"
def is_running():
    import importlib.util, json.tool
    return "half_there" in sys.modules
def batch():
    return ""
def qt_core():
    import qtpy.QtCore
    return qtpy.QtCore
def gui_parent():
    return "the main window"
def on_quit(callback):
    callback()
    return {}.clear().unhook
def report(message, exc):
    sys.stderr.write(message.encode("ascii").decode())
    sys.modules["half_there"].log
def progress(title, cancel):
    class Display:
        def update(self, fraction, text):
            self.shown = fraction * 100
        def close(self):
            cancel()
    return Display()
"""


@pytest.mark.skipif(YOURS is not None, reason="another adapter is tested")
def test_a_faulty_adapter_fails(tmp_path):
    """Each of the tests finds the fault that it is for."""
    (tmp_path / "adapter_with_faults.py").write_text(FAULTY, encoding="utf-8")
    (tmp_path / "PyQt5_of_a_host.py").write_text("")
    (tmp_path / "makes_half_there.py").write_text("import sys, types\ndef enter(): sys.modules['half_there'] = types")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rfEp", "--tb=no", __file__]
    done = subprocess.run(
        command,
        env={**os.environ, "ADAPTER": "adapter_with_faults", "STAND_IN": "makes_half_there:enter", "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=patience.FOR_A_PROGRAM,
    )
    output = done.stdout.decode("utf-8", "replace")
    failed = set(re.findall(r"^(?:FAILED|ERROR) [^:]*::(\w+)", output, re.MULTILINE))
    tests = {name for name in globals() if name.startswith("test_")}
    fine = {"test_a_faulty_adapter_fails", "test_it_has_everything_with_the_right_arguments"}
    assert failed == tests - fine, output
