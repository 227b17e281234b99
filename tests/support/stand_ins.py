"""Stand-ins for hosts that cannot run here, generated from the stubs of their modules.

A stand-in is a module that has the names of a stub and no other, and whose functions and classes take what the stub
says and nothing else: AttributeError and TypeError tell what the real host lacks. It does nothing; it notes each call
and returns what the test has prepared (`answers`), else an empty value of the type that the stub promises.

Stubs are read, never imported, from where `pip install types-...` puts them: they are not ours to ship. What one of
them leaves open is in tests/stubs/gaps, in a file named as the module; what has no stub at all, in tests/stubs.

A stub is long (Maya's commands are 6 MB), so a name's definition is looked up when it is asked for.
"""

import ast
import builtins
import inspect
import re
import sys
import types
from pathlib import Path

STUBS = Path(__file__).resolve().parents[1] / "stubs"

# The modules of each host, and what to install for their stubs.
HOSTS = {
    "maya": ("types-maya", ["maya", "maya.cmds", "maya.mel", "maya.utils", "maya.api", "maya.api.OpenMaya"]),
    "houdini": ("types-houdini", ["hou"]),
    "nuke": ("types-nuke", ["nuke", "nuke._nuke", "nuke.executeInMain"]),
    "max3ds": (None, ["pymxs", "qtmax"]),
    "ida": (None, ["ida_kernwin", "ida_idaapi"]),
    "binary_ninja": (None, ["binaryninja", "binaryninjaui"]),
    "substance_painter": (
        "types-substance_painter",
        ["substance_painter", "substance_painter.ui", "substance_painter.logging", "substance_painter.event"],
    ),
}


class NoStubs(Exception):
    """The stubs are not installed, or this Python cannot read them."""


class World:
    """One host's stand-ins: `modules` for sys.modules, the `calls` that were made, and the `answers` to them.

    Args:
        host: the name of its adapter.

    Raises: NoStubs.
    """

    def __init__(self, host):
        package, names = HOSTS[host]
        if package and sys.version_info < (3, 8):
            raise NoStubs("the stubs have positional-only arguments, which Python 3.7 cannot read")
        self.calls = []  # (full name, arguments by name)
        self.answers = {}  # by full name: a value, or a function of the same arguments
        self.modules = {}
        for name in names:
            self.modules[name] = StandIn(self, name, _sources(name, package))
        for name, module in self.modules.items():
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(self.modules[parent], child, module)

    def called(self, name):
        """Return the arguments of each call of a function so far."""
        return [arguments for called, arguments in self.calls if called == name]

    def call(self, name, signatures, args, kwargs, returns):
        """Note a call and return the answer to it.

        Raises: TypeError when it fits none of the signatures.
        """
        problems = []
        for index, signature in enumerate(signatures):
            try:
                bound = signature.bind(*args, **kwargs)
                _check_types(bound)
            except TypeError as exc:
                problems.append(str(exc))
                continue
            # "self" is not worth noting.
            self.calls.append((name, {key: value for key, value in bound.arguments.items() if key != "self"}))
            answer = self.answers.get(name, NOTHING)
            if callable(answer):
                return answer(*args, **kwargs)
            return returns[index]() if answer is NOTHING else answer
        raise TypeError(f"{name}() as its stub has it: {'; or '.join(sorted(set(problems)))}")


NOTHING = object()


def _sources(name, package):
    """Return the texts of a module's stub: what fills its gaps, if there are any, and then the stub itself."""
    texts = []
    gaps = STUBS / "gaps" / f"{name}.pyi"
    if gaps.exists():
        texts.append(gaps.read_text(encoding="utf-8"))
    if package is None:
        return [*texts, (STUBS / f"{name}.pyi").read_text(encoding="utf-8")]
    first, *rest = name.split(".")
    for directory in sys.path:
        base = Path(directory or ".") / f"{first}-stubs"
        base = base.joinpath(*rest)
        for path in (base / "__init__.pyi", base.with_name(base.name + ".pyi")):
            if path.exists():
                return [*texts, path.read_text(encoding="utf-8")]
    raise NoStubs(f"{package} is not installed (extra 'stubs')")


