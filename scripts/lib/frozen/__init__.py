"""The programs that scripts/frozen.py freezes."""
