"""How many seconds a test waits for what must come: on however busy a machine, only what hangs takes longer.

pytest's own limit in pyproject.toml is above them, so that a test says what it has waited for.
"""

FOR_THE_LOOP = 60.0
FOR_A_PROGRAM = 300.0
