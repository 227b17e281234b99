"""mini_host as a host: it treats plug-ins as QGIS does, and survives what they do wrong.

Each test starts it in a process of its own with plug-ins that it writes, one of which plays the user. What they print
comes back as lines.
"""

import textwrap

import pytest

from lib import demo_server  # from scripts/, which `vendored` has put on the path when conftest imported it
from mini_host_user import MINI_HOST

TRACE = """
    from qtpy.QtCore import QCoreApplication, QThread

    class Plugin:
        def initGui(self):
            print("initGui, loop level", QThread.currentThread().loopLevel())
            QCoreApplication.instance().aboutToQuit.connect(lambda: print("aboutToQuit"))

        def unload(self):
            print("unload, loop level", QThread.currentThread().loopLevel())

    def classFactory(host):
        return Plugin()
"""


def test_plugins_start_before_the_loop_and_are_unloaded_after_it(mini_host):
    """The order of QGIS: initGui() at loop level 0; aboutToQuit, then unload()."""
    assert mini_host("", trace=TRACE) == [
        "a_user is loaded",
        "initGui, loop level 0",
        "trace is loaded",
        "aboutToQuit",
        "unload, loop level 0",
        "trace is unloaded",
        "a_user is unloaded",
    ]


COUNTED = """
    from . import part

    class Plugin:
        def initGui(self):
            part.starts.append(1)
            print("starts of this module:", len(part.starts))

        def unload(self):
            pass

    def classFactory(host):
        return Plugin()
"""


def test_reload_imports_the_plugin_and_its_submodules_afresh(mini_host, tmp_path):
    """Nothing of a plug-in's modules is left in sys.modules by unloading it."""
    part = tmp_path / "plugins" / "counted"
    part.mkdir(parents=True)
    (part / "part.py").write_text("starts = []\n")
    (part / "__init__.py").write_text(textwrap.dedent(COUNTED))
    lines = mini_host(
        """
        yield lambda: "counted" in host.plugins.running
        old = sys.modules["counted.part"]
        host.plugins.reload("counted")
        print("a new module:", sys.modules["counted.part"] is not old)
        host.plugins.unload("counted")
        print("left:", [name for name in sys.modules if name.startswith("counted")])
        """
    )
    assert [line for line in lines if not line.startswith("a_user")] == [
        "starts of this module: 1",
        "counted is loaded",
        "counted is unloaded",
        "starts of this module: 1",
        "counted is loaded",
        "a new module: True",
        "counted is unloaded",
        "left: []",
    ]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param("1 / 0", "broken could not be loaded", id="import fails"),
        pytest.param("x = 1", "broken could not be loaded", id="no classFactory"),
        pytest.param(TRACE.replace("def initGui", "def x"), "broken could not be loaded", id="no initGui"),
        pytest.param(
            TRACE.replace('print("initGui, loop level", QThread.currentThread().loopLevel())', "1 / 0"),
            "broken could not be loaded",
            id="initGui fails",
        ),
        pytest.param(TRACE.replace('print("unload', '1 / 0; ("'), "broken failed in unload()", id="unload fails"),
    ],
)
def test_a_broken_plugin_is_logged_and_the_host_goes_on(mini_host, source, said):
    """The log names the plug-in and shows the traceback; the others are loaded, and the host quits with 0."""
    lines = mini_host("", broken=source, other=TRACE)
    assert said in lines
    assert "Traceback (most recent call last):" in lines
    assert "other is loaded" in lines
    assert "other is unloaded" in lines


def test_an_exception_in_a_slot_goes_to_the_log(mini_host):
    """PyQt ends a program whose slot raises, unless the host has an excepthook."""
    lines = mini_host(
        """
        QTimer.singleShot(0, lambda: 1 / 0)
        yield lambda: "ZeroDivisionError" in host.window.log_panel.toPlainText()
        print("the log shows it")
        """
    )
    assert "the log shows it" in lines


