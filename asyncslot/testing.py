"""A toy host for the tests of plug-ins: it loads, unloads and reloads them, quits, and tells what they leave behind.

With pytest, write this in conftest.py, with the name under which your plug-in imports its copy:

    pytest_plugins = ["my_plugin._vendor.asyncslot.testing"]

and in a test:

    def test_unload(asyncslot_host):
        plugin = asyncslot_host.load("my_plugin", lambda package: package.classFactory(FakeIface()))
        asyncslot_host.run_until(lambda: plugin.label.text() == "done")
        asyncslot_host.assert_clean_unload(plugin)

Without pytest, use `with asyncslot.testing.Host() as host:`. The Qt loop is a real one, of the binding that is loaded.
As long as the toy host is open, attach() finds it as the host, in every copy of asyncslot in the process.

This module is not for use inside a real host, and no other module of asyncslot imports it. It finds only the things
that `_leftovers` can see.
"""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
import time
from types import ModuleType
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from . import _attach, _lease
from ._binding import find_qt_core, run_qt_loop
from ._report import AbandonedTask
from .tools._leftovers import Moment, Plugin, leases
from .tools._toy import Adapter, Display, Error, find_application


def pytest_configure(config: Any) -> None:
    """Offer the fixture `asyncslot_host`. Called by pytest."""
    # Not an import: a type checker that reads a vendored copy may not have pytest.
    pytest: Any = sys.modules["pytest"]
    fixtures: Any = ModuleType(f"{__name__}.fixtures")
    fixtures.asyncslot_host = pytest.fixture(name="asyncslot_host")(_open_host)
    config.pluginmanager.register(fixtures, fixtures.__name__)


def _open_host() -> Iterator[Host]:
    """A toy host that loads, unloads and reloads plug-ins, and tells what they leave behind."""
    with Host() as host:
        yield host


