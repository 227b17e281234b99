"""`python -m asyncslot COMMAND`: the commands that this package offers at a terminal.

They also run from a copy: `python -m my_plugin._vendor.asyncslot COMMAND`. This module only knows which module has
which command; each of those reads its own options. Nothing imports this module in a host.
"""

from __future__ import annotations

import sys
from typing import Optional, Sequence

from .tools import _doctor, _vendoring

COMMANDS = {
    "doctor": _doctor.main,
    "vendor": _vendoring.main,
}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command that the first argument names; return its exit code, or 2 if there is no such command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    prog = f"python -m {__package__}"
    if words and words[0] in COMMANDS:
        return COMMANDS[words[0]](words[1:], f"{prog} {words[0]}")
    usage = f"usage: {prog} {{{','.join(COMMANDS)}}} ...\n--help after one of these tells more."
    is_question = words[:1] in (["-h"], ["--help"])
    print(usage, file=sys.stdout if is_question else sys.stderr)
    return 0 if is_question else 2


if __name__ == "__main__":
    sys.exit(main())
