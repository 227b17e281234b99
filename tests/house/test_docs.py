"""Every public name is documented, in one form: a sentence, then sections that say something.

The names are those of `asyncslot.__all__`, what the public classes offer of ours, what every adapter has to have, and
asyncslot.testing. What applies to each is read from its signature and its source: a number has a unit, an exception of
ours that is raised is named, and so is the thread where the thread is checked.
"""

import ast
import asyncio
import builtins
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import pytest

import asyncslot
from asyncslot import _hosts, testing

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {"Args", "Attributes", "Raises", "Returns", "Source", "Thread"}
WITH_ENTRIES = {"Args", "Attributes", "Raises"}

# What a number is in. Names of things that are counted or are fractions say so themselves.
UNITS = re.compile(r"\b(seconds|milliseconds|0\.\.1|how many|bytes)\b")

# What a first word must not be: "Returns the lease" describes, "Return the lease" is what is asked for.
THIRD_PERSON = re.compile(r"[A-Z][a-z]+[^s]s$")


def members(name, kind):
    """Yield what a class offers that is ours, as (name, object); what asyncio documents is asyncio's."""
    for key in dir(kind):
        if key.startswith("_"):
            continue
        owner = next(base for base in kind.__mro__ if key in vars(base))
        if owner.__module__.partition(".")[0] == "asyncslot":
            found = vars(owner)[key]
            found = found.__func__ if isinstance(found, (staticmethod, classmethod)) else found
            if callable(found) or isinstance(found, property):
                yield f"{name}.{key}", found


def public():
    """Return every public name with what it stands for."""
    tops = {name: getattr(asyncslot, name) for name in asyncslot.__all__}
    tops.update((f"testing.{name}", getattr(testing, name)) for name in ("Host", "Error", "Display"))
    tops["adapter"] = _hosts.PlainQt
    found = {}
    for name, item in tops.items():
        found[name] = item
        if inspect.isclass(item):
            found.update(members(name, item))
    for path in (ROOT / "host_adapters").glob("[a-z]*.py"):
        adapter = importlib.import_module(f"asyncslot.host_adapters.{path.stem}")
        found.update((f"{path.stem}.{function}", getattr(adapter, function)) for function in _hosts.CONTRACT)
    return found


PUBLIC = public()
each_public = pytest.mark.parametrize("name", sorted(PUBLIC))


def docstring(name):
    return inspect.cleandoc(PUBLIC[name].__doc__ or "")


def sections(text):
    """Return the sections of a docstring: heading -> what stands under it, as lines without their indentation."""
    found, current = {}, None
    for line in text.splitlines()[1:]:
        heading = re.match(r"([A-Z][a-z]+):( .*)?$", line)
        if heading:
            current = found.setdefault(heading.group(1), [])
            current += [heading.group(2).strip()] if heading.group(2) else []
        elif line and not line.startswith(" "):
            # Text that goes on is "Thread: GUI thread only; with\nmore of it"; a paragraph of its own ends the section.
            current = current if current and current[-1] != "" else None
        if not heading and current is not None:
            current.append(line)
    return {heading: textwrap.dedent("\n".join(lines)).strip("\n").splitlines() for heading, lines in found.items()}


def entries(lines):
    """Return the entries of a section, `name: text` each, the text on one line."""
    found, current = {}, []
    for line in lines:
        entry = re.match(r"(\w+(?:, \w+)*): (.+)$", line)
        if entry:
            current = entry.group(1).split(", ")
            found.update((name, entry.group(2)) for name in current)
        elif line.startswith(" ") and current:
            found.update((name, f"{found[name]} {line.strip()}") for name in current)
        else:
            raise AssertionError(f"no entry: {line!r}")
    return found


def function_of(name):
    """Return the function whose signature and source tell what applies; None for what has none of its own."""
    item = PUBLIC[name]
    if isinstance(item, property):
        return item.fget
    return (
        item.__init__
        if inspect.isclass(item) and "__init__" in vars(item)
        else (None if inspect.isclass(item) else item)
    )


def parameters(name):
    function = function_of(name)
    return {} if function is None else dict(inspect.signature(function).parameters)


def is_made_by_us(name):
    """Whether nobody but us calls it: an exception, or a class whose instances others hand out."""
    item = PUBLIC[name]
    is_error = inspect.isclass(item) and issubclass(item, Exception)
    return is_error or name in (
        "AbandonedTask",
        "DetachReport",
        "Lease",
        "Progress",
        "testing.Display",
        "testing.Error",
    )


