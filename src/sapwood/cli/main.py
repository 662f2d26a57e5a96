"""The `sapwood` command. Commands load what they need when they run, so that `--help` answers at once."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from difflib import get_close_matches
from importlib import import_module

import typer

from sapwood import __version__
from sapwood.errors import SapwoodError

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("sapwood.cli.init", "Write a new workspace with a commented recipe."),
    "doctor": ("sapwood.cli.doctor", "Check this machine, and say what mends it."),
    "samples": ("sapwood.cli.samples", "Real text and models that package registries carry."),
    "plan": ("sapwood.cli.run", "Show the filled recipe, what is reused and what it costs."),
    "run": ("sapwood.cli.run", "Run a recipe; finished steps are reused."),
    "train": ("sapwood.cli.train", "Look at what a training step will see, before it trains."),
    "study": ("sapwood.cli.study", "Run a recipe many times: a search, or a scaling law."),
    "resume": ("sapwood.cli.resume", "Continue a run, or prove that continuing is exact."),
    "show": ("sapwood.cli.show", "Look at a run, an artifact or a model."),
    "diff": ("sapwood.cli.show", "Compare two runs: recipe, data, scores."),
    "why": ("sapwood.cli.why", "Say in plain words what happened to a run."),
    "trace": ("sapwood.cli.trace", "From an answer to its documents, and from a document to its models."),
    "data": ("sapwood.cli.data", "Look into rows, compare two versions, write their card."),
    "report": ("sapwood.cli.report", "Write a run's report as one HTML file."),
    "stages": ("sapwood.cli.stages", "List stages and actions."),
    "stage": ("sapwood.cli.stages", "Show or run one stage."),
    "schema": ("sapwood.cli.stages", "Print the JSON Schema of recipes, for editors."),
    "serve": ("sapwood.cli.serve", "Serve a model's champion over HTTP."),
    "export": ("sapwood.cli.export", "Write a proven bundle, or rows with their card, as a folder."),
    "keys": ("sapwood.cli.keys", "API keys: create, list, revoke."),
    "feedback": ("sapwood.cli.feedback", "List feedback, or add a correction."),
    "cycle": ("sapwood.cli.cycle", "Look at the turns of the loop."),
    "store": ("sapwood.cli.store", "Verify, reindex or clean the store."),
}
"""Command -> (module, help). The module has a function of the command's name, or a typer app called `app`."""


HELP_NAMES = {"help_option_names": ["-h", "--help"]}
HEAD = """Usage: sapwood COMMAND [ARGS]...

  Grow a language model from your own text and keep it alive.

Commands:
"""
TAIL = """
Options:
  --version   Show the version.
  --debug     After a command: show a traceback with an error.
  --help      Show this, or a command's own help: sapwood COMMAND --help.

Start: sapwood doctor; sapwood init my-project; sapwood run recipe.yaml
"""


def overview() -> str:
    """The text of `sapwood --help`."""
    return HEAD + "".join(f"  {name:<10} {text}\n" for name, (_, text) in COMMANDS.items()) + TAIL


def application(command: str) -> typer.Typer:
    """The typer app of one command, imported now."""
    module = import_module(COMMANDS[command][0])
    function = getattr(module, command, None)
    if not callable(function):
        app: typer.Typer = module.app
        app.pretty_exceptions_enable = False
        app.info.context_settings = HELP_NAMES
        return app
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    extra = getattr(module, "OPTIONS", {}).get(command, {"context_settings": HELP_NAMES})
    app.command(name=command, help=function.__doc__, **extra)(function)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Entry point: run a command; a `SapwoodError` becomes its message and its exit code."""
    # Threads that wait by spinning take the core from whoever they wait for: with one other busy program a training step took
    # 1.3 to 3.4 s instead of 0.3 s. Must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    if not debug:  # what libraries tell their developers is nothing that a user can act on
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview(), end="")
        sys.exit(0)
    if arguments[0] in ("--version", "-V"):
        print(f"sapwood {__version__}")
        sys.exit(0)
    command, *rest = arguments
    if command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, 1)
        print(
            f"sapwood: no command is called {command!r}. " + (f"Did you mean {near[0]}?" if near else "See sapwood --help"), file=sys.stderr
        )
        sys.exit(2)
    try:
        application(command)(args=rest, prog_name=f"sapwood {command}")
    except SapwoodError as error:
        if debug:
            raise
        print(f"sapwood: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if debug:
            raise
        print(
            f"sapwood: {error.filename or 'a file'}: {error.strerror or error}\n  next: check that path and who may write there",
            file=sys.stderr,
        )
        sys.exit(7)
    except KeyboardInterrupt:
        print("sapwood: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
