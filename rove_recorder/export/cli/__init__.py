"""`rove export`: episodes to where they are trained on. `rove export DIR --to URL` is short for `rove export send`."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from rove_recorder.export.cli import prune, send, timer, verify

_DEFAULT = "send"


class _SendByDefault(TyperGroup):
    """Takes words that name no sub-command for those of `send`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add `rove export` to the command."""
    group = typer.Typer(
        cls=_SendByDefault,
        help="Send episodes to a folder, an ssh account or an S3 bucket: rove export DIR --to URL.",
        no_args_is_help=True,
    )
    for module in (send, verify, prune, timer):
        module.register(group)
    app.add_typer(group, name="export")
