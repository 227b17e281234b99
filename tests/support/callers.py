"""asyncslot's functions, called as code of another module would call them: who calls decides what they do."""


def call_as(module, function, *args, **kwargs):
    """Call a function of asyncslot's from code of a module of that name."""
    namespace = {"__name__": module, "args": args, "kwargs": kwargs}
    exec(f"import asyncslot\nresult = asyncslot.{function}(*args, **kwargs)", namespace)
    return namespace["result"]
