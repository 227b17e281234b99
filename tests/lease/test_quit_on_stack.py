"""The application quits while plug-ins' code is on the stack: a task calls quit(), or sits in a dialog.

On Qt 6 that is when `aboutToQuit` comes, and on Qt 5 when the stack has unwound; either way there is no Qt loop any
more for what is to be done then. Clean-up runs, and the host ends with 0 and without a word.
"""

import os

import pytest

from on_stack import PLACES, ending_in, sitting, work
from stories import IN_A_PROCESS, plugin, tell

pytestmark = pytest.mark.slow

# In a process of its own, which may import what lies beside this.
BESIDE_THIS = f"{IN_A_PROCESS}sys.path.insert(0, {os.path.dirname(__file__)!r})\n"


def close_the_window(window, alpha):
    window.close()


def app_quit(window, alpha):
    from qtpy import QtCore

    QtCore.QCoreApplication.quit()


def app_quit_twice(window, alpha):
    app_quit(window, alpha)
    app_quit(window, alpha)


def app_exit(window, alpha):
    from qtpy import QtCore

    QtCore.QCoreApplication.exit(0)


def quit_by_a_timer(window, alpha):
    from qtpy import QtCore

    QtCore.QTimer.singleShot(0, QtCore.QCoreApplication.instance().quit)


def detach_and_quit(window, alpha):
    alpha.detach()
    app_quit(window, alpha)


def quit_and_detach(window, alpha):
    app_quit(window, alpha)
    alpha.detach()


WAYS = [close_the_window, app_quit, app_exit, quit_by_a_timer, detach_and_quit]


def quit_in(place, quits, is_alone):
    """Be a host whose application quits in some place; look what has become of its plug-ins."""
    from qtpy import QtWidgets

    app = QtWidgets.QApplication.instance()
    # Not the last dialog's end, unless that is what is wanted.
    app.setQuitOnLastWindowClosed(quits is close_the_window)
    window = QtWidgets.QMainWindow()
    window.show()
    plugins = [plugin(name) for name in (["alpha"] if is_alone else ["alpha", "bravo"])]
    logs = [[] for _ in plugins]
    leases = []
    for each, log in zip(plugins, logs):
        each.host = None  # what is running
        leases.append(each.attach())
        leases[-1].run_task(work(log))
    alpha = plugins[0]

    tell(ending_in(place, alpha, lambda: quits(window, alpha), logs[0]), app=app)

    count = sitting(place)
    assert sorted(logs[0]) == ["returned"] * count + ["sit cleaned up"] * count + ["work cleaned up"], logs[0]
    assert is_alone or logs[1] == ["work cleaned up"], logs[1]
    assert not any(lease.is_attached for lease in leases)
    assert leases[0].loop.is_closed()
    reports = [each.detach() for each in plugins]
    assert reports == [lease.detach() for lease in leases]
    assert [report.abandoned for report in reports] == [[]] * len(plugins)
    assert [report.ended >= 1 for report in reports] == [True] * len(plugins)
    # The application can be run again, and its plug-ins loaded.
    lease = alpha.attach()
    task = lease.create_task(work([]))

    def again():
        yield lambda: alpha.lease.loop is not leases[0].loop
        report = alpha.detach()
        assert (report.ended, report.abandoned) == (1, [])

    tell(again())
    assert task.cancelled()


def told(run_python, place, quits, is_alone):
    call = f"test_quit_on_stack.quit_in({place!r}, test_quit_on_stack.{quits.__name__}, {is_alone})"
    done = run_python(f"{BESIDE_THIS}import test_quit_on_stack\n{call}\nprint('fine')")
    assert done.stdout.split() == ["fine"]
    # Qt itself complains of having no directory of its own here.
    assert [line for line in done.stderr.splitlines() if not line.startswith("QStandardPaths")] == []


@pytest.mark.parametrize("quits", WAYS)
@pytest.mark.parametrize("place", PLACES)
def test_clean_up_runs_when_the_application_quits_on_the_stack(run_python, place, quits):
    """All of it, and another plug-in's; the loop is closed, and each lease has its report."""
    told(run_python, place, quits, is_alone=False)


@pytest.mark.parametrize("quits", [app_quit_twice, detach_and_quit, quit_and_detach])
@pytest.mark.parametrize("place", PLACES)
def test_clean_up_of_the_only_plugin_runs_when_the_application_quits_on_the_stack(run_python, place, quits):
    """Nobody else's end keeps the loop going until its own has come."""
    told(run_python, place, quits, is_alone=True)
