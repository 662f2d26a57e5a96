"""`sapwood stages`, `sapwood stage NAME`, `sapwood schema`: faces of the one definition that each class is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
import yaml
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

if TYPE_CHECKING:
    from sapwood.stage import Action, Stage

OPTIONS: dict[str, dict[str, Any]] = {
    "stage": {"add_help_option": False, "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True}}
}


def stages(as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False) -> None:
    """List every stage and action that recipes can name.

    Example: sapwood stages
    """
    from sapwood import plugins
    from sapwood.stage import inputs, outputs

    listed = []
    for group, known in (("stages", plugins.stages()), ("actions", plugins.actions())):
        for name, cls in known.items():
            listed.append(
                {
                    "name": name,
                    "kind": group[:-1],
                    "summary": (cls.__doc__ or "").strip().splitlines()[0],
                    "inputs": {port.name: port.describe() for port in inputs(cls).values()},  # type: ignore[arg-type]
                    "outputs": {port.name: port.describe() for port in outputs(cls).values()},  # type: ignore[arg-type]
                    "from": plugins.table(group)[name].distribution,
                }
            )
    if as_json:
        print(json.dumps(listed, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), header_style="bold")
    for column in ("name", "kind", "what it does"):
        table.add_column(column)
    for item in listed:
        table.add_row(*(str(item[key]) for key in ("name", "kind", "summary")))
    Console(width=80).print(table)


def schema() -> None:
    """Print the JSON Schema of recipes. Point your editor at it for completion and checks.

    Example: sapwood schema > recipe.schema.json
    """
    from sapwood.recipe import schema as schemas

    print(json.dumps(schemas.schema(), ensure_ascii=False, indent=1))


def stage(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A stage's or action's name.", show_default=False)] = "",
    store: Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.")] = None,
    show_help: Annotated[bool, typer.Option("--help", "-h", help="Show fields and ports.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Show a stage's fields and ports, or run that one stage.

    Ports and fields are flags: sapwood stage clean --documents DIGEST --min-chars 20
    """
    from sapwood import plugins
    from sapwood.errors import InputError

    if not name:
        print(
            "Usage: sapwood stage NAME [--PORT DIGEST]... [--FIELD VALUE]...\n\nsapwood stages lists the names; sapwood stage NAME --help shows one."
        )
        return
    group = "actions" if name in plugins.table("actions") else "stages"
    cls = plugins.load(group, name)
    if show_help or (as_json and not context.args):
        _describe(name, group[:-1], cls, as_json)
        return
    if group == "actions":
        raise InputError(f"{name} is an action: it runs inside a recipe", "sapwood run recipe.yaml")
    _run_one(name, cls, context.args, store, as_json)


def _describe(name: str, kind: str, cls: type[Stage] | type[Action], as_json: bool) -> None:
    from sapwood.runs.terminal import folded
    from sapwood.stage import inputs, outputs

    if as_json:
        described = {
            "inputs": {p.name: p.describe() for p in inputs(cls).values()},
            "outputs": {p.name: p.describe() for p in outputs(cls).values()},
        }
        print(json.dumps({"name": name, "kind": kind, **described, "schema": cls.model_json_schema()}, ensure_ascii=False))
        return
    print(f"{kind} {name}\n")
    print(folded(" ".join((cls.__doc__ or "").split()), "  "))
    for title, ports, dashes in (("Inputs", inputs(cls), "--"), ("Outputs", outputs(cls), "")):
        if ports:
            print(f"\n{title}:")
            for port in ports.values():
                print(folded(port.describe(), f"  {dashes + port.name.replace('_', '-'):<22} ", " " * 25))
    print("\nFields:")
    for field_name, info in cls.model_fields.items():
        default = "needed" if info.is_required() else f"default {_shown(info.get_default(call_default_factory=True))}"
        print(folded(f"{info.description or ''} [{default}]", f"  --{field_name.replace('_', '-'):<20} ", " " * 25))
        for block in _blocks(info.annotation):
            print(folded(_block_line(block), " " * 25 + "- ", " " * 27))


def _shown(value: Any) -> str:
    """A default as it is written in a recipe."""
    if isinstance(value, str) and not value:
        return "empty"
    plain = to_jsonable_python(value)
    return yaml.safe_dump(plain, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False).removesuffix("\n...\n").strip()


def _blocks(annotation: Any) -> list[type[BaseModel]]:
    """The classes of a field that is a block, or one of several kinds of block, or a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [block for part in get_args(annotation) for block in _blocks(part)]


def _block_line(block: type[BaseModel]) -> str:
    """`kind: lora, r: 8, alpha: 16, ...`, the kind first; a field without a default is written without one."""
    parts = []
    for name, info in sorted(block.model_fields.items(), key=lambda field: field[0] != "kind"):
        only = get_args(info.annotation) if name == "kind" else ()
        value = only[0] if only else None if info.is_required() else _shown(info.get_default(call_default_factory=True))
        parts.append(name if value is None else f"{name}: {value}")
    return ", ".join(parts)


def _run_one(name: str, cls: type[Stage], arguments: list[str], store: Path | None, as_json: bool) -> None:
    from sapwood import recipe as recipes
    from sapwood.errors import NotFound
    from sapwood.runs import local
    from sapwood.runs.monitor import JsonMonitor, TerminalMonitor
    from sapwood.stage import inputs
    from sapwood.store.find import open_store

    opened = open_store(store)
    ports = inputs(cls)
    given: dict[str, Any] = {}
    body: dict[str, Any] = {}
    for flag, value in _pairs(arguments):
        if flag not in ports:
            body[flag] = yaml.safe_load(value)
            continue
        for digest in value.split(","):
            label = f"{flag}_{len(given)}"
            given[label] = opened.find(digest)
            body[flag] = [*body.get(flag, []), label] if ports[flag].many else label
    text = yaml.safe_dump({"name": name, "inputs": {k: a.kind for k, a in given.items()}, "stages": {name: body}})
    checked = recipes.parse(text, f"stage {name}", Path.cwd())
    outcome = local.execute(checked, opened, JsonMonitor() if as_json else TerminalMonitor(), given)
    made = outcome.made.get(name)
    if made is None:
        raise NotFound(f"{name} made nothing")
    if as_json:
        print(json.dumps({port: artifact.digest for port, artifact in made.items()}))
        return
    for port, artifact in made.items():
        print(f"{port:<12} {artifact.kind:<10} {artifact.digest}")


def _pairs(arguments: list[str]) -> list[tuple[str, str]]:
    """`--min-chars 20 --near=0.8` as (field, value) pairs."""
    from sapwood.errors import InputError

    pairs, rest = [], list(arguments)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--"):
            raise InputError(f"{flag!r}: expected --FIELD VALUE", "sapwood stage NAME --help lists fields and ports")
        name, equals, value = flag[2:].partition("=")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        pairs.append((name.replace("-", "_"), value))
    return pairs
