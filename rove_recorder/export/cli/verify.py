"""`rove export verify URL`: does a target hold what its manifests say?"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from rove_recorder.export.cli.arguments import EXIT_PROBLEMS, AsJson, Jobs, SshConfig, try_again_later


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("verify")(verify)


def verify(
    url: Annotated[str, typer.Argument(help="The target, as given to --to.", show_default=False)],
    robot: Annotated[str, typer.Option(help="Only what this robot sent.", show_default="all robots")] = "",
    hashes: Annotated[
        bool, typer.Option("--hashes", help="Hash every file there; else names and sizes are compared.")
    ] = False,
    jobs: Jobs = 4,
    ssh_config: SshConfig = None,
    as_json: AsJson = False,
) -> None:
    """Compare a target with its manifests; exit code 1 with one line per problem, 75 when it does not answer."""
    from rove_recorder.export.targets import open_target
    from rove_recorder.export.verify import verify as verify_target

    target = open_target(url, jobs, ssh_config)
    try:
        with try_again_later():
            result = verify_target(target, robot, hashed=hashes, jobs=jobs)
    finally:
        target.close()
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2))
    else:
        for problem in result.problems:
            typer.echo(problem)
        what = f"{result.episodes} episodes, {result.data_sets} data sets, {result.files} files"
        typer.echo(f"{what} of {result.manifests} manifests, {len(result.problems)} problems")
    if result.problems:
        raise typer.Exit(EXIT_PROBLEMS)