class StandIn(types.ModuleType):
    """A module made from a stub."""

    def __init__(self, world, name, sources):
        super().__init__(name, "A stand-in, made from a stub.")
        self.__dict__.update(_world=world, _sources=sources, __path__=[])

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        for statements in (find_definitions(source, name) for source in self._sources):
            if statements and not _is_open(statements[-1]):
                value = make(self, name, statements)
                setattr(self, name, value)
                return value
        for imported in re.findall(r"^from \.(\w+) import (?:\*|.*\b" + name + r"\b)", self._sources[-1], re.MULTILINE):
            module = self._world.modules.get(f"{self.__name__}.{imported}")
            if module is not None and hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"{self.__name__}, as its stub has it, has no {name!r}")


def find_definitions(source, name):
    """Return the top-level statements of a stub that define a name; more than one where it is overloaded."""
    found = []
    start = re.compile(rf"^(?:(?:def|class) {name}\b|{name} *[:=])", re.MULTILINE)
    end = re.compile(r"^[^\s)\]}#]", re.MULTILINE)
    for match in start.finditer(source):
        following = end.search(source, match.end())
        text = source[match.start() : following.start() if following else None]
        found.extend(ast.parse(text).body)
    return found


def _is_open(statement):
    """Tell whether the author of the stub did not know, either."""
    return isinstance(statement, ast.AnnAssign) and ast.dump(statement.annotation).find("'Incomplete'") >= 0


def make(module, name, statements):
    """Return what statements of a stub define: a function, a class or a value."""
    full_name = f"{module.__name__}.{name}"
    last = statements[-1]
    if isinstance(last, ast.FunctionDef):
        return _make_function(module, full_name, statements)
    if isinstance(last, ast.ClassDef):
        return _make_class(module, full_name, last)
    if isinstance(last, ast.AnnAssign):
        return _empty(module, full_name, last.annotation)()
    return getattr(module, last.value.id)  # an alias


def _make_function(module, full_name, definitions, has_self=False):
    world = module._world
    signatures = [_signature(definition) for definition in definitions]
    returns = [_empty(module, f"{full_name}()", definition.returns) for definition in definitions]

    def stand_in(*args, **kwargs):
        return world.call(full_name, signatures, args, kwargs, returns)

    def method(self, *args, **kwargs):
        return world.call(full_name, signatures, (self, *args), kwargs, returns)

    made = method if has_self else stand_in
    made.__name__ = full_name.rpartition(".")[2]
    return made


def _make_class(module, full_name, definition):
    bases = []
    for base in definition.bases:
        name = ast.dump(base) if not isinstance(base, ast.Name) else base.id
        found = getattr(builtins, name, None) or getattr(module, name, None)
        if isinstance(found, type):
            bases.append(found)
    members = {"__module__": module.__name__, "__slots__": ("__weakref__",) if not bases else ()}
    methods = {}
    for statement in definition.body:
        if isinstance(statement, ast.FunctionDef):
            methods.setdefault(statement.name, []).append(statement)
        elif isinstance(statement, ast.AnnAssign) and not _is_open(statement):
            name = statement.target.id
            members[name] = _Constant(module, f"{full_name}.{name}", statement.annotation)
        elif isinstance(statement, ast.Assign):
            members[statement.targets[0].id] = getattr(module, statement.value.id)
    for name, definitions in methods.items():
        if name == "__hash__":
            continue
        decorators = {ast.dump(decorator) for overload in definitions for decorator in overload.decorator_list}
        is_static = any("'staticmethod'" in decorator for decorator in decorators)
        function = _make_function(module, f"{full_name}.{name}", definitions, has_self=not is_static)
        members[name] = staticmethod(function) if is_static else function
    made = type(definition.name, tuple(bases), members)
    # A stub's gap is filled member by member.
    for source in module._sources[1:] if len(module._sources) > 1 else ():
        for other in find_definitions(source, definition.name):
            if isinstance(other, ast.ClassDef) and other is not definition and ast.dump(other) != ast.dump(definition):
                made = type(definition.name, (made, _make_class_alone(module, full_name, other)), {})
    return made


