"""`sapwood feedback`: read what came back about served answers, and add a correction by hand."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sapwood.watching.feedback import FeedbackLog

app = typer.Typer(help="Feedback about served answers.", no_args_is_help=True)
Store = Annotated[Path | None, typer.Option(help="Folder of the store.")]


@app.command("list")
def list_feedback(
    model: Annotated[str, typer.Option(help="Only about answers of this model name.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Most records, newest first.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    store: Store = None,
) -> None:
    """List feedback, newest first."""
    import json as encoder

    log = _log(store)
    records = log.recent(model, limit)
    if json:
        typer.echo(encoder.dumps([asdict(record) for record in records], ensure_ascii=False, indent=1))
        return
    for record in records:
        said = record.correction or record.string_value or record.value
        state = f"quarantined: {record.quarantine}" if record.quarantine else "trusted" if record.trusted else "untrusted"
        used = f", used by {record.consumed_by}" if record.consumed_by else ""
        typer.echo(f"{record.id}  {record.response_id}  {record.name}={said}  {state}{used}")
    if model:
        typer.echo("  ".join(f"{name} {count}" for name, count in log.counts(model).items()))


@app.command()
def add(
    response_id: Annotated[str, typer.Argument(help="The answer it is about (x-response-ids of /predict).")],
    correction: Annotated[str, typer.Option(help="The label the answer should have had.")],
    explanation: Annotated[str, typer.Option(help="Why; personal data in it is masked.")] = "",
    by: Annotated[str, typer.Option(help="Who says so, in your own ids.")] = "",
    id: Annotated[str | None, typer.Option("--id", help="Idempotency key; made for you when left out.")] = None,
    store: Store = None,
) -> None:
    """Correct an answer. Whoever can write to the store is trusted."""
    from pydantic import ValidationError

    from sapwood.errors import InputError
    from sapwood.watching.feedback import Score, Source

    try:
        score = Score(id=id, response_id=response_id, correction=correction, explanation=explanation, source=Source(source_id=by))
    except ValidationError as fault:
        first = fault.errors()[0]
        raise InputError(f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']}", "sapwood feedback add --help") from None
    record = _log(store).add([score], trusted=True)[0]
    out_of_use = f" (quarantined: {record.quarantine})" if record.quarantine else ""
    typer.echo(f"{record.id}: {record.response_id} should be {record.correction}{out_of_use}")


def _log(store: Path | None) -> FeedbackLog:
    from sapwood.store.find import open_store
    from sapwood.watching.feedback import FeedbackLog

    return FeedbackLog(open_store(store, create=False).engine)
