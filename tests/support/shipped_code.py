"""The code that ships, as it is read by tests: its files, what they import, and what they name."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = sorted(path for place in ("asyncslot", "asyncslot/tools") for path in (ROOT / place).glob("*.py"))
# The adapters, what gathers them, and the parts that they share: those have a leading underscore.
ADAPTERS = sorted((ROOT / "host_adapters").glob("*.py"))
SHIPPED = CORE + ADAPTERS


def label(path):
    return path.relative_to(ROOT).with_suffix("").as_posix().replace("asyncslot/", "")


def name_of(path):
    """Return the name of one of the package's modules, as seen from the package; the adapters' are without theirs."""
    parts = path.with_suffix("").parts[-2:]
    if parts == ("tools", "__init__"):
        return "tools"
    return ".".join(parts) if parts[0] == "tools" else parts[1]


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def each(paths):
    """Ask something of each source file: the same on every Python and binding."""

    def decorate(test):
        return pytest.mark.once(pytest.mark.parametrize("path", paths, ids=map(label, paths))(test))

    return decorate


each_shipped, each_core, each_adapter = each(SHIPPED), each(CORE), each(ADAPTERS)


def is_for_checkers(statement):
    """Whether this is `if TYPE_CHECKING:`, whose body only a type checker sees."""
    return isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test)


def is_for_programs(statement):
    """Whether this is `if __name__ == "__main__":`, whose body no import runs."""
    return isinstance(statement, ast.If) and dotted(getattr(statement.test, "left", None)) == "__name__"


def nodes_in(statements):
    """Yield everything in these statements."""
    for statement in statements:
        yield from ast.walk(statement)


def imports(tree):
    """Yield (statement, level, full name) of each import, wherever it stands, but for what only a checker sees."""
    unseen = {node for statement in ast.walk(tree) if is_for_checkers(statement) for node in nodes_in(statement.body)}
    for node in ast.walk(tree):
        if node in unseen:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node, node.level, ".".join(filter(None, [node.module, alias.name]))


def own_imports(path):
    """Yield (statement, module) of each relative import in a file; the module is named as in name_of().

    The package's own `__version__` is no module: a literal that stands above its imports.
    """
    is_tool = path.parent.name == "tools"
    for statement, level, name in imports(parse(path)):
        if level and name != "__version__":
            full = f"tools.{name}" if is_tool and level == 1 else name
            yield statement, ".".join(full.split(".")[: 2 if full.startswith("tools.") else 1])


def at_module_level(tree):
    """Return every statement that runs when the module is imported, but for what only checkers and programs see."""
    found = []
    waiting = list(tree.body)
    while waiting:
        statement = waiting.pop()
        if is_for_checkers(statement):
            waiting.extend(statement.orelse)
            continue
        if is_for_programs(statement):
            continue
        found.append(statement)
        for part in ("body", "orelse", "handlers", "finalbody"):
            if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                waiting.extend(getattr(statement, part, []))
    return found


def imports_late(tree):
    """Return the imports of the package's own __getattr__(), the only ones of ours that come later than the import."""
    functions = [node for node in ast.walk(tree) if getattr(node, "name", "") == "__getattr__"]
    return [node for node in nodes_in(functions) if isinstance(node, ast.ImportFrom)]


def literal_text(node):
    """Return the text that a node stands for, empty if it is no string literal (3.7 has a node class of its own)."""
    value = node.value if hasattr(node, "value") else getattr(node, "s", None)
    return value if isinstance(value, str) else ""


def dotted(node):
    """Return `a.b.c` for such an expression, else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return f"{head}.{node.attr}" if head else ""
    return ""


def used_names(tree):
    """Return the full name of everything that is imported or reached through an import, aliases undone."""
    names, aliases = set(), {}
    for statement, level, name in imports(tree):
        if level == 0:
            names.add(name)
            for alias in statement.names:
                aliases[alias.asname or alias.name.split(".")[0]] = name if alias.asname else name.split(".")[0]
            if isinstance(statement, ast.ImportFrom):
                for alias in statement.names:
                    aliases[alias.asname or alias.name] = f"{statement.module}.{alias.name}"
    for node in ast.walk(tree):
        head, _, rest = dotted(node).partition(".")
        if head in aliases:
            names.add(f"{aliases[head]}.{rest}" if rest else aliases[head])
    return names
