"""Other people's packages that this plug-in brings along: `python3 scripts/vendor.py` puts asyncslot here."""
