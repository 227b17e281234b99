# What types-houdini 21.0.512.3 has under another name. Source: SideFX's reference on hou.logging.

class logging:
    LogEntry = _logging_LogEntry  # noqa: F821 (of the stub)
