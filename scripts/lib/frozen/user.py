"""The user of examples/minimal_gui.py when scripts/frozen.py runs it: clicks, closes the message box, and quits.

Imported by the frozen program before the example's own code, and does it from a timer.
"""

import time

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMessageBox, QPushButton

_LONGEST = 20.0  # seconds


class User:
    """Looks at the windows now and then."""

    def __init__(self):
        self._application = QApplication.instance()
        self._end = time.monotonic() + _LONGEST
        self._has_clicked = False
        self._timer = QTimer()
        self._timer.timeout.connect(self.look)
        self._timer.start(20)

    def look(self):
        windows = self._application.topLevelWidgets()
        box = next((each for each in windows if isinstance(each, QMessageBox) and each.isVisible()), None)
        if time.monotonic() > self._end:
            self._application.exit(3)
        elif box is not None:
            print("the message box says", box.text(), flush=True)
            box.close()
            self._timer.stop()
            self._application.quit()
        elif not self._has_clicked:
            self._has_clicked = True
            next(each for each in windows if isinstance(each, QPushButton)).click()


def _run_with_user(*_):
    user = User()
    code = _run()
    del user
    return code


_run = QApplication.exec
QApplication.exec = _run_with_user