def _make_class_alone(module, full_name, definition):
    sources, module.__dict__["_sources"] = module._sources, module._sources[-1:]
    try:
        return _make_class(module, full_name, definition)
    finally:
        module.__dict__["_sources"] = sources


class _Constant:
    """A member that is there as long as nobody asks for it, for its type may not be known here.

    It can be set where the test has prepared an answer to that, under its name with "=" behind it.
    """

    def __init__(self, module, full_name, annotation):
        self._world, self._full_name = module._world, full_name
        self._make = _empty(module, full_name, annotation)
        self._value = NOTHING

    def __set__(self, instance, value):
        if f"{self._full_name}=" not in self._world.answers:
            raise AttributeError(f"{self._full_name} is read-only")
        self._world.calls.append((self._full_name, {"value": value}))
        self._world.answers[f"{self._full_name}="](value)

    def __get__(self, instance, owner):
        if self._full_name in self._world.answers:
            self._world.calls.append((self._full_name, {}))
            return self._world.answers[self._full_name]()
        if self._value is NOTHING:
            self._value = self._make()
        return self._value


class Thing:
    """A value of a type that the stub does not tell, equal to itself only."""

    def __init__(self, name):
        self._name = name

    def __repr__(self):
        return f"<{self._name}>"


EMPTY = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict, "None": type(None)}


def _empty(module, full_name, annotation):
    """Return a function that makes an empty value of a type."""

    def make_empty():
        if getattr(annotation, "value", annotation) is None:  # None in a stub is a node of another class in Python 3.7
            return None
        if isinstance(annotation, ast.Name):
            if annotation.id in EMPTY:
                return EMPTY[annotation.id]()
            kind = getattr(module, annotation.id, None)
            if isinstance(kind, type) and not issubclass(kind, BaseException):
                return kind.__new__(kind)
        return Thing(full_name)

    return make_empty


def _signature(definition):
    """Return the signature that a stub gives a function."""
    arguments = definition.args
    kinds = inspect.Parameter
    positional = [*getattr(arguments, "posonlyargs", []), *arguments.args]
    count = len(getattr(arguments, "posonlyargs", []))
    defaults = [NOTHING] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    parameters = []
    for index, (argument, default) in enumerate(zip(positional, defaults)):
        is_positional = index < count or _is_nameless(argument)
        kind = kinds.POSITIONAL_ONLY if is_positional else kinds.POSITIONAL_OR_KEYWORD
        if is_positional:  # "self" comes first and is without a name then, too
            parameters = [parameter.replace(kind=kind) for parameter in parameters]
        parameters.append(_parameter(argument, kind, default is not NOTHING))
    if arguments.vararg:
        parameters.append(_parameter(arguments.vararg, kinds.VAR_POSITIONAL, False))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
        parameters.append(_parameter(argument, kinds.KEYWORD_ONLY, default is not None))
    if arguments.kwarg:
        parameters.append(_parameter(arguments.kwarg, kinds.VAR_KEYWORD, False))
    return inspect.Signature(parameters)


def _is_nameless(argument):
    """Tell whether an argument is marked as positional-only as it was before Python 3.8."""
    return argument.arg.startswith("__") and not argument.arg.endswith("__")


def _parameter(argument, kind, has_default):
    default = ... if has_default else inspect.Parameter.empty
    name = argument.arg[2:] if _is_nameless(argument) else argument.arg
    return inspect.Parameter(name, kind, default=default, annotation=argument.annotation)


# What a stub's plain types take. PEP 484's number tower, and bool is an int.
TAKES = {"str": str, "int": int, "bool": bool, "float": (int, float)}


def _check_types(bound):
    """Raise TypeError for an argument of the wrong type, where that is one of the plain ones or a literal."""
    for name, value in bound.arguments.items():
        annotation = bound.signature.parameters[name].annotation
        if isinstance(annotation, ast.Name) and annotation.id in TAKES and not isinstance(value, TAKES[annotation.id]):
            raise TypeError(f"{name} is to be {annotation.id}, not {value!r}")
        if isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name):
            literals = [node.value for node in ast.walk(annotation.slice) if isinstance(node, ast.Constant)]
            if annotation.value.id == "Literal" and value not in literals:
                raise TypeError(f"{name} is to be one of {literals}, not {value!r}")
