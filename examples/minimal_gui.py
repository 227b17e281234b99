"""The smallest program: it owns its QApplication, and a button's click starts a coroutine function.

    pip install asyncslot[PyQt5] && python minimal_gui.py

Any Qt binding that QtPy supports will do. A plug-in, which does not own the application that it runs in, uses
`asyncslot.attach()` instead: see qgis_plugin/ and mini_host/plugins/.
"""

import asyncio
import sys

from qtpy.QtWidgets import QApplication, QMessageBox, QPushButton

import asyncslot


async def say_hi():
    # Up to the first await this runs inside the click, so a second click finds the button disabled.
    button.setEnabled(False)
    await asyncio.sleep(1)
    button.setEnabled(True)
    QMessageBox.information(button, "Demo", "Hi")


app = QApplication(sys.argv)
button = QPushButton("Say hi after one second")
button.clicked.connect(asyncslot.asyncSlot(say_hi))
button.show()

with asyncslot.AsyncSlotRunner():
    exit_code = app.exec()
sys.exit(exit_code)
