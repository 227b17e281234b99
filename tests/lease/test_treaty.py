"""The treaty: what a copy may ask of a loop, an owner and a lease that another copy, of another version, has made.

TREATY (`_meeting`) is the whole list. The code is read, and whatever it asks besides is found here, by module and line,
before a plug-in's author finds it, who has vendored another version than his neighbour. A name that goes from the list
or changes its meaning makes another PROTOCOL.

What is another copy's is known by its name: `loop`, `owner`, `lease`, `executor`, with or without an underscore, the
record of a place, and by what such a name was assigned to. Where that is a copy's own thing, OWN says so. What begins
with `_as_` is the loop's, whatever it is asked of, also in a string. The modules that make a loop (LOOP) ask their own
loop, owners and executors what they like.

    python tests/lease/test_treaty.py     lists all that is asked, and where
"""

import ast
import asyncio
import functools
import inspect
import re
import threading
import types
from collections import Counter

import pytest

import asyncslot
from asyncslot import _meeting
from asyncslot._meeting import TREATY
from shipped_code import CORE, name_of

pytestmark = pytest.mark.once


# What any asyncio loop has, and what is documented: no treaty is needed for these.
ASYNCIO = {
    *("call_at", "call_exception_handler", "call_later", "call_soon", "call_soon_threadsafe", "create_future"),
    *("create_task", "get_debug", "is_closed", "run_in_executor", "time"),
}

# What an expression stands for, by its last name, and a call by its function's; leading underscores do not count.
NAMES = re.compile(r"_*(loop|owner|lease|place|executor|watch)$")
FUNCTIONS = re.compile(r"(?:.*_)?(?<!qt_)(loop|owner|lease|place)(?:_of)?$|_*(here)$")
COLLECTIONS = {"leases": "lease"}

# What is kept by another thing, and is the same copy's.
PARTS = {
    ("loop", "_as_stack"): "stack",
    ("loop", "_as_monitor"): "monitor",
    ("loop", "_as_watch"): "watch",
    ("owner", "executor"): "executor",
    ("lease", "_owner"): "owner",
    ("lease", "loop"): "loop",
    ("place", "loop"): "loop",
}

# What makes the loop, its owners and their executors, which are its own copy's. And what runs at a terminal.
LOOP = [
    *("_alone", "_asyncio", "_blame", "_interrupts", "_loop", "_owners", "_reads", "_selector", "_stack"),
    *("_steps", "_tasks", "_unix", "_wakeup", "_windows"),
]
OF_THE_LOOP = ("loop", "stack", "owner", "executor")
AT_A_TERMINAL = ["__main__", "tools._doctor", "tools._vendor_record", "tools._vendor_source", "tools._vendoring"]

# Names that look like another copy's and are not: (module, or module.function; text): what it is.
OWN = {
    ("_attach", "lease"): "given out by this copy, as all that _lease finds",
    ("_attach._open_place", "loop"): "just made",
    ("_binding", "owner"): "the object whose a signal is",
    ("_lease", "lease"): "given out by this copy",
    ("tools._monitor", "self._watch"): "made by itself",
    ("_runner", "loop"): "made by itself",
    ("testing.__enter__", "lease"): "given out by this copy",
}

# What is there only at times.
AT_TIMES = {("loop", "_as_monitor")}


class Finding:
    """That a module asks something: `kind` of thing, `name` of what is asked."""

    def __init__(self, module, node, kind, name):
        self.module, self.line, self.kind, self.name = module, node.lineno, kind, name

    def __repr__(self):
        return f"{self.module}, line {self.line}, asks {self.name!r} of a {self.kind}"


