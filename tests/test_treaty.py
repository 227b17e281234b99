"""The treaty: what a copy may ask of a loop, an owner and a lease that another copy, of another version, has made.

TREATY is the whole list. The code is read, and whatever it asks besides is found here, by module and line, before a
plug-in's author finds it, who has vendored another version than his neighbour. A name that goes from the list or
changes its meaning makes another PROTOCOL.

What is another copy's is known by its name: `loop`, `owner`, `lease`, `place`, with or without an underscore, and by
what such a name was assigned to. Where that is a copy's own thing, OWN says so. What begins with `_as_` is the loop's,
whatever it is asked of, also in a string.

    python tests/test_treaty.py     lists all that is asked, and where
"""

import ast
import asyncio
import re
import threading
from collections import Counter
from pathlib import Path

import pytest

import asyncslot
from asyncslot import _meeting

pytestmark = pytest.mark.once

PACKAGE = Path(__file__).resolve().parent.parent / "asyncslot"

# What the treaty has, with what it means; a kind of thing that is part of another has its name below.
TREATY = vars(_meeting).get("TREATY") or {
    "place": {
        "protocol": "the number that decides whether copies understand each other",
        "version": "of the copy that opened the place, for people",
        "path": "of that copy, for people",
        "loop": "the loop that all share",
        "leases": "by owner",
        "ending": "leases that have ended and wait for a step of their owner's to be over",
    },
    "loop": {
        "_as_batch": "handles that the step under way has still to run",
        "_as_detach": "(); be called by Qt no more",
        "_as_failed_polls": "how many in a row",
        "_as_forget": "(owner); drop what it has scheduled and registered, and describe the latter",
        "_as_handle": "the one that is being run",
        "_as_idle": "whether it waits, with nothing to do",
        "_as_is_alone_for": "(owner); whether no Qt loop runs while this owner's code is waited for",
        "_as_longest": "seconds and name of the callback that went furthest over the budget",
        "_as_monitor": "the monitor's window, whoever has opened it",
        "_as_notice_end_of_qt": "(); see whether the application is gone",
        "_as_on_overrun": "set: called with seconds and name of a callback that went over the budget",
        "_as_owner": "the context variable that carries the owner",
        "_as_run_alone": "(is_done, deadline, owner); run asyncio without Qt until then",
        "_as_run_now": "(handle); run it in a step of its own; and is replaced by who measures",
        "_as_run_with_events": "(is_done, deadline); the same with Qt's events, the user's excluded",
        "_as_stack": "handles that outer steps are running",
        "_as_step": "that it is there tells a loop of ours from others",
        "_as_stop_accepting": "(server); let it take no connection more",
        "_as_take_leave": "(owner); know it no more",
        "_as_wait": "how Qt calls it; None if it is not attached",
        "_as_welcome": "(owner, package, copy); know it by its package",
        "_as_when_unwound": "(fn); call it when nothing of ours is on the stack",
        "_ready": "asyncio's: handles to be run next",
        "_scheduled": "asyncio's: timers",
        "_selector": "asyncio's",
        "_thread_id": "asyncio's: of the thread to which it is attached",
        "run_task": "(coro); a task that has had its first step",
        "step_budget": "seconds",
    },
    "wait": {
        "_notifier": "that it is there tells one way of waiting from the other",
        "_step": "what it calls for a step; replaced by who measures",
        "_thread": "None as long as none was needed",
    },
    "monitor": {
        "show_again": "(); bring the window to the front; false if it is gone",
        "window": "the QDockWidget or QDialog",
    },
    "owner": {
        "async_generators": "a weak set",
        "context": "(); a copy of the caller's context, in which this is the owner",
        "exception_handler": "what its code has given to loop.set_exception_handler()",
        "executor": "of its jobs; None before the first",
        "name": "for people",
        "owns": "(handle); whether its code has scheduled it",
        "pending": "(); its tasks that are not done",
        "report": "(message, exc); where the host's users look",
        "resources": "a weak set of what is closed with its lease; each has is_closing() and close(), or is a server",
        "tasks": "a weak set",
    },
    "executor": {
        "abandon": "(); drop the jobs that wait and the results of those that run, and describe the latter",
        "_jobs": "a queue of those that wait for a thread",
        "_running": "functions by thread",
    },
    "lease": {
        "_hand_over": "(fn, again); let its thread answer an emission",
        "_owner": "the Owner",
        "_start": "(fn, args); start a slot's task",
        "_tasks": "those that were made through it and are not done",
    },
}

