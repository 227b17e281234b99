"""Which Qt loop nested mode runs: the application's own, or a QEventLoop.

Where a Qt loop runs already, or in a thread that is not the application's, run_forever() runs a QEventLoop. Where
no Qt loop runs yet, the run is the application's own, and only QCoreApplication.exec() will do. Without it Qt
emits neither lastWindowClosed nor aboutToQuit, and in Qt 6 quit() does nothing. All three ask whether exec() runs,
and Qt cannot be told so from outside (qcoreapplication.cpp, qguiapplication.cpp: `in_exec`; 5.15 and 6.12, 2026-11).

To make exec() return we must call QCoreApplication.exit(), and then Qt emits aboutToQuit. That is right where the
application quits, and wrong where a coroutine has merely ended: asyncio.run() alone runs its loop four times, and
programs save and close things at aboutToQuit. So we keep this rule:

    aboutToQuit is emitted when the application quits, and only then: by quit(), exit(), the last window or the
    session. When a run ends by itself we *leave* exec(): the application's signals are blocked from our exit()
    until exec() has returned.

Our exit() must not follow another one that has just been called, because it would replace that one's exit code.
So we do not call it in the step that ends the run. We wait until Qt is about to sleep (aboutToBlock) for the second
time, in the loop that we have started:

- Qt begins another turn only if nobody has called exit() in the turn before;
- GLib's dispatcher emits aboutToBlock at the beginning of a turn, others at its end. Between two emissions Qt has
  delivered all events that were posted before the first: the last window posts an event that makes the application
  quit;
- Windows' dispatcher emits no aboutToBlock while a 0 ms timer of the program's runs. So a timer of ours counts, too;
- dialogs that are still open are loops of their own, and go on until they are closed.

With Qt's own dispatcher on Unix, nothing is handled between our exit() and the return of exec(). Other dispatchers
may handle events that have come in at the same moment.
"""

from __future__ import annotations

from typing import Any, Optional

from ._binding import disconnect, run_qt_loop

# The code of our exit(), one that nobody else uses.
_LEFT = -0x0A51

# Milliseconds from one check to the next, where Qt never emits aboutToBlock.
_LOOK_AGAIN_MS = 20


def choose_run(qt_core: Any) -> Any:
    """Return the run that run_forever() needs here and now."""
    thread = qt_core.QThread.currentThread()
    if thread.loopLevel() == 0 and thread == qt_core.QCoreApplication.instance().thread():
        return ApplicationRun(qt_core)
    return NestedRun(qt_core)


class ApplicationRun:
    """QCoreApplication.exec(), which can be left without quitting."""

    is_applications = True

    def __init__(self, qt_core: Any) -> None:
        self._qt_core = qt_core
        self._application = qt_core.QCoreApplication.instance()
        self._is_running = False
        self._dispatcher: Any = None  # Qt's dispatcher, while we wait for its aboutToBlock
        self._on_block: Any = None  # our slot for that; to disconnect it we need the very object
        self._timer: Any = None  # calls the slot where Qt never emits aboutToBlock
        self._times = 0  # how often the slot was called, in a row, in the loop that we have started
        # None before leave() has called exit(); then, whether the application's signals had been blocked before.
        self._were_blocked: Optional[bool] = None

    def exec(self) -> Optional[int]:
        """Run; return the application's exit code if it has quit, None if leave() was called."""
        self._is_running = True
        try:
            code = run_qt_loop(self._application)
        finally:
            self._is_running = False
            self._stop_waiting()
            was_left = self._were_blocked is not None
            if was_left:
                self._application.blockSignals(self._were_blocked)
        if not was_left:
            return code
        if code == _LEFT:
            return None
        # Somebody else has called exit() after us, and Qt has emitted this signal while signals were blocked.
        self._application.aboutToQuit.emit()
        return code

    def leave(self) -> None:
        """Have exec() return soon, without quitting, once no nested Qt loop runs any more."""
        if self._is_running and self._dispatcher is None and self._were_blocked is None:
            self._times = 0
            self._dispatcher = self._qt_core.QAbstractEventDispatcher.instance()
            self._on_block = self._on_about_to_block
            self._dispatcher.aboutToBlock.connect(self._on_block)
            self._timer = self._qt_core.QTimer()
            self._timer.timeout.connect(self._on_block)
            self._timer.start(_LOOK_AGAIN_MS)

    def end(self) -> None:
        """Have the application quit, nested Qt loops and all."""
        self._application.exit(1)

    def _on_about_to_block(self) -> None:
        if self._qt_core.QThread.currentThread().loopLevel() != 1:
            self._times = 0
            return
        self._times += 1
        if self._times == 1:
            self._dispatcher.wakeUp()
        elif self._times == 2:
            self._were_blocked = self._application.blockSignals(True)
            self._application.exit(_LEFT)

    def _stop_waiting(self) -> None:
        dispatcher, self._dispatcher = self._dispatcher, None
        if dispatcher is not None:
            disconnect(dispatcher.aboutToBlock, self._on_block)
            self._timer.stop()
            disconnect(self._timer.timeout, self._on_block)
            self._timer = self._on_block = None


class NestedRun:
    """A QEventLoop."""

    is_applications = False

    def __init__(self, qt_core: Any) -> None:
        self._qt_loop = qt_core.QEventLoop()

    def exec(self) -> Optional[int]:
        """Run; return -1 if Qt refuses to, because the application is quitting."""
        return run_qt_loop(self._qt_loop)

    def leave(self) -> None:
        """Have exec() return soon, once no Qt loop nested in it runs any more."""
        self._qt_loop.quit()

    end = leave


class NoRun:
    """The run that stands for a Qt loop while Qt's events are handled one by one, or Qt is gone."""

    is_applications = False

    def leave(self) -> None:
        """Do nothing: the code that handles the events checks by itself whether it is to end."""

    end = leave
