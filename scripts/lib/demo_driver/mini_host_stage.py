"""How the demo's user works in mini_host: a downloader, and a mosaic of tiles."""

from qtpy.QtCore import QTimer


class MiniHostStage:
    names = ("downloader", "mosaic")

    def __init__(self, host, script):
        self._host = host
        self._script = script
        self.heartbeat = host.heartbeat

    def start_timer(self, interval_ms, callback):
        timer = QTimer(self._host.window)
        timer.timeout.connect(callback)
        timer.start(interval_ms)
        return timer

    def window(self):
        return self._host.window

    def prepare(self):
        pass  # the window is as it should be

    def both_run(self):
        return set(self.names) <= set(self._host.plugins.running)

    def reload(self, name):
        return self._host.plugins.reload(name)

    def quit(self):
        self._host.quit()

    def fill_in(self, name):
        path = {"downloader": "/file", "mosaic": "/tiles/{x}/{y}.png"}[name]
        self._dock(name).url.setText(self._script["server"] + path)

    def start(self, name):
        dock = self._dock(name)
        button = dock.start if name == "downloader" else dock.button
        button.click()

    def stop(self, name):
        dock = self._dock(name)
        button = dock.stop if name == "downloader" else dock.button
        button.click()

    def is_busy(self, name):
        dock = self._dock(name)
        return dock.stop.isEnabled() if name == "downloader" else dock.button.text() == "Stop"

    def progress(self, name):
        dock = self._dock(name)
        if name == "downloader":
            return max(0, dock.progress.value()) / dock.progress.maximum()
        return len(dock.picture.tiles) / self._script["tiles"]

    def verdict(self, name):
        """Return whether all of it has come, and what there is to say about it."""
        if name == "mosaic":
            count = len(self._dock(name).picture.tiles)
            return count == self._script["tiles"], f"mosaic: {count} of {self._script['tiles']} tiles"
        shown = self._dock(name).result.text()
        is_right = self._script["sha256"] in shown.replace(" ", "")
        return is_right, f"downloader: {shown.splitlines()[0]}, their SHA-256 is {'right' if is_right else 'wrong'}"

    def verdict_stopped(self, name):
        shown = self._dock(name).result.text()
        return shown == "Stopped", f"{name}, after its Stop button: {shown}"

    def _dock(self, name):
        return self._host.plugins.running[name].dock