# What any asyncio loop has, and what is public and documented: no treaty is needed for these.
PUBLIC = {
    "loop": [
        *("call_at", "call_exception_handler", "call_later", "call_soon", "call_soon_threadsafe", "close"),
        *("create_future", "create_task", "get_debug", "is_closed", "run_in_executor", "time"),
    ],
    "lease": ["create_task", "detach", "host", "is_attached", "loop", "owner", "run_task", "run_until_complete"],
}

# What an expression stands for, by its last name, and a call by its function's; leading underscores do not count.
NAMES = re.compile(r"_*(loop|owner|lease|place|executor)$")
FUNCTIONS = re.compile(r"(?:.*_)?(?<!qt_)(loop|owner|lease|place)(?:_of)?$|_*(?:(here)|(find_anywhere|find_starter))$")
COLLECTIONS = {"leases": "lease"}

# What is kept by another thing, and is the same copy's.
PARTS = {
    ("loop", "_as_wait"): "wait",
    ("loop", "_as_monitor"): "monitor",
    ("owner", "executor"): "executor",
    ("lease", "_owner"): "owner",
    ("lease", "loop"): "loop",
    ("place", "loop"): "loop",
}

# The loop, which all share, in parts: these meet others' owners, and no more. And what runs at a terminal.
LOOP = [
    *("_alone", "_base", "_interrupts", "_loop", "_nesting", "_overruns", "_owners", "_polling", "_selector"),
    *("_selector_loop", "_steps", "_tasks", "_unix", "_windows", "_wait", "_wait_notifier", "_wait_thread"),
]
AT_A_TERMINAL = ["__main__", "_doctor", "_vendor_record", "_vendor_source", "_vendoring"]

# Names that look like another copy's and are not: (module, or module.function; text): what it is.
OWN = {
    ("_attach.attach", "loop"): "just made",
    ("_binding", "owner"): "the object whose a signal is",
    ("_detach", "owner"): "made by its lease",
    ("_detach", "self._owner"): "made by its lease",
    ("_lease", "self._owner"): "made by itself",
    ("_loop", "executor"): "a caller's, or made by itself",
    ("_loop", "self._default_executor"): "made by itself",
    ("_monitor._cancel", "place"): "where a task stands",
    ("_monitor._row", "place"): "where a task stands",
    ("_progress", "self._owner"): "made by its lease",
    ("_runner", "loop"): "made by itself",
}

# What is there only at times, or in one way of waiting.
AT_TIMES = {("loop", "_as_monitor"), ("wait", "_notifier"), ("wait", "_thread")}


class Finding:
    """That a module asks something: `kind` of thing, `name` of what is asked."""

    def __init__(self, module, node, kind, name):
        self.module, self.line, self.kind, self.name = module, node.lineno, kind, name

    def __repr__(self):
        return f"asyncslot/{self.module}.py:{self.line} asks {self.name!r} of a {self.kind}"


