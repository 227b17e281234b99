"""host_adapters/ida.py: what is not the same in all stand-ins, which test_stand_in_hosts.py has."""

from asyncslot.host_adapters import ida as adapter


def test_the_main_window_is_found_by_its_class(app):
    """Among other main windows, as plug-ins have them."""
    from qtpy import QtWidgets

    other = QtWidgets.QMainWindow()
    window = type("IDAMainWindow", (QtWidgets.QMainWindow,), {})()
    assert adapter.gui_parent() is window
    for each in (other, window):
        each.deleteLater()