class Reader:
    """Finds in one module what it asks of things that may be another copy's."""

    def __init__(self, module, source):
        self.module = module
        self.nodes = list(nodes_with_their_functions(ast.parse(source), ""))
        imports = [node for _, node in self.nodes if isinstance(node, ast.ImportFrom) and node.module is None]
        self.modules = {alias.name for node in imports for alias in node.names}  # from . import _lease
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
            found = [finding for finding in found if finding.kind not in OF_THE_LOOP]
        return sorted(found, key=lambda finding: finding.line)

    def _learn_aliases(self, node):
        """Note what is called otherwise: `stack = loop._as_stack`, `opened = self._monitor = loop._as_monitor`."""
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
        if text in self.modules:
            return None
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
        elif kind not in (None, "place") and not name.startswith("__"):
            # A Place is this copy's view of the record that is shared, of which PARTS and subscripts tell.
            yield Finding(self.module, node, kind, name)


def nodes_with_their_functions(node, function):
    """Yield everything in a tree, with the name of the innermost function in which it stands."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.AnnAssign) and dotted(child.target) == "TREATY":
            continue  # to list is not to ask
        inner = child.name if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
        yield inner, child
        yield from nodes_with_their_functions(child, inner)


def matched(pattern, text):
    """Return the kind that a name stands for."""
    match = pattern.match(text.rpartition(".")[2])
    found = match and next(filter(None, match.groups()))
    return "place" if found == "here" else found


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


SOURCES = {name_of(path): path for path in CORE}
MODULES = sorted(set(SOURCES) - set(AT_A_TERMINAL))


def read(module):
    """Return what a module asks, and which entries of OWN it needs."""
    reader = Reader(module, SOURCES[module].read_text(encoding="utf-8"))
    return reader.find(), reader.own_uses


def all_findings():
    return [finding for module in MODULES for finding in read(module)[0]]


def is_of_asyncio(finding):
    return finding.kind == "loop" and finding.name in ASYNCIO


def unlisted(findings):
    """Return what is neither in the treaty nor asyncio's."""
    return [
        finding
        for finding in findings
        if finding.name not in TREATY.get(finding.kind, {}) and not is_of_asyncio(finding)
    ]


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_asked_of_another_copy_that_is_not_in_the_treaty(module):
    """By attribute, by getattr() and its like, by a key; a line that fails here needs another way, or a PROTOCOL."""
    assert unlisted(read(module)[0]) == []


def test_the_treaty_has_nothing_that_nobody_asks():
    """It is kept for years, so it is short."""
    asked = {(finding.kind, finding.name) for finding in all_findings()}
    listed = {(kind, name) for kind in TREATY for name in TREATY[kind]} | {("loop", name) for name in ASYNCIO}
    assert listed - asked == set()
    assert not ASYNCIO & set(TREATY["loop"])


@pytest.fixture
def things(lease, windows):
    """Return what the treaty is about, by kind: of a copy that is attached, has run a job, and shows its monitor."""
    lease.run_until_complete(lease.to_thread(int))
    window = asyncslot.monitor()
    loop, owner = lease.loop, lease._owner
    yield {
        "place": types.SimpleNamespace(**_meeting._all_places()[threading.get_ident()]),
        "loop": loop,
        "stack": loop._as_stack,
        "watch": loop._as_watch,
        "monitor": loop._as_monitor,
        "owner": owner,
        "executor": owner.executor,
        "lease": lease,
    }
    window.close()


@pytest.mark.parametrize("kind", TREATY)
def test_what_the_treaty_has_exists(things, kind):
    """On the loop, the lease and the rest of a copy that is attached here; the place has nothing else."""
    assert set(things) == set(TREATY)
    assert [name for name in TREATY[kind] if not hasattr(things[kind], name)] == []
    if kind == "place":
        assert set(vars(things[kind])) == set(TREATY[kind])


@pytest.mark.parametrize("kind", TREATY)
def test_what_is_called_takes_what_the_treaty_says(things, kind):
    """By these names and in this order, and wants no more; what is not called is described otherwise."""
    for name, meaning in TREATY[kind].items():
        thing = getattr(things[kind], name)
        told = re.match(r"\((.*?)\): .", meaning)
        assert (inspect.isroutine(thing) or isinstance(thing, functools.partial)) == bool(told), (kind, name)
        if told:
            names = [word.lstrip("*") for word in told.group(1).split(", ") if word]
            parameters = inspect.signature(thing).parameters
            has_default = {key: value.default is not value.empty for key, value in parameters.items()}
            assert names == [key for key in parameters if key in names or not has_default[key]], (kind, name)


