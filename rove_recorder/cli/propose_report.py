"""`rove episodes propose-report`: how good proposed marks of progress are, where the truth is known."""

from __future__ import annotations

from typing import Annotated

import typer

from rove_recorder.cli.arguments import AsJson, Folder


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("propose-report")(propose_report)


def propose_report(
    folder: Folder,
    fit: Annotated[
        bool, typer.Option("--fit", help="Fit weights on these takeovers; judge each by the other half of the seeds.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare proposals of t_r with what scripted operators knew (ground_truth.jsonl beside the episodes)."""
    import json

    from rove_recorder.labels import progress_evaluation as evaluation
    from rove_recorder.labels.progress_proposal import FEATURES, SHIPPED

    known = evaluation.known_takeovers(folder)
    weights = evaluation.fit(known) if fit else SHIPPED
    errors = evaluation.evaluate(known, evaluation.cross_fitted(known)) if fit else evaluation.evaluate(known)
    if as_json:
        typer.echo(json.dumps(evaluation.as_json(errors, weights), indent=2))
        return
    typer.echo(evaluation.table(errors))
    if fit:
        typer.echo("\nfitted on all of them: mean, scale, weight")
        for name, *values in zip(FEATURES, weights.mean, weights.scale, weights.weight, strict=True):
            typer.echo(f"{name:<42}" + "".join(f"{value:10.4f}" for value in values))