def test_what_any_thread_logs_is_shown_in_the_log_panel(mini_host):
    """Python's logging reaches the panel, in the GUI thread, from wherever it comes."""
    lines = mini_host(
        """
        import logging, threading
        threading.Thread(target=logging.warning, args=["from a thread"]).start()
        yield lambda: "from a thread" in host.window.log_panel.toPlainText()
        print("the log shows it")
        """
    )
    assert "the log shows it" in lines


def test_the_buttons_load_unload_and_reload_the_selected_plugin(mini_host):
    """What the manager can do, the window's buttons do."""
    lines = mini_host(
        """
        window = host.window
        yield lambda: "trace" in host.plugins.running
        window._plugin_list.setCurrentRow(host.plugins.available().index("trace"))
        for button in (window._unload, window._load, window._reload):
            button.click()
            print("load unload reload:", [b.isEnabled() for b in (window._load, window._unload, window._reload)])
        """,
        trace=TRACE,
    )
    assert [line for line in lines if line.startswith(("trace", "load"))] == [
        "trace is loaded",
        "trace is unloaded",
        "load unload reload: [True, False, False]",
        "trace is loaded",
        "load unload reload: [False, True, True]",
        "trace is unloaded",
        "trace is loaded",
        "load unload reload: [False, True, True]",
        "trace is unloaded",
    ]


def test_example_plugins_download_and_leave_nothing_after_five_reloads_at_work(mini_host):
    """Two copies of asyncslot side by side; reloaded while busy, they leave no descriptor and no thread."""
    with demo_server.serving() as server:
        lines = mini_host(
            f"""
            def fill_in_and_start():
                downloader, mosaic = (host.plugins.running[name].dock for name in ("downloader", "mosaic"))
                downloader.url.setText("{server}/file")
                mosaic.url.setText("{server}/tiles/{{x}}/{{y}}.png")
                downloader.start.click()
                mosaic.button.click()
                return downloader, mosaic
            yield lambda: len(host.plugins.running) == 3
            before = footprint()
            for _ in range(5):
                downloader, mosaic = fill_in_and_start()
                yield lambda: downloader.progress.value() > 0 and mosaic.picture.tiles
                for name in ("downloader", "mosaic"):
                    print("reloaded:", host.plugins.reload(name))
            end = time.monotonic() + 5
            yield lambda: footprint() == before or time.monotonic() > end
            print("the same footprint:", footprint() == before or (before, footprint()))
            downloader, mosaic = fill_in_and_start()
            yield lambda: "SHA-256" in downloader.result.text() and len(mosaic.picture.tiles) == 48
            print(downloader.result.text().replace(" ", ""))
            """,
            downloader=MINI_HOST / "plugins" / "downloader",
            mosaic=MINI_HOST / "plugins" / "mosaic",
        )
    assert lines.count("reloaded: True") == 10
    assert "the same footprint: True" in lines
    assert f"SHA-256{demo_server.FILE_SHA256}" in lines
    reports = [line for line in lines if ": detached in" in line]
    assert len(reports) == 12
    assert all("0 tasks abandoned" in line for line in reports)


def test_example_plugin_whose_server_is_gone_says_so(mini_host):
    """A refused connection ends in the dock, not in the log."""
    lines = mini_host(
        """
        yield lambda: len(host.plugins.running) == 3
        downloader, mosaic = (host.plugins.running[name].dock for name in ("downloader", "mosaic"))
        downloader.url.setText("http://127.0.0.1:9/file")
        mosaic.url.setText("http://127.0.0.1:9/{x}/{y}.png")
        downloader.start.click()
        mosaic.button.click()
        yield lambda: downloader.result.text().startswith("Failed") and mosaic.state.text().startswith("Failed")
        yield wait(0.1)
        print("Traceback" in host.window.log_panel.toPlainText())
        """,
        downloader=MINI_HOST / "plugins" / "downloader",
        mosaic=MINI_HOST / "plugins" / "mosaic",
    )
    assert "False" in lines
