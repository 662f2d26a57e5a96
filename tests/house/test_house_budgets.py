"""The size of things. A budget is a test; its allowlist may only shrink, and it is empty."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "sapwood"
FILE_LINES, FUNCTION_LINES, PARAMETERS, STAGE_FIELDS = 500, 60, 8, 15
ALLOWED: frozenset[str] = frozenset()
FORBIDDEN_NAMES = ("util", "utils", "helper", "helpers", "common", "manager", "misc")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> list[Path]:
    found = sorted(SOURCE.rglob("*.py"))
    assert len(found) > 40, "the house is larger than this: is the path right?"
    return found


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def functions() -> Iterator[tuple[str, Function]]:
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Function):
                yield f"{name_of(path)}:{node.name}", node


def parameters(node: Function) -> int:
    """Parameters a caller may give: `self` and `cls` are not counted."""
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def check_budget(found: dict[str, int], budget: int) -> None:
    over = {name: size for name, size in found.items() if size > budget and name not in ALLOWED}
    assert not over, f"over the budget of {budget}: {over}"


def test_a_file_has_at_most_500_lines() -> None:
    check_budget({name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}, FILE_LINES)


def test_a_function_has_at_most_60_lines() -> None:
    check_budget({name: (node.end_lineno or 0) - node.lineno + 1 for name, node in functions()}, FUNCTION_LINES)


def test_a_function_has_at_most_8_parameters() -> None:
    check_budget({name: parameters(node) for name, node in functions()}, PARAMETERS)


def test_a_stage_has_at_most_15_fields_and_each_is_described() -> None:
    from sapwood import plugins

    steps = {**plugins.stages(), **plugins.actions()}
    check_budget({name: len(cls.model_fields) for name, cls in steps.items()}, STAGE_FIELDS)
    silent = [f"{name}.{field}" for name, cls in steps.items() for field, info in cls.model_fields.items() if not info.description]
    assert not silent


def test_the_allowlist_is_empty() -> None:
    assert not ALLOWED


def test_no_file_is_named_for_being_a_heap() -> None:
    assert not [name_of(path) for path in modules() if path.stem in FORBIDDEN_NAMES]


def test_every_module_says_what_it_is_for() -> None:
    assert not [name_of(path) for path in modules() if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]


def test_imports_form_no_cycle_and_go_down() -> None:
    """The layers of `.importlinter`, which name every room of the package."""
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(SOURCE.parents[1] / ".importlinter"), no_cache=True) == 0