@pytest.mark.parametrize("name", sorted(ASYNCIO))
def test_what_is_said_to_be_of_asyncio_is(name):
    """Any loop has it."""
    assert hasattr(asyncio.AbstractEventLoop, name)


def test_the_tables_name_nothing_that_is_not_there():
    """A copy's own things that are not asked any more, and modules that are gone."""
    assert {use for module in MODULES for use in read(module)[1]} == set(OWN)
    assert {*LOOP, *AT_A_TERMINAL} <= set(SOURCES)
    assert all(name in TREATY[kind] for kind, name in AT_TIMES)


ASKED = {
    "loop._as_news": ["loop _as_news"],
    "self._lease.loop._as_news()": ["loop _as_news"],
    "anything._as_news = 1": ["loop _as_news"],
    "getattr(anything, '_as_news', None)": ["loop _as_news"],
    "vars(anything)['_as_news']": ["loop _as_news"],
    "loop._thread_id": [],
    "loop._ready": ["loop _ready"],
    "loop._news": ["loop _news"],
    "loop.call_soon(fn)": [],
    "loop.__class__": [],
    "asyncio.get_running_loop()._news": ["loop _news"],
    "def f(x):\n  x = asyncio.get_running_loop()\n  x._news": ["loop _news"],
    "run_qt_loop(loop).news": [],
    "qt_loop.news": [],
    "x = loop._as_stack\nx.news": ["stack news"],
    "self._x = loop._as_stack\ndef f(self):\n  self._x.news": ["stack news"],
    "def f(x):\n  x = loop._as_stack\ndef g(x):\n  x.news": [],
    "hasattr(lease._owner, 'news')": ["owner news"],
    "getattr(owner, name)": ["owner <computed>"],
    "self._owner.news": ["owner news"],
    "owner.executor.news": ["executor news"],
    "place.leases[name].news": ["lease news"],
    "(leases.get(a) or leases.get(b)).news": ["lease news"],
    "next(iter(leases.values()))._owner.news": ["owner news"],
    "x, y = leases[0], 1\nx.news": ["lease news"],
    "type(lease).news": ["lease news"],
    "find_lease(x).news": ["lease news"],
    "_meeting.here().news": [],
    "_meeting.here().loop.news": ["loop news"],
    "next(iter(place.leases.values())).news": ["lease news"],
    "from . import _lease\n_lease.news": [],
    "from . import _lease\n_lease.find(x)[0]._owner.news": [],
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


@pytest.mark.parametrize("source", ["self._as_news", "loop._news", "owner.news", "owner.executor.news"])
def test_what_makes_the_loop_may_ask_everything_of_what_it_has_made(source):
    """A loop's owners are its own; a plug-in's lease makes none."""
    assert unlisted(Reader(LOOP[0], source).find()) == []


@pytest.mark.parametrize("source", ["lease.news", "record['news']"])
def test_what_makes_the_loop_may_ask_nothing_new_of_a_lease_or_place(source):
    """These are of whichever copy."""
    assert len(unlisted(Reader(LOOP[0], source).find())) == 1


if __name__ == "__main__":
    counts = {}
    for finding in all_findings():
        counts.setdefault((finding.kind, finding.name), Counter())[finding.module] += 1
    new = {(finding.kind, finding.name) for finding in unlisted(all_findings())}
    for (kind, name), modules in sorted(counts.items()):
        if kind != "loop" or name not in ASYNCIO:
            remark = "   NOT IN THE TREATY" if (kind, name) in new else ""
            where = ", ".join(f"{module} {count}" for module, count in sorted(modules.items()))
            print(f"{kind:9} {name:20} {sum(modules.values()):3}  {where}{remark}")
