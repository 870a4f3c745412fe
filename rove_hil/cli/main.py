"""The `rove` command: sub-commands from entry points, errors as one line and a hint."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated

import typer

from rove_core import __version__
from rove_core.command_group import add_unavailable_command
from rove_core.errors import RoveError

# Packages that must not import one another each bring their commands: name -> `register(app: typer.Typer) -> None`.
COMMANDS_GROUP = "rove.commands"

EXIT_ERROR = 1  # something that the user can put right: one line and a hint
EXIT_BUG = 2  # something that we have to put right (also wrong usage, as click has it)
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def build() -> typer.Typer:
    """The command with every sub-command that is installed."""
    app = typer.Typer(
        help="Deploy a policy on a humanoid, take over by hand, keep every attempt.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,  # `main` prints errors
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for entry in sorted(entry_points(group=COMMANDS_GROUP), key=lambda entry: entry.name):
        _register(app, entry)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # --debug counts wherever it stands: who sees an error adds it to the end of the line.
    debug = "--debug" in arguments
    if debug:
        arguments.remove("--debug")
    sys.exit(run(lambda: build()(arguments, prog_name="rove", standalone_mode=True), debug=debug))


def run(command: Callable[[], object], *, debug: bool) -> int:
    """Call `command`, turn what it raises into lines on stderr, and return the exit code."""
    try:
        command()
    except RoveError as error:
        if debug:
            traceback.print_exc()
        typer.echo(f"error: {error}", err=True)
        if error.hint:
            typer.echo(f"hint: {error.hint}", err=True)
        return EXIT_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except SystemExit as leaving:  # click leaves with its exit code
        return leaving.code if isinstance(leaving.code, int) else EXIT_ERROR if leaving.code else 0
    except Exception as error:  # noqa: BLE001 - the outermost edge: a bug, and its traceback is for those who ask
        if debug:
            traceback.print_exc()
        else:
            typer.echo(f"error: {type(error).__name__}: {error}".splitlines()[0], err=True)
            typer.echo("hint: run with --debug for the traceback", err=True)
        return EXIT_BUG
    return 0


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rove {__version__}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks with errors.")] = False,
) -> None:
    """Options before the sub-command. `main` has taken --debug out already; it stands here for --help."""


def _register(app: typer.Typer, entry: EntryPoint) -> None:
    """Add the commands of one entry point; one that cannot be imported must not take the others along."""
    try:
        register = entry.load()
    except ImportError as error:
        add_unavailable_command(app, entry.name, f"rove {entry.name}", str(error))
        return
    register(app)


if __name__ == "__main__":
    main()
