"""The reference pages, written from the definitions themselves: `python -m sapwood.cli.reference docs/reference`.

Nothing on these pages is written twice: a default, a range and a description stand in the field, a command's help in the
command. Guides and concepts are written by people and are not made here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from sapwood.stage import Action, Resources, Stage, inputs, outputs

VARIABLES = {
    "OMP_WAIT_POLICY": ("`passive`", "How threads wait for each other; `active` is some 8 % faster on a machine with nothing else to do."),
    "OMP_NUM_THREADS": ("every core", "Threads where a recipe's `resources.threads` is 0."),
    "SAPWOOD_STORE": ("the nearest `.sapwood` from here up", "The store's folder, where `--store` is not given."),
    "SAPWOOD_TRACKERS": ("none", "Trackers that a run tells its metrics, apart by spaces, where `--tracker` is not given."),
    "SAPWOOD_CACHE": ("`.cache/sapwood` in the home folder", "Where fetched samples are kept."),
}
"""Environment variables: name -> (default, what it does)."""


def render_stages(plugins: ModuleType) -> str:
    """The page of every stage and action. `plugins` is `sapwood.plugins`, or anything with `stages()` and `actions()`."""
    parts = ["# Stages and actions", f"{NOTE}\n\nHow they are wired: [stages and recipes](../concepts/stages-and-recipes.md).", "## Stages"]
    parts += [_step(name, cls) for name, cls in plugins.stages().items()]
    parts.append("## Actions")
    parts += [_step(name, cls) for name, cls in plugins.actions().items()]
    return "\n\n".join(parts) + "\n"


NOTE = "This page is made from the code by `make docs`."


def _step(name: str, cls: type[Stage] | type[Action]) -> str:
    lines = [f"### {name}", _docstring(cls)]
    ins = [[f"`{port.name}`", port.describe()] for port in inputs(cls).values()]
    outs = [[f"`{port.name}`", port.describe()] for port in outputs(cls).values()]
    if ins:
        lines.append(_table(["input", "takes"], ins))
    if outs:
        lines.append(_table(["output", "is"], outs))
    lines.append(_fields(cls) if cls.model_fields else "It has no fields.")
    return "\n\n".join(lines)


def _docstring(cls: type) -> str:
    import inspect

    return inspect.cleandoc(cls.__doc__ or "")


def _fields(cls: type[BaseModel]) -> str:
    """The table of a class's fields, then one for each kind of block that a field can hold."""
    schema = cls.model_json_schema()
    tables = [_properties(schema)]
    for name, block in schema.get("$defs", {}).items():
        if block.get("properties"):
            tables.append(f"#### {_block_name(name, block)}\n\n{_cell(block.get('description', ''))}\n\n{_properties(block)}")
    return "\n\n".join(tables)


def _block_name(name: str, block: Mapping[str, Any]) -> str:
    """What a recipe calls the block: `kind: csv`, or the class's name where there is one kind only."""
    kind = block["properties"].get("kind", {}).get("const")
    return f"`kind: {kind}`" if kind else name


def _properties(schema: Mapping[str, Any]) -> str:
    rows = []
    for name, field in schema["properties"].items():
        default = "needed" if name in schema.get("required", ()) else f"`{_yaml(field.get('default'))}`"
        rows.append([f"`{name}`", default, _range(field), field.get("description", "")])
    return _table(["field", "default", "values", "what it does"], rows)


def _yaml(value: Any) -> str:
    """A default as a recipe would write it."""
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value or '""'


SIGNS = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"), ("minItems", "entries ≥"))


def _range(schema: Mapping[str, Any]) -> str:
    """Kind, bounds and choices of a field as its JSON Schema states them."""
    choices = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
    if len(choices) == 1:
        schema = {**choices[0], **{key: value for key, value in schema.items() if key != "anyOf"}}
    found = [f"{sign} {schema[key]}" for key, sign in SIGNS if key in schema]
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "pattern" in schema:
        return f"matches `{schema['pattern']}`"
    kind = KINDS.get(schema.get("type", ""), "block, see below" if "$ref" in schema or "oneOf" in schema else "")
    return ", ".join([kind, *found]).strip(", ")


KINDS = {"integer": "whole number", "number": "number", "boolean": "true or false", "array": "list", "object": "mapping", "string": "text"}


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


# --------------------------------------------------------------------------- commands


def render_cli() -> str:
    """The page of every command with its arguments, options and help."""
    import typer.main

    from sapwood.cli.main import COMMANDS, application

    parts = ["# Commands", f"{NOTE}\n\nEvery command takes `--help`. Those that print a table take `--json` where a program may want it."]
    for name in COMMANDS:
        parts += _command(f"sapwood {name}", typer.main.get_command(application(name)), 2)
    return "\n\n".join(parts) + "\n"


def _command(path: str, command: Any, level: int) -> list[str]:
    parts = [f"{'#' * level} {path}", _prose(command.help or "")]
    rows = [
        _parameter(parameter)
        for parameter in command.params
        if not getattr(parameter, "hidden", False) and "completion" not in parameter.name
    ]
    if rows:
        parts.append(_table(["argument or option", "default", "what it does"], rows))
    for name, inner in getattr(command, "commands", {}).items():
        parts += _command(f"{path} {name}", inner, level + 1)
    return [part for part in parts if part]


def _prose(text: str) -> str:
    return "\n".join(line.strip() for line in text.replace("\f", "").strip().splitlines())