class Host:
    """A host application for tests; a context manager.

    It uses the application of the process if there is one. Otherwise it makes a QApplication (a
    QCoreApplication if QtWidgets is missing), and this stays until the process ends. Several hosts in
    one process must follow each other. At the end the host unloads the plug-ins that are still loaded,
    detaches the leases that are left, and gives `sys.modules` the plug-ins' modules that it had before.

    Attributes:
        errors: the errors that were reported to the host, an `Error` each; they are logged as well.
        displays: the progress displays that plug-ins have opened, a `Display` each.

    Raises:
        NoApplicationError: on entering, if there is no application, and no display to make one for.

    Thread: GUI thread only, for all methods; it is the thread in which the application was made.
    """

    def __init__(self) -> None:
        self._adapter = Adapter()
        self.errors: List[Error] = self._adapter.errors
        self.displays: List[Display] = self._adapter.displays
        self._qt_core: Any = None
        self._loaded: List[_Loaded] = []
        self._adopted: List[Tuple[Any, Any]] = []
        # For each package the modules that we took out of sys.modules first, to put them back at the end; None if the
        # package had not been imported before load().
        self._forgotten: Dict[str, Optional[Dict[str, Any]]] = {}
        self._leases: List[Any] = []

    @property
    def window(self) -> Any:
        """The host's hidden QMainWindow, for plug-ins that want one; None without QtWidgets and a QApplication."""
        return self._adapter.window

    def __enter__(self) -> Host:
        self._qt_core = find_qt_core()
        application = find_application(self._qt_core)
        widgets = sys.modules.get(self._qt_core.__name__.rpartition(".")[0] + ".QtWidgets")
        if widgets is not None and application.inherits("QApplication"):
            self._adapter.window = widgets.QMainWindow()
        self._leases = leases()
        self._adopt()
        # Qt and asyncio make some objects once in a process. They must exist before a Moment is recorded, or they
        # would count as left over.
        with _attach.attach(__name__, host=self._adapter) as lease:
            lease.run_until_complete(asyncio.sleep(0))
            self._run_qt(0.0)
        _lease.forget_ends(__name__)
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        failures = self._stop_all()
        for lease in leases():
            if lease not in self._leases:
                lease.detach()
        for module, find_host in reversed(self._adopted):
            module.find_host = find_host
        for package, modules in self._forgotten.items():
            _forget(package)
            for name, module in (modules or {}).items():
                _remember(name, module)
        window, self._adapter.window = self.window, None
        if window is not None:
            window.deleteLater()
        self._run_qt(0.0)
        if failures and kind is None:
            raise failures[0]

    def load(
        self,
        package: str,
        make: Optional[Callable[[Any], Any]] = None,
        *,
        load: Optional[str] = "initGui",
        unload: Optional[str] = "unload",
    ) -> Any:
        """Load a plug-in as a host does; return it.

        The host imports the package, makes the plug-in and calls its function `load`.

            host.load("my_plugin", lambda package: package.classFactory(FakeIface()))    # as QGIS does
            host.load("my_plugin", load="start_plugin", unload="close_plugin")           # as Painter does

        Args:
            package: the full name of the plug-in's package, which is imported.
            make: called with the imported package, and returns the plug-in; by default the package is the plug-in.
                Reach everything of the plug-in's through this argument: after reload() it is another package.
            load: the name of the plug-in's function that the host calls next; None if there is none.
            unload: the name of the plug-in's function that ends it; None if there is none.

        Raises:
            Exception: whatever the plug-in raises. Then its modules are forgotten, and it counts as not loaded.
        """
        return self._load(_Loaded(package, make, load, unload, Moment(self._qt_core)))

    def unload(self, plugin: Any) -> None:
        """Unload a plug-in, and forget its modules.

        Raises:
            ValueError: this host has not loaded it.
            Exception: whatever the plug-in raises; its modules are forgotten all the same.
        """
        self._stop(self._find(plugin))

    def reload(self, plugin: Any) -> Any:
        """Unload a plug-in, import it anew and load it; return the new one.

        assert_clean_unload() of the new plug-in also tells what the old one has left behind.

        Raises:
            ValueError: this host has not loaded it.
            Exception: whatever the plug-in raises.
        """
        loaded = self._find(plugin)
        self._stop(loaded)
        return self._load(_Loaded(loaded.package, loaded.make, loaded.load, loaded.unload, loaded.before))

    def run_until(self, predicate: Callable[[], Any], timeout: float = 5.0) -> None:
        """Run the Qt loop until `predicate()` is true.

        Args:
            predicate: called every few milliseconds; an exception that it raises is raised here.
            timeout: seconds, >= 0.

        Raises:
            AssertionError: it did not become true in time. The message has the stack of every task and all reported
                errors.
        """
        if self._run_qt(timeout, predicate):
            return
        code = getattr(predicate, "__code__", None)
        asked = repr(predicate) if code is None else f"the predicate in {code.co_filename}:{code.co_firstlineno}"
        lines = [f"run_until() has run the Qt loop for {timeout} s, and {asked} is still not true"]
        for lease in leases():
            tasks = [AbandonedTask(task, lease.owner) for task in lease.loop._as_tasks_of(lease._owner)]
            lines += [f"  task {task.name} of {task.owner!r} stands in:\n{task.stack.rstrip()}" for task in tasks]
        lines += [f"  reported: {error.message}: {error.exc!r}" for error in self.errors]
        raise AssertionError("\n".join(lines))

    def quit(self) -> None:
        """Quit as a host does when its user closes it.

        First Qt emits aboutToQuit, which ends all leases. Then all plug-ins are unloaded, the last one first.

        Raises:
            Exception: the first one that a plug-in's unload raised; the other plug-ins are unloaded all the same.
        """
        application = self._qt_core.QCoreApplication.instance()
        quit_timer = self._qt_core.QTimer()
        # Not quit(): in Qt 6 it asks all windows whether they may close, and a window of the tests may refuse.
        quit_timer.timeout.connect(lambda: application.exit(0))
        quit_timer.setSingleShot(True)
        quit_timer.start(0)
        run_qt_loop(application)
        for failure in self._stop_all():
            raise failure

    def assert_clean_unload(self, plugin: Any, timeout: float = 2.0, ignore: Sequence[str] = ()) -> None:
        """Unload a plug-in, and check that it has left nothing behind.

        The check looks for leases, tasks and threads; child processes, and on Linux the ports that they keep; open
        sockets, files and other descriptors; QObjects, notifiers and timers that still work or hang on the host's
        objects; modules outside of the plug-in's package, and entries of sys.path. It also looks for settings of the
        process that differ from before load(), whoever has changed them: signal handlers and the wakeup fd, the root
        logger, hooks, standard streams. Objects that go when Qt's loop runs (deleteLater) are given time to go.
        A plug-in that was loaded later must be unloaded earlier.

        Args:
            plugin: the plug-in that load() or reload() returned.
            timeout: seconds, >= 0, to wait for things that have been told to end and take their time.
            ignore: regular expressions for lines that are no complaints, because they are about things that the test
                itself has begun since load(): the threads and sockets of a server, or the level that pytest's caplog
                was told to set.

        Raises:
            AssertionError: something is left; the message has a line for each thing, which says to whom it belongs.
            ValueError: this host has not loaded it.
            Exception: whatever the plug-in's unload raises.
        """
        loaded = self._find(plugin)
        if loaded is not self._loaded[-1]:
            later = self._loaded[-1].package
            raise ValueError(
                f"{loaded.package!r} was to be unloaded while {later!r}, which was loaded later, is still there; what "
                "either of them leaves cannot be told apart. Unload the later one first"
            )
        self._stop(loaded)
        self._assert_nothing_left(loaded, timeout, ignore)

    def assert_clean_quit(self, timeout: float = 2.0, ignore: Sequence[str] = ()) -> None:
        """Quit, and check that no plug-in has left anything behind; otherwise like assert_clean_unload().

        Args:
            timeout: seconds, >= 0, to wait for things that have been told to end and take their time.
            ignore: as in assert_clean_unload().

        Raises:
            AssertionError: something is left; the message has a line for each thing, which says to whom it belongs.
            Exception: the first one that a plug-in's unload raised.
        """
        plugins = list(self._loaded)
        self.quit()
        for loaded in reversed(plugins):
            self._assert_nothing_left(loaded, timeout, ignore)

    def _load(self, loaded: _Loaded) -> Any:
        package = loaded.package
        if package not in self._forgotten and package not in sys.modules:
            self._forgotten[package] = None
        importlib.invalidate_caches()
        try:
            module = importlib.import_module(package)
            self._adopt()
            directory = next(iter(getattr(module, "__path__", [])), None)
            loaded.known_by = Plugin(package, directory)
            loaded.plugin = module if loaded.make is None else loaded.make(module)
            self._adopt()
            if loaded.load is not None:
                getattr(loaded.plugin, loaded.load)()
        except BaseException:
            self._forget(package)
            raise
        self._loaded.append(loaded)
        return loaded.plugin

    def _find(self, plugin: Any) -> _Loaded:
        for loaded in self._loaded:
            if loaded.plugin is plugin:
                return loaded
        names = [loaded.package for loaded in self._loaded]
        raise ValueError(f"{plugin!r} is not loaded in this host, which has {names}; pass what load() returned")

    def _stop(self, loaded: _Loaded) -> None:
        self._loaded.remove(loaded)
        try:
            if loaded.unload is not None:
                getattr(loaded.plugin, loaded.unload)()
        finally:
            self._forget(loaded.package)

    def _stop_all(self) -> List[Exception]:
        """Unload all plug-ins, the last one first; return the exceptions that they raised."""
        failures = []
        for loaded in reversed(list(self._loaded)):
            try:
                self._stop(loaded)
            except Exception as exc:
                failures.append(exc)
        return failures

    def _forget(self, package: str) -> None:
        modules = _forget(package)
        self._forgotten.setdefault(package, modules)

    def _adopt(self) -> None:
        """Make attach() find our adapter as the host, in every copy that is loaded."""
        adopted = [module for module, _ in self._adopted]
        for name, module in list(sys.modules.items()):
            is_ours = name.endswith("._attach") and hasattr(module, "find_host") and hasattr(module, "attach")
            if is_ours and module not in adopted:
                self._adopted.append((module, vars(module)["find_host"]))
                vars(module)["find_host"] = lambda: self._adapter

    def _assert_nothing_left(self, loaded: _Loaded, timeout: float, ignore: Sequence[str]) -> None:
        deadline = time.monotonic() + timeout
        assert loaded.known_by is not None, "it was loaded"
        while True:
            self._run_qt(0.0)
            left = loaded.before.left_over(loaded.known_by)
            left = [line for line in left if not any(re.search(pattern, line) for pattern in ignore)]
            if not left or time.monotonic() > deadline:
                break
            self._run_qt(0.05)
        if left:
            lines = [line.replace("\n", "\n    ") for line in left]
            heading = f"unloading {loaded.package!r} has left behind, after {timeout} s of waiting for it:"
            raise AssertionError("\n  ".join([heading, *lines]))

    def _run_qt(self, timeout: float, predicate: Callable[[], Any] = bool) -> bool:
        """Run the Qt loop until a predicate is true or `timeout` seconds have passed; return whether it is true."""
        core = self._qt_core
        event_loop = core.QEventLoop()
        deadline = time.monotonic() + timeout
        # Whether the predicate is true, and the exception that it raised: no exception may leave a slot.
        outcome: List[Any] = [False, None]

        def ask() -> None:
            try:
                outcome[0] = bool(predicate())
            except BaseException as exc:
                outcome[1] = exc
            if outcome[0] or outcome[1] is not None or time.monotonic() >= deadline:
                event_loop.quit()

        poll = core.QTimer()
        poll.timeout.connect(ask)
        poll.start(5)
        try:
            run_qt_loop(event_loop)
        finally:
            poll.stop()
            # A traceback may keep this frame alive (Python 3.12). PySide keeps connected functions alive, in a place
            # that the garbage collector does not see.
            poll.timeout.disconnect(ask)
        error, outcome[1] = outcome[1], None
        if error is not None:
            raise error
        return bool(outcome[0])


class _Loaded:
    """One plug-in, with the names of its functions and the moment before it was loaded."""

    def __init__(
        self,
        package: str,
        make: Optional[Callable[[Any], Any]],
        load: Optional[str],
        unload: Optional[str],
        before: Moment,
    ) -> None:
        self.package = package
        self.make = make
        self.load = load
        self.unload = unload
        self.before = before
        self.plugin: Any = None
        self.known_by: Optional[Plugin] = None


def _forget(package: str) -> Dict[str, Any]:
    """Take a plug-in's modules out of sys.modules, as hosts do; return them."""
    names = [name for name in sys.modules if name == package or name.startswith(package + ".")]
    return {name: sys.modules.pop(name) for name in names}


def _remember(name: str, module: Any) -> None:
    """Put a module back into sys.modules and into its parent package."""
    sys.modules[name] = module
    parent, _, tail = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], tail, module)
