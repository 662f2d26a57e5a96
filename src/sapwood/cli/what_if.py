"""`sapwood data what-if`: what other limits would keep and drop, before anything is dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sapwood.artifact import Artifact
    from sapwood.store.local import LocalStore
    from sapwood.text.quality.foresight import Foresight


def what_if(
    artifact: Annotated[str, typer.Argument(metavar="ARTIFACT", help="Rows: a digest, STEP.PORT or RUN:STEP.PORT.", show_default=False)],
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="A field of `clean`, as in a recipe; repeat for more.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
    store: Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.")] = None,
) -> None:
    """Show what changed rules would keep and drop, in total, by language and by source, with examples.

    The rules that are changed are those of the last `clean` of these rows, or its defaults. With the statistics of a `measure` step it
    takes a second for 100,000 rows.

    Examples: sapwood data what-if measured.documents --set min_chars=20; sapwood data what-if measured.documents
    --set limits.zh.max_repetition=0.6 --set "rules.lists={statistic: bullets, limit: 0.9, when: {lines: 10}}"
    """
    from sapwood.runs import datasets
    from sapwood.store import address
    from sapwood.store.find import open_store
    from sapwood.text.quality import foresight, rules

    opened = open_store(store, create=False)
    found = address.find(opened, artifact)
    folder = datasets.rows_of(opened, found)
    base = _last_clean(opened, found)
    before, after = _stage(base).ruleset(), _stage(_changed(base, changes or [])).ruleset()
    lists = foresight.stored_lists(folder)
    for ruleset in (before, after):
        rules.refuse_unknown(ruleset.rules, lists)
    told = foresight.compare(folder, before, after)
    if told.measured_now and not as_json:
        typer.echo("these rows bring no statistics: they were measured now; a `measure` step makes this quick", err=True)
    body = _body(told)
    if as_json:
        print(json.dumps({"artifact": str(found), **body}, ensure_ascii=False))
        return
    _print(body)


def _last_clean(store: LocalStore, artifact: Artifact) -> dict[str, Any]:
    """The parameters of the newest `clean` that took these rows; none where there was none."""
    results = [result for result in store.consumers(artifact) if result.name == "clean"]
    return json.loads(json.dumps(dict(results[-1].params))) if results else {}


def _changed(base: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """The parameters with `FIELD=VALUE` put in; a built-in rule is completed before a part of it is changed."""
    import yaml

    from sapwood.errors import InputError

    body = json.loads(json.dumps(base))
    known = {name: rule.model_dump() for name, rule in _stage(base).ruleset().rules.items()}
    for change in changes:
        path, equals, value = change.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise InputError(f"--set {change}: expected FIELD=VALUE", "such as --set min_chars=20")
        if keys[0] in ("boilerplate", "word_lists"):
            raise InputError(f"--set {change}: {keys[0]} changes what is measured", "run a `measure` step with it")
        if keys[0] == "rules" and len(keys) > 1:
            keys[1] = next((name for name in known if name.replace(" ", "_") == keys[1]), keys[1])
            if len(keys) > 2 and keys[1] in known:
                body.setdefault("rules", {}).setdefault(keys[1], known[keys[1]])
        place = body
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise InputError(f"--set {change}: {key} holds no fields", "sapwood stage clean --help shows the fields")
        try:
            place[keys[-1]] = yaml.safe_load(value)
        except yaml.YAMLError as fault:
            raise InputError(
                f"--set {change}: the value is not YAML", "quote it: --set 'rules.x={statistic: bullets, limit: 0.9}'"
            ) from fault
    return body


def _stage(body: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    from sapwood import plugins
    from sapwood.errors import InputError

    cls = plugins.load("stages", "clean")
    try:
        return cls.model_validate(body)
    except ValidationError as fault:
        first = fault.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        hint = plugins.nearest(str(first["loc"][0]), list(cls.model_fields)) if first["type"] == "extra_forbidden" else ""
        raise InputError(
            f"clean.{path}: {first['msg']}. {hint}".rstrip(". ") + ".", "sapwood stage clean --help shows the fields"
        ) from None


def _body(told: Foresight) -> dict[str, Any]:
    from sapwood.text.quality.ledger import STAYED

    def counts(found: Any) -> dict[str, Any]:
        return {"kept": found[STAYED], "dropped": {name: count for name, count in sorted(found.items()) if name != STAYED}}

    grouped = {f"by {name}": {group: dict(found) for group, found in sorted(groups.items())} for name, groups in told.groups.items()}
    totals = {"rows": told.before.total(), "before": counts(told.before), "after": counts(told.after), "changed": dict(told.changed)}
    return {**totals, **grouped, "examples": told.examples}


def _print(body: dict[str, Any]) -> None:
    from rich.console import Console

    from sapwood.runs import terminal

    console = Console(width=80)
    before, after = body["before"], body["after"]
    print(f"{body['rows']:,} rows: {before['kept']:,} kept before, {after['kept']:,} after")
    rules = sorted({*before["dropped"], *after["dropped"]})
    listed = [[name, before["dropped"].get(name, 0), after["dropped"].get(name, 0)] for name in rules]
    if listed:
        console.print(terminal.plain("Dropped by", ["rule", "before", "after"], listed))
    for name in ("language", "source"):
        rows = [[group or "(none)", f["in"], f["kept before"], f["kept after"]] for group, f in body[f"by {name}"].items()]
        rows.sort(key=lambda row: -row[1])
        console.print(terminal.plain(f"By {name}", [name, "in", "kept before", "kept after"], rows[:20]))
    for kind, rows in body["examples"].items():
        if rows:
            print(f"\n{kind}: {body['changed'][kind]:,} rows, such as")
        for row in rows:
            print(f"  {row['rule']} {row['value']} against {row['limit']}  {row['id'][:8]}  {' '.join(row['text'].split())[:100]}")
