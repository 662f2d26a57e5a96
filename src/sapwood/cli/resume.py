"""`sapwood resume`: continue a run, or prove that continuing is exact on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sapwood.runs.exactness import Proof
    from sapwood.store.local import LocalStore
    from sapwood.store.run_records import Run


def resume(
    run: Annotated[str, typer.Argument(help="A run's id, the start of one, or `last`.")] = "last",
    verify: Annotated[bool, typer.Option("--verify", help="Prove it: kill a training step at random, continue it, compare.")] = False,
    step: Annotated[str, typer.Option(help="With --verify: the step to prove; every training step of the run when left out.")] = "",
    kills: Annotated[int, typer.Option(min=1, max=1000, help="With --verify: how often each step is killed.")] = 1,
    seed: Annotated[int | None, typer.Option(help="With --verify: draws the moments; by default another draw each time.")] = None,
    workspace: Annotated[Path, typer.Option(help="Folder that the recipe's paths are relative to.")] = Path(),
    store: Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Continue a run as it was written, or prove with --verify that continuing changes nothing.

    With --verify nothing in the store changes: the step is done again beside it, once whole and once for each kill, and
    weights, optimiser, random generators, data cursor and curves are compared byte for byte. Exit code 6 when they differ.

    Examples: sapwood resume last; sapwood resume last --verify --step pretrain --kills 3
    """
    from sapwood.store.find import open_store

    opened = open_store(store, create=False)
    found = opened.records.run(run)
    if verify:
        _verify(opened, found, step, kills, seed, as_json)
    else:
        _continue(opened, found, workspace, as_json)


def _continue(store: LocalStore, run: Run, workspace: Path, as_json: bool) -> None:
    import yaml

    from sapwood import recipe as recipes
    from sapwood.cli.run import follow

    checked = recipes.parse(yaml.safe_dump(run.recipe, allow_unicode=True), f"run {run.id}", workspace.resolve())
    follow(checked, store, {}, None, as_json)


def _verify(store: LocalStore, run: Run, step: str, kills: int, seed: int | None, as_json: bool) -> None:
    import random
    import tempfile

    from sapwood.errors import InputError, Refused
    from sapwood.runs import exactness
    from sapwood.stage import Resources

    able = {one["step"]: one for one in exactness.resumable(run)}
    if not able or (step and step not in able):
        raise InputError(
            f"run {run.id} has no finished training step{f' {step!r}' if step else ''}", f"it has: {', '.join(able) or 'none'}"
        )
    known = run.recipe.get("resources") or {}
    resources = Resources.model_validate({name: known[name] for name in Resources.model_fields if name in known})
    draw, proofs = random.Random(seed), []
    for one in [able[step]] if step else able.values():
        with tempfile.TemporaryDirectory(dir=store.layout.tmp, prefix="resume-") as folder:
            for proof in exactness.prove(
                store, one, resources, Path(folder), draw, kills, lambda text: print(text) if not as_json else None
            ):
                proofs.append(proof)
                _tell(proof, as_json)
    wrong = [proof for proof in proofs if not proof.exact]
    if wrong:
        raise Refused(f"{len(wrong)} of {len(proofs)} continued runs differ from the whole one", "see `sapwood doctor`; report this")


def _tell(proof: Proof, as_json: bool) -> None:
    if as_json:
        body: dict[str, Any] = {**proof._asdict(), "exact": proof.exact, "compared": {one.what: one.equal for one in proof.compared}}
        print(json.dumps(body, ensure_ascii=False))
        return
    for one in proof.compared:
        print(f"  {'equal' if one.equal else 'DIFFERS':<8} {one.what}")
    print(f"{proof.step}: {'exact' if proof.exact else 'NOT exact'}: killed after step {proof.killed_at} of {proof.steps}")