class Reader:
    """Finds in one module what it asks of things that may be another copy's."""

    def __init__(self, module, source):
        self.module = module
        self.nodes = list(nodes_with_their_functions(ast.parse(source), ""))
        self.function = ""  # in which we are
        self.aliases = {}
        self.own_uses = set()

    def find(self):
        """Return what is asked, in the order of lines."""
        for function, node in self.nodes:
            self.function = function
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                self._learn_aliases(node)
        found = []
        for function, node in self.nodes:
            self.function = function
            found += self._findings_of(node)
        if self.module in LOOP:
            found = [finding for finding in found if finding.kind in ("owner", "lease", "executor")]
        return sorted(found, key=lambda finding: finding.line)

    def _learn_aliases(self, node):
        """Note what is called otherwise: `wait = loop._as_wait`, `opened = self._monitor = loop._as_monitor`."""
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = zip(target.elts, node.value.elts)
            for name, value in pairs:
                kind = self.kind_of(value)
                if kind is not None and dotted(name) and self.kind_of(name) is None:
                    self.aliases[self._scope(name), dotted(name)] = kind

    def _scope(self, node):
        return self.function if isinstance(node, ast.Name) else ""

    def is_own(self, node):
        """Whether OWN says that it is this copy's."""
        for where in (self.module, f"{self.module}.{self.function}"):
            if (where, dotted(node)) in OWN:
                self.own_uses.add((where, dotted(node)))
                return True
        return False

    def kind_of(self, node):
        """Return what an expression stands for, None for what is nobody else's."""
        if self.is_own(node):
            return None
        text = dotted(node)
        if (self._scope(node), text) in self.aliases:
            return self.aliases[self._scope(node), text]
        if isinstance(node, ast.Attribute) and (self.kind_of(node.value), node.attr) in PARTS:
            return PARTS[self.kind_of(node.value), node.attr]
        if text:
            return matched(NAMES, text)
        if isinstance(node, ast.Subscript):
            return self._kind_in(node.value, node)
        if isinstance(node, (ast.BoolOp, ast.IfExp)):
            parts = node.values if isinstance(node, ast.BoolOp) else [node.body, node.orelse]
            return next(filter(None, map(self.kind_of, parts)), None)
        return self._kind_of_call(node) if isinstance(node, ast.Call) else None

    def _kind_of_call(self, node):
        function, arguments = dotted(node.func), node.args
        if function == "type" and arguments:
            return self.kind_of(arguments[0])
        if function == "next" and arguments:
            return self._members_of(arguments[0])
        if function == "getattr" and len(arguments) > 1:
            return PARTS.get((self.kind_of(arguments[0]), literal(arguments[1])))
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "pop"):
            return self._kind_in(node.func.value, node)
        return matched(FUNCTIONS, function)

    def _kind_in(self, container, node):
        """Return what `container[...]` is, or `container.get(...)`."""
        return PARTS.get(("place", key(node))) if is_record(container) else self._members_of(container)

    def _members_of(self, node):
        """Return what kind of things an expression holds, if it is `leases`, its values, or a list of them."""
        if not isinstance(node, ast.Call):
            return COLLECTIONS.get(dotted(node).rpartition(".")[2])
        if dotted(node.func) in ("list", "iter", "reversed") and node.args:
            return self._members_of(node.args[0])
        return self._members_of(node.func.value) if getattr(node.func, "attr", "") == "values" else None

    def _findings_of(self, node):
        if isinstance(node, ast.Attribute):
            yield from self._asked(node, node.value, node.attr)
        elif isinstance(node, ast.Call) and dotted(node.func) in ("getattr", "hasattr", "setattr", "delattr"):
            # What begins with _as_ is found as a string.
            if not literal(node.args[1]).startswith("_as_"):
                yield from self._asked(node, node.args[0], literal(node.args[1]) or "<computed>")
        elif literal(node).startswith("_as_"):
            yield Finding(self.module, node, "loop", literal(node))
        if isinstance(node, ast.Subscript) and is_record(node.value):
            yield Finding(self.module, node, "place", key(node) or "<computed>")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_record(node.func.value):
            yield Finding(self.module, node, "place", key(node) or f"<{node.func.attr}>")

    def _asked(self, node, value, name):
        kind = self.kind_of(value)
        if name.startswith("_as_"):
            if not self.is_own(value):
                yield Finding(self.module, node, "loop", name)
        elif kind is not None and not name.startswith("__"):
            yield Finding(self.module, node, kind, name)


def nodes_with_their_functions(node, function):
    """Yield everything in a tree, with the name of the innermost function in which it stands."""
    for child in ast.iter_child_nodes(node):
        inner = child.name if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
        yield inner, child
        yield from nodes_with_their_functions(child, inner)


def matched(pattern, text):
    """Return the kind that a name stands for."""
    match = pattern.match(text.rpartition(".")[2])
    found = match and next(filter(None, match.groups()))
    return {"here": "place", "find_anywhere": "lease", "find_starter": "lease"}.get(found, found)