# --- The form


@each_public
def test_first_line_is_one_sentence(name):
    """It stands alone, in an editor's tool tip as well."""
    item = PUBLIC[name]
    text = docstring(name)
    assert text, "no docstring"
    first = text.splitlines()[0]
    assert re.match(r"[A-Z]|\w+\(\)", first), first
    assert first.endswith("."), f"the first line is no whole sentence: {first}"
    if not inspect.isclass(item) and not isinstance(item, property):
        assert not THIRD_PERSON.match(first.split()[0]), f"not imperative: {first}"


@each_public
def test_sections_are_well_formed(name):
    """Known headings with something under them, and entries that name what there is."""
    found = sections(docstring(name))
    assert set(found) <= SECTIONS
    for heading, lines in found.items():
        assert any(lines), f"nothing under {heading}"
        told = entries(lines) if heading in WITH_ENTRIES else {}
        if heading == "Args":
            assert set(told) <= set(parameters(name)), "described, but no parameter"
        elif heading == "Raises":
            unknown = [error for error in told if not hasattr(asyncslot, error) and not hasattr(builtins, error)]
            assert unknown == []


def test_a_broken_section_is_noticed():
    """The reader above is what all this rests on."""
    told = sections("Do it.\n\nArgs:\n    timeout: seconds,\n        >= 0.\n\nThread: GUI\nthread only.\n\nMore.")
    assert set(told) == {"Args", "Thread"}
    assert entries(told["Args"]) == {"timeout": "seconds, >= 0."}
    with pytest.raises(AssertionError, match="no entry"):
        entries(["what is this"])


# --- What applies


@each_public
def test_numbers_have_units(name):
    """Each parameter that is a number is described, with what it is in."""
    if is_made_by_us(name):
        return
    told = entries(sections(docstring(name)).get("Args", []))
    is_asyncios = hasattr(asyncio.BaseEventLoop, name.rpartition(".")[2])  # asyncio describes its arguments
    for parameter in parameters(name).values():
        if "float" in str(parameter.annotation) and "Callable" not in str(parameter.annotation):
            description = docstring(name) if is_asyncios else told.get(parameter.name)
            assert description, f"{parameter.name} is not described"
            assert UNITS.search(description), f"{parameter.name} has no unit: {description}"


@each_public
def test_attributes_that_are_numbers_have_units(name):
    """In seconds, or a count."""
    told = entries(sections(docstring(name)).get("Attributes", []))
    for attribute, text in told.items():
        if re.search(r"seconds|timeout|budget|elapsed", attribute):
            assert re.search(r"\bseconds\b|\bhow long\b", text), f"{attribute} has no unit: {text}"


def raised_in(function):
    """Return the names of our exceptions that stand in a function's source after `raise`, or are made to be raised."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    is_raising = any(isinstance(node, ast.Raise) for node in ast.walk(tree))
    return {found for found in names if is_raising and found in asyncslot.__all__ and found.endswith("Error")}


@each_public
def test_raised_exceptions_are_named(name):
    """What a caller may have to catch, stands under Raises, or in the text for what is raised later."""
    function = function_of(name)
    if function is None or is_made_by_us(name):
        return
    text = docstring(name)
    caught = set(re.findall(r"except \(?([\w, ]+)\)?", inspect.getsource(function)))
    caught = {part.strip() for group in caught for part in group.split(",")}
    for error in raised_in(function) - caught:
        assert error in text, f"{error} is raised, and not told of"


@each_public
def test_checked_threads_are_told(name):
    """Whatever checks its thread says which it must be, itself or its class."""
    function = function_of(name)
    if function is None:
        return
    source = inspect.getsource(function)
    if not re.search(r"self\._check\(|require_application\(|ThreadError", source):
        return
    above = name.rpartition(".")[0]
    told = docstring(name) + (docstring(above) if above in PUBLIC else "")
    assert "Thread: " in told


@pytest.mark.parametrize("name", [name for name in sorted(PUBLIC) if "." not in name])
def test_documented_errors_are_ours_or_pythons(name):
    """A name in a docstring that ends in Error exists."""
    for error in re.findall(r"\b[A-Z]\w+Error\b", docstring(name)):
        assert hasattr(asyncslot, error) or hasattr(builtins, error) or hasattr(asyncio, error), error
