"""Bad input gets a clear error, once, that names what to do."""

import functools

import pytest

import asyncslot
from asyncslot import _hosts


async def coro_fn():
    """A coroutine function, which is good input."""


def plain_function():
    """Not a coroutine function."""


class CallableObject:
    """An object whose __call__ is no coroutine function either."""

    def __call__(self):
        pass


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        pytest.param(plain_function, "write it with 'async def'", id="a plain function"),
        pytest.param(CallableObject(), "write it with 'async def'", id="a callable object"),
        pytest.param(functools.partial(plain_function), "write it with 'async def'", id="a partial"),
        pytest.param(None, "write it with 'async def'", id="None"),
    ],
)
def test_what_is_no_coroutine_function_is_refused_as_a_slot(given, advice):
    """asyncSlot() says what it was given and what it takes."""
    with pytest.raises(asyncslot.NotCoroutineFunctionError, match=advice) as caught:
        asyncslot.asyncSlot(given)
    assert repr(given) in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_a_coroutine_object_is_refused_as_a_slot():
    """The commonest slip: the function was called."""
    coro = coro_fn()
    with pytest.raises(asyncslot.NotCoroutineFunctionError, match=r"asyncSlot\(fn\), not asyncSlot\(fn\(\)\)"):
        asyncslot.asyncSlot(coro)
    coro.close()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        pytest.param("asyncslot.attach()", "attach()", id="attach"),
        pytest.param("asyncslot.AsyncSlotRunner().__enter__()", "AsyncSlotEventLoop", id="AsyncSlotRunner"),
        pytest.param("asyncslot.AsyncSlotEventLoop().__enter__()", "AsyncSlotEventLoop", id="with AsyncSlotEventLoop"),
        pytest.param("asyncslot.AsyncSlotEventLoop().run_forever()", "run_forever()", id="run_forever"),
    ],
)
def test_without_an_application_the_error_says_to_make_one(run_python, call, name):
    """There is no loop to ride on."""
    out = run_python(
        f"""
import asyncslot
from qtpy import QtCore
for _ in range(2):
    try:
        {call}
    except asyncslot.NoApplicationError as exc:
        assert isinstance(exc, RuntimeError)
        print(exc)
"""
    ).stdout.splitlines()
    assert len(out) == 2
    assert out[0] == out[1]
    assert out[0].startswith(f"{name} found no QCoreApplication")
    assert "initGui()" in out[0]


def test_a_run_that_is_refused_leaves_no_task_for_the_next_one(run_python):
    """Who makes the application then, and runs it again, has it run once."""
    done = run_python(
        """
import asyncio, asyncslot
from qtpy import QtCore

async def main(name):
    print(name)

loop = asyncslot.AsyncSlotEventLoop()
coro = main("refused")
try:
    loop.run_until_complete(coro)
except asyncslot.NoApplicationError as exc:
    print(str(exc).partition(" found")[0])
    coro.close()
app = QtCore.QCoreApplication([])
loop.run_until_complete(main("run"))
loop.close()
"""
    )
    assert done.stdout.splitlines() == ["run_until_complete()", "run"]


@pytest.mark.parametrize("missing", ["application", "binding"])
def test_in_a_hosts_batch_mode_the_error_says_what_to_use_there(run_python, missing):
    """The host's adapter knows; a program that could not make an application is not told to make one."""
    hide = ["PyQt5", "PyQt6", "PySide2", "PySide6"] if missing == "binding" else []
    out = run_python(
        f"""
import sys, types
for name in {hide}:
    sys.modules[name] = None
import asyncslot
sys.modules["maya.cmds"] = types.SimpleNamespace(about=lambda batch: True)
try:
    asyncslot.attach()
except asyncslot.NoApplicationError as exc:
    print(exc)
"""
    ).stdout
    assert out.startswith("attach() found no QCoreApplication")
    assert out.endswith("(mayapy or maya -batch), where no Qt loop runs; use asyncio.run() there\n")
    assert "initGui" not in out


def test_without_a_binding_the_error_says_to_install_one(run_python):
    """And gives QtPy's own reason."""
    out = run_python(
        """
import sys
for name in ("PyQt5", "PyQt6", "PySide2", "PySide6"):
    sys.modules[name] = None
import asyncslot
try:
    asyncslot.attach()
except asyncslot.NoBindingError as exc:
    assert isinstance(exc, ImportError)
    print(exc)
""",
        env={"QT_API": ""},
    ).stdout
    assert "pip install asyncslot[PyQt5]" in out


def test_the_environment_is_as_before_after_qtpy_has_chosen(run_python):
    """QtPy writes QT_API, which the host's child processes would inherit; we take it back."""
    run_python(
        """
import os
os.environ.pop("QT_API", None)
from asyncslot._binding import find_qt_core
assert find_qt_core().__name__.endswith(".QtCore")
assert "QT_API" not in os.environ
"""
    )


def test_a_malformed_adapter_is_told_everything_at_once(app):
    """Whoever writes an adapter need not run it six times."""

    class Half:
        NAME = 3
        qt_core = "not a function"

        def is_running(self):
            return True

        def report(self, message):
            pass

    with pytest.raises(asyncslot.AdapterError) as caught:
        asyncslot.attach("half", host=Half())
    text = str(caught.value)
    assert isinstance(caught.value, TypeError)
    assert "NAME must be a str" in text
    assert "qt_core() must be a function, not 'not a function'" in text
    assert "gui_parent() is missing" in text
    assert "on_quit(callback) is missing" in text
    assert "report(message, exc) is needed, found report(message)" in text
    assert "progress(title, cancel) is missing" in text
    assert "host_adapters/README.md" in text


def test_the_plain_qt_adapter_keeps_the_contract(app):
    """The default is checked like any other."""
    _hosts.check_adapter(_hosts.PlainQt())
    assert _hosts.PlainQt().is_running()


def test_create_task_without_a_lease(app):
    """Says what to call."""
    with pytest.raises(asyncslot.NoLoopError, match=r"create_task\(\): no asyncslot loop is attached here"):
        asyncslot.create_task(coro_fn())


def test_create_task_that_could_be_anybodys(app):
    """Names the owners there are."""
    with asyncslot.attach("one"), asyncslot.attach("two"):
        with pytest.raises(asyncslot.AmbiguousLeaseError, match="'one', 'two'"):
            asyncslot.create_task(coro_fn())


def test_another_projects_asyncslot_is_told_apart(app, monkeypatch, caplog):
    """PyPI's asyncslot 0.3.1 is another project; who imports that by our name hears of it, once, and all works."""
    import sys
    import types

    other = types.ModuleType("asyncslot")
    other.__file__ = "/somewhere/asyncslot/__init__.py"
    other.__version__ = "0.3.1"
    monkeypatch.setitem(sys.modules, "asyncslot", other)
    for _ in range(2):
        with asyncslot.attach("beside") as lease:
            assert lease.is_attached
    warnings = [message for message in caplog.messages if "another project" in message]
    assert len(warnings) == 1
    assert "'/somewhere/asyncslot/__init__.py'" in warnings[0]
    assert "0.3.1" in warnings[0]
    assert "from ._vendor import asyncslot" in warnings[0]
