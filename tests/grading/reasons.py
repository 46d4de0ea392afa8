"""Every reason for which a submission can be refused, as the code has it.

The texts of each ``SubmissionError``, with the constants in them, and an ellipsis for what differs
from file to file.
"""

import ast
import itertools
from collections.abc import Iterator

from common.support.errors import AS_ONNX
from grading.readers.tables.answers import CORRECT
from tests.conftest import REPO

# Functions that return a reason, and names that one is kept under.
_WHY = ("_why_not", "_why_refused", "_why_it_ended", "limit_met")
_NAMED = ("reason", "_REASONS", "_FOREIGN", "_ZIPPED")


def reasons() -> list[tuple[str, str]]:
    """Return the module and the text of each reason, in the order of the code."""
    found: dict[tuple[str, str], None] = {}
    for path in [*sorted((REPO / "grading").rglob("*.py")), REPO / "evaluations/rows.py"]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants: dict[str, ast.expr] = {"AS_ONNX": ast.Constant(AS_ONNX)} | {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        constants |= {
            node.name: _returned(node) for node in tree.body if isinstance(node, ast.FunctionDef)
        }
        place = path.relative_to(REPO).with_suffix("").as_posix()
        for expression in _expressions(tree):
            for text in _texts(expression, constants):
                found[place, text] = None
    return list(found)


def _expressions(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield what becomes a reason: what errors are made of, and what says why."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("SubmissionError", "PassingError", "_refuse_first"):
                yield from node.args
            elif called == "problems.add":
                yield ast.JoinedStr([node.args[1], ast.Constant(CORRECT)])
        elif isinstance(node, ast.FunctionDef) and node.name in _WHY:
            yield _returned(node)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in _NAMED:
            yield node.value


def _returned(function: ast.FunctionDef) -> ast.Tuple:
    """Return all that a function returns."""
    found = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    return ast.Tuple([value for value in found if value is not None])


def _texts(expression: ast.expr, constants: dict[str, ast.expr]) -> Iterator[str]:
    """Yield the texts that an expression can have, if they are more than a word."""
    for text in _alternatives(expression, constants):
        if " " in text.strip("… "):
            yield text


def _alternatives(expression: ast.expr, constants: dict[str, ast.expr]) -> Iterator[str]:
    """Yield each text, with an ellipsis for what is known only when the code runs."""
    match expression:
        case ast.Constant():
            yield str(expression.value)
        case ast.Name() if expression.id in constants:
            yield from _alternatives(constants[expression.id], constants)
        case ast.Call(func=ast.Name(id=name)) if name in constants and name.startswith("_unsafe"):
            yield from _alternatives(constants[name], constants)
        case ast.IfExp():
            for branch in (expression.body, expression.orelse):
                yield from _alternatives(branch, constants)
        case ast.BoolOp() | ast.Dict():
            for value in expression.values:
                yield from _alternatives(value, constants)
        case ast.Tuple():
            for value in expression.elts:
                yield from _alternatives(value, constants)
        case ast.Subscript() | ast.Starred():
            yield from _alternatives(expression.value, constants)
        case ast.JoinedStr():
            parts = [list(_alternatives(value, constants)) for value in expression.values]
            yield from map("".join, itertools.product(*parts))
        case ast.FormattedValue(value=ast.Subscript(value=ast.Name(id="INSTEAD")) | ast.Name()):
            yield from _alternatives(expression.value, constants)
        case ast.FormattedValue(value=ast.Call()):
            yield from _alternatives(expression.value, constants)
        case _:
            yield "…"