def _parameter(parameter: Any) -> list[str]:
    shown = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.param_type_name == "argument":
        shown = f"`{(parameter.metavar or parameter.name).upper()}`"
    default = parameter.default
    silent = (
        default is None
        or default is False
        or default == ""
        or callable(default)
        or type(default).__name__ == "Sentinel"
        or "UNSET" in repr(default)
    )
    needed = "needed" if parameter.required else ""
    return [shown, needed if silent else f"`{default}`", getattr(parameter, "help", "") or ""]


# --------------------------------------------------------------------------- errors, samples, settings


def render_errors() -> str:
    """The page of errors: the tree, and what each exit code means."""
    from sapwood import errors

    rows = []
    for cls in _family(errors.SapwoodError):
        if cls.__module__ == errors.__name__:
            rows.append([f"`{cls.__name__}`", str(cls.exit_code)])
    tree = (errors.__doc__ or "").strip()
    codes = [["0", "it worked"], ["1", "a fault of Sapwood itself: please report it"], ["2", "wrong usage of the command line"]]
    codes += [
        ["3", "a recipe or parameter is wrong"],
        ["4", "a source, file or request cannot be read"],
        ["5", "the store cannot do what was asked"],
    ]
    codes += [["6", "refused: a gate, parity check or signature says no"], ["7", "a resource is missing: disk, memory, port"]]
    codes += [["8", "a registry or hub cannot be reached"], ["9", "an optional dependency is not installed"]]
    codes += [["75", "stopped by a signal; the same command continues"], ["130", "Ctrl-C, twice"]]
    parts = ["# Errors and exit codes", NOTE, "Every error names the place and the fault, then the next step.", f"```text\n{tree}\n```"]
    return "\n\n".join([*parts, _table(["code", "meaning"], codes), "## Classes", _table(["class", "exit code"], rows)]) + "\n"


def _family(cls: type[Any]) -> list[type[Any]]:
    return [cls, *(inner for child in cls.__subclasses__() for inner in _family(child))]


def render_samples() -> str:
    """The page of samples, with licence and citation."""
    from sapwood.samples.table import samples

    parts = ["# Samples", f"{NOTE}\n\n{SAMPLES}"]
    for name, entry in samples().items():
        rows = [["package", f"`{entry.package}` ({entry.form}, {entry.bytes / 1e6:.1f} MB)"], ["language", entry.language]]
        rows += [["licence", entry.licence], ["citation", entry.citation], ["sha256", f"`{entry.sha256}`"]]
        parts.append(f"## {name}\n\n{entry.purpose}.\n\n{_table(['', ''], rows)}")
    return "\n\n".join(parts) + "\n"


SAMPLES = """Some packages of ordinary package registries carry real text or the weights of a model inside the archive. A sample is the
description of one: which package and version, its sha256, and which files in it. `sapwood samples fetch NAME` downloads the archive
with your own pip settings, verifies it, takes out the named files and nothing else. The package is never installed and its content
is never part of Sapwood. The licence is shown when you fetch; read it."""


def render_settings() -> str:
    """The page of settings: what a recipe's `resources:` takes, and environment variables."""
    variables = [[f"`{name}`", default, text] for name, (default, text) in VARIABLES.items()]
    parts = ["# Settings", NOTE, "## Resources of a recipe", "What cannot change the meaning of a result, and so is no field of a stage."]
    return (
        "\n\n".join([*parts, _fields(Resources), "## Environment variables", _table(["variable", "default", "what it does"], variables)])
        + "\n"
    )


def render_support() -> str:
    """The page of what trains what: every task and method on every architecture, with the reason where it is refused."""
    from sapwood.models import support
    from sapwood.models.methods.catalogue import AnyMethod
    from sapwood.models.tasks.catalogue import AnyTask

    cells = {cell[:3]: cell.refusal for cell in support.cells()}
    reasons = {why: number for number, why in enumerate(dict.fromkeys(why for why in cells.values() if why), start=1)}
    parts = ["# What trains what", NOTE, SUPPORT]
    for method in support.kinds(AnyMethod):
        told = lambda task, kind, by=method: f"no ({reasons[why]})" if (why := cells[task, by, kind]) else "yes"  # noqa: E731
        rows = [[f"`{task}`", *(told(task, kind) for kind in support.ARCHITECTURES)] for task in support.kinds(AnyTask)]
        parts += [f"## `{method}`", _table(["task", *support.ARCHITECTURES], rows)]
    return "\n\n".join([*parts, "## Why not", "\n".join(f"{number}. {why}" for why, number in reasons.items())]) + "\n"


SUPPORT = """Each cell that says yes is trained for two steps by a test, stored, opened again, and answers as before. A cell that says no is
refused with the reason below: by `sapwood plan` where the architecture can be told by then (it is grown in the recipe, or comes from a
sample or a folder), else before training. Other Hugging Face architectures work where transformers has the head and the method
finds its layers; they are not in the table because no test trains them."""

PAGES = {
    "cli.md": render_cli,
    "errors.md": render_errors,
    "samples.md": render_samples,
    "settings.md": render_settings,
    "support.md": render_support,
}


def write(folder: Path) -> list[Path]:
    """Write every reference page; the files written."""
    from sapwood import plugins

    folder.mkdir(parents=True, exist_ok=True)
    pages = {"stages.md": render_stages(plugins), **{name: render() for name, render in PAGES.items()}}
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in pages]


if __name__ == "__main__":
    for page in write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference")):
        print(page)
