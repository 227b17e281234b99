"""Async search for FreeCAD. FreeCAD imports this in every mode, and `init_gui` only where it has a window."""