def dotted(node):
    """Return `a.b.c` for such an expression, else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return f"{head}.{node.attr}" if head else ""
    return ""


def literal(node):
    """Return the text that a node stands for, empty if it is no string literal (3.7 has a node class of its own)."""
    value = node.value if hasattr(node, "value") and type(node).__name__ == "Constant" else getattr(node, "s", None)
    return value if isinstance(value, str) else ""


def key(node):
    """Return the literal key of `record["key"]` and `record.get("key")`."""
    if isinstance(node, ast.Call):
        return literal(node.args[0]) if node.args else ""
    return literal(getattr(node.slice, "value", node.slice)) or literal(node.slice)  # ast.Index, below Python 3.9


def is_record(node):
    """Whether this is what hangs on asyncio: a dict that every copy understands."""
    return dotted(node) in ("record", "_record")


MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem not in AT_A_TERMINAL)


def read(module):
    """Return what a module asks, and which entries of OWN it needs."""
    reader = Reader(module, (PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    return reader.find(), reader.own_uses


def all_findings():
    return [finding for module in MODULES for finding in read(module)[0]]


def unlisted(findings):
    """Return what is neither in the treaty nor public."""
    return [
        finding
        for finding in findings
        if finding.name not in TREATY.get(finding.kind, {}) and finding.name not in PUBLIC.get(finding.kind, ())
    ]


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_asked_of_another_copy_that_is_not_in_the_treaty(module):
    """By attribute, by getattr() and its like, by a key; a line that fails here needs another way, or a PROTOCOL."""
    assert unlisted(read(module)[0]) == []


def test_the_treaty_has_nothing_that_nobody_asks():
    """It is kept for years, so it is short."""
    asked = {(finding.kind, finding.name) for finding in all_findings()}
    listed = {(kind, name) for names in (TREATY, PUBLIC) for kind in names for name in names[kind]}
    assert listed - asked == set()
    assert all(meaning for meanings in TREATY.values() for meaning in meanings.values())


def test_what_the_treaty_has_exists(lease, windows):
    """On the loop, the lease and the rest of a copy that is attached here."""
    loop, owner = lease.loop, lease._owner
    lease.run_until_complete(lease.to_thread(int))
    window = asyncslot.monitor()
    things = {"loop": loop, "owner": owner, "lease": lease, "executor": owner.executor}
    things.update(wait=loop._as_wait, monitor=loop._as_monitor)
    window.close()
    place = _meeting._all_places()[threading.get_ident()]
    for kind, names in TREATY.items():
        for name in set(names) - {name for other, name in AT_TIMES if other == kind}:
            assert name in place if kind == "place" else hasattr(things[kind], name), (kind, name)
    assert all(hasattr(lease, name) for name in PUBLIC["lease"])
    assert all(hasattr(asyncio.AbstractEventLoop, name) for name in PUBLIC["loop"])


def test_the_tables_name_nothing_that_is_not_there():
    """A copy's own things that are not asked any more, and modules that are gone."""
    assert {use for module in MODULES for use in read(module)[1]} == set(OWN)
    assert {*LOOP, *AT_A_TERMINAL} <= {path.stem for path in PACKAGE.glob("*.py")}
    assert all(name in TREATY[kind] for kind, name in AT_TIMES)


ASKED = {
    "loop._as_news": ["loop _as_news"],
    "self._lease.loop._as_news()": ["loop _as_news"],
    "anything._as_news = 1": ["loop _as_news"],
    "getattr(anything, '_as_news', None)": ["loop _as_news"],
    "vars(anything)['_as_news']": ["loop _as_news"],
    "loop._ready": [],
    "loop._news": ["loop _news"],
    "loop.call_soon(fn)": [],
    "loop.__class__": [],
    "asyncio.get_running_loop()._news": ["loop _news"],
    "def f(x):\n  x = asyncio.get_running_loop()\n  x._news": ["loop _news"],
    "run_qt_loop(loop).news": [],
    "qt_loop.news": [],
    "wait = loop._as_wait\nwait.news": ["wait news"],
    "self._x = loop._as_wait\ndef f(self):\n  self._x.news": ["wait news"],
    "def f(x):\n  x = loop._as_wait\ndef g(x):\n  x.news": [],
    "hasattr(lease._owner, 'news')": ["owner news"],
    "getattr(owner, name)": ["owner <computed>"],
    "self._owner.news": ["owner news"],
    "place.leases[name].news": ["lease news"],
    "(leases.get(a) or leases.get(b)).news": ["lease news"],
    "next(iter(leases.values()))._owner.news": ["owner news"],
    "x, y = leases[0], 1\nx.news": ["lease news"],
    "type(lease).news": ["lease news"],
    "find_lease(x).news": ["lease news"],
    "_meeting.here().news": ["place news"],
    "record['news']": ["place news"],
    "record.get('news')": ["place news"],
    "record[name]": ["place <computed>"],
    "record['loop'].news": ["loop news"],
}


@pytest.mark.parametrize("source", ASKED)
def test_reading_finds_what_is_asked(source):
    """However it is written; each of these would be new."""
    found = unlisted(Reader("a_module", source).find())
    assert [f"{finding.kind} {finding.name}" for finding in found] == ASKED[source]


@pytest.mark.parametrize("source", ["self._as_news", "loop._news", "owner.news"])
def test_the_loop_itself_may_ask_itself_everything_and_owners_nothing_new(source):
    """Its parts know it; whose owner it is, they do not."""
    assert len(unlisted(Reader(LOOP[0], source).find())) == source.startswith("owner")


if __name__ == "__main__":
    counts = {}
    for finding in all_findings():
        counts.setdefault((finding.kind, finding.name), Counter())[finding.module] += 1
    new = {(finding.kind, finding.name) for finding in unlisted(all_findings())}
    for (kind, name), modules in sorted(counts.items()):
        if name not in PUBLIC.get(kind, ()):
            remark = "   NOT IN THE TREATY" if (kind, name) in new else ""
            where = ", ".join(f"{module} {count}" for module, count in sorted(modules.items()))
            print(f"{kind:9} {name:20} {sum(modules.values()):3}  {where}{remark}")
