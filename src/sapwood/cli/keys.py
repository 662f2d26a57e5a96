"""`sapwood keys`: make, list and revoke the API keys of a store's gateway."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sapwood.errors import InputError

if TYPE_CHECKING:
    from sapwood.serving.keys import Key, KeyRing

app = typer.Typer(help="API keys of the gateway.", no_args_is_help=True)
Store = Annotated[Path | None, typer.Option(help="Folder of the store.")]


@app.command()
def create(
    owner: Annotated[str, typer.Option(help="Who holds the key.")],
    scope: Annotated[list[str] | None, typer.Option(help="What it opens; repeat it. Default: infer:predict and feedback:write.")] = None,
    days: Annotated[float | None, typer.Option(min=0, help="Days until it expires; never when left out.")] = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="Most requests a minute.")] = None,
    store: Store = None,
) -> None:
    """Make a key. Its secret is printed this once; only a hash is kept."""
    if not owner.strip():
        raise InputError("a key needs an owner", "sapwood keys create --owner NAME")
    expires = time.time() + days * 86_400 if days is not None else None
    key, secret = _ring(store).create(owner, scope or ["infer:predict", "feedback:write"], expires, rpm)
    typer.echo(f"{key.key_id} for {owner}: {', '.join(key.scopes)}. The secret is shown this once:", err=True)
    typer.echo(secret)


@app.command("list")
def list_keys(
    json: Annotated[bool, typer.Option("--json", help="Print a key file (hashes, no secrets), as serve --key-file reads it.")] = False,
    store: Store = None,
) -> None:
    """List the keys, revoked ones too."""
    from sapwood.serving.keys import rendered

    keys = _ring(store).list()
    if json:
        typer.echo(rendered(keys), nl=False)
        return
    for key in keys:
        typer.echo(f"{key.key_id}  {key.prefix}...  {key.owner}  {','.join(key.scopes)}  {_state(key)}")
    if not keys:
        typer.echo("no keys; make one with: sapwood keys create --owner NAME", err=True)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, as `sapwood keys list` shows it.")], store: Store = None) -> None:
    """Shut a key out. A running gateway follows within a second."""
    key = _ring(store, create=False).revoke(key_id)
    typer.echo(f"{key.key_id} of {key.owner} opens nothing any more")


def _ring(store: Path | None, create: bool = True) -> KeyRing:
    from sapwood.serving.keys import KeyRing
    from sapwood.store.find import open_store

    return KeyRing(open_store(store, create=create).engine)


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if not key.lives(time.time()):
        return f"expired {_day(key.expires_at or 0)}"
    return f"until {_day(key.expires_at)}" if key.expires_at is not None else "no expiry"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
