"""What holds for any Qt application; a host of which something else is true has a function of the same name."""

from . import host


def of_host(name):
    """Return the host's own function of that name, or the one below."""
    return getattr(host, name, None) or globals()[name]


def is_ready():
    is_running = host.QtCore.QThread.currentThread().loopLevel() > 0
    return is_running and host.window() is not None and host.window().isVisible()


def when_quitting(callback):
    host.QtCore.QCoreApplication.instance().aboutToQuit.connect(callback)


def log_text():
    """What Python's logging writes to stderr."""
    with open("/proc/self/fd/2", encoding="utf-8", errors="replace") as output:
        return output.read()


def progress_display():
    """The dialog of our own."""
    windows = host.QtWidgets.QApplication.topLevelWidgets()
    dialogs = [each for each in windows if isinstance(each, host.QtWidgets.QProgressDialog) and each.isVisible()]
    return dialogs[0] if dialogs else None


def grab(path):
    """The window; the screen where the progress is a window of its own."""
    if hasattr(host, "progress_display"):
        host.window().grab().save(path)
    else:
        host.QtWidgets.QApplication.primaryScreen().grabWindow(0).save(path)
