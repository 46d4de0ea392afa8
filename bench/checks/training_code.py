"""Print a checksum of the code that decides what a training script learns: make trains by it.

Run as ``python -m bench.checks.training_code train_base.py``. It needs no package, since make calls
it before anything is installed. Covered is what the script reaches by name: its recipe, the loop,
the networks that it builds, the data that it reads. Not covered is what no weight depends on:
texts (docstrings, help, what is printed or raised), metrics, the writing of files, other networks.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]

# They count, write or print what was learned, or find files that are known by their checksums.
WITHOUT_EFFECT = {
    *("common.metrics", "common.data.download", "common.data.search"),
    *("common.support.cli", "common.support.errors", "common.support.files", "common.support.text"),
}
_PRINTING = {"print", "_say"}
_WORDS = {"help", "description", "epilog", "metavar"}


class Module(NamedTuple):
    """The top of a file: definitions by name, imports, and what runs when it is imported."""

    definitions: dict[str, list[ast.stmt]]
    imports: dict[str, str]  # the dotted name of what each name stands for
    effects: list[ast.stmt]


class WithoutWords(ast.NodeTransformer):
    """Takes away what a person reads and no computation needs."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """Drop docstrings, and calls that only print."""
        value = node.value
        called = value.func if isinstance(value, ast.Call) else None
        is_print = isinstance(called, ast.Name) and called.id in _PRINTING
        return None if isinstance(value, ast.Constant) or is_print else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        """Keep that an error is raised, and drop what it says."""
        return ast.Raise()

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Drop the texts of a command line."""
        node.keywords = [keyword for keyword in node.keywords if keyword.arg not in _WORDS]
        return self.generic_visit(node)


@cache
def read_module(name: str) -> Module | None:
    """Return what a module of this repository consists of; None for any other."""
    path = REPOSITORY / f"{name.replace('.', '/')}.py"
    is_ours = name not in WITHOUT_EFFECT and path.is_file()
    return _parsed(path, path.read_bytes()) if is_ours else None


@cache
def _parsed(path: Path, content: bytes) -> Module:
    module = Module({}, {}, [])
    tree = WithoutWords().visit(ast.parse(content))
    for node in ast.walk(tree):  # those in functions, too
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                module.imports[alias.asname or name] = name
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.names[0].name == "*":
                raise SystemExit(f"{path}: line {node.lineno}: import names, by the whole path")
            for alias in node.names:
                module.imports[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in tree.body:
        names = _defined_by(node)
        for name in names:
            module.definitions.setdefault(name, []).append(node)
        if not names and not isinstance(node, (ast.Import, ast.ImportFrom)):
            module.effects.append(node)
    return module


def _defined_by(node: ast.stmt) -> list[str]:
    """Return the names that a statement defines, if that is all it does."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if not isinstance(node, (ast.Assign, ast.AnnAssign)):
        return []
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    named = [part for target in targets for part in getattr(target, "elts", [target])]
    if not all(isinstance(part, ast.Name) for part in named):
        return []  # an attribute or an item of something is changed
    return [part.id for part in named if isinstance(part, ast.Name)]


def reached_from(script: str) -> dict[tuple[str, str], list[ast.stmt]]:
    """Return the definitions that a script reaches, by module and name."""
    reached: dict[tuple[str, str], list[ast.stmt]] = {}
    start = read_module(script)
    if start is None:
        raise SystemExit(f"{script}.py: no such script in {REPOSITORY}")
    waiting = [(script, name) for name in ["", *start.definitions]]
    while waiting:
        place = module_name, name = waiting.pop()
        module = read_module(module_name)
        if module is None or place in reached:
            continue
        if name in module.imports and name not in module.definitions:
            waiting.append(_split(module.imports[name]))
            continue
        # The place without a name is what runs when the module is imported.
        reached[place] = module.definitions.get(name, []) if name else module.effects
        waiting.append((module_name, ""))
        if not name:
            waiting += [(_split(dotted)[0], "") for dotted in module.imports.values()]
            waiting += [(dotted, "") for dotted in module.imports.values()]
        for node in reached[place]:
            waiting += _names_in(node, module_name)
    return {place: nodes for place, nodes in reached.items() if nodes}


@cache
def _names_in(node: ast.stmt, module_name: str) -> list[tuple[str, str]]:
    """Return what a statement names: what stands in this file, or in a module that it imports."""
    module = read_module(module_name)
    assert module is not None
    found = []
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and (
            part.id in module.definitions or part.id in module.imports
        ):
            found.append((module_name, part.id))
        if isinstance(part, ast.Attribute):
            head, _, rest = ast.unparse(part).partition(".")
            if head in module.imports:
                found.append(_split(f"{module.imports[head]}.{rest}"))
    return found


_dump = cache(ast.dump)


def _split(dotted: str) -> tuple[str, str]:
    module, _, name = dotted.rpartition(".")
    return module, name


def checksum(script: str) -> str:
    """Return the checksum of what ``script`` (a name without .py) reaches."""
    reached = reached_from(script)
    code = [(place, [_dump(node) for node in nodes]) for place, nodes in sorted(reached.items())]
    return hashlib.sha256(repr(code).encode()).hexdigest()[:16]


if __name__ == "__main__":
    print(checksum(sys.argv[1].removesuffix(".py")))
