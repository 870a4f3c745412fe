"""`rove deploy`: a session from one command."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from rove_core.errors import ConfigError, RecordingError
from rove_hil.cli.inputs import check_inputs
from rove_hil.session.deployment import describe
from rove_hil.session.settings import Settings, bundle_folder, domain_id

# Prints the table of a session's episodes: `summarise(session_dir, *, html) -> str`.
SUMMARIES_GROUP = "rove.session_summaries"

# A minute of one camera is some 30 MB; less than this would not hold an attempt.
MIN_FREE_MB = 500

TASKS = ("whiteboard", "toaster")


def register(app: typer.Typer) -> None:
    """Add `deploy` to the command."""
    app.command("deploy")(deploy)


def deploy(
    out: Annotated[Path, typer.Option(help="Folder for sessions; this one gets a folder in it.")],
    robot: Annotated[str, typer.Option(help="`sim`, or the name of a robot whose driver runs.")] = "sim",
    task: Annotated[
        str, typer.Option(help="What is attempted; the simulation has whiteboard and toaster.")
    ] = "whiteboard",
    policy: Annotated[str, typer.Option(help="Folder of a policy bundle, a shipped one's name, or none.")] = "none",
    operator: Annotated[
        str, typer.Option(help="scripted:PROFILE (expert, typical, clumsy), mocap:URL or none.")
    ] = "none",
    operator_name: Annotated[
        str, typer.Option(help="Who, as measured by `rove mocap calibrate`.", show_default="built like the robot")
    ] = "",
    mocap_key: Annotated[str, typer.Option(help="Public key of the motion-capture source (.key).")] = "",
    mocap_own_key: Annotated[str, typer.Option(help="The robot's own key pair (.key_secret).")] = "",
    supervisor: Annotated[
        str | None, typer.Option(help="scripted, keyboard, pedal or none.", show_default="fits the operator")
    ] = None,
    takeover_way: Annotated[
        str, typer.Option(help="How the operator's motion becomes the robot's: absolute, clutch or blended.")
    ] = "absolute",
    takeover_groups: Annotated[
        str, typer.Option(help="Joint groups that the operator drives, comma-separated.", show_default="all")
    ] = "",
    guard: Annotated[
        str, typer.Option(help="self_collision: slow and hold what would run the robot into itself; or off.")
    ] = "off",
    workspace: Annotated[
        Path | None, typer.Option(help="Where the palms may be (YAML).", show_default="anywhere")
    ] = None,
    instruction: Annotated[str, typer.Option(help="What the policy is told.", show_default="fits the task")] = "",
    episodes: Annotated[int, typer.Option(min=1, help="Attempts.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of scenes and scripted people.")] = 0,
    speed: Annotated[float, typer.Option(min=0.1, max=20, help="Simulated seconds per second.")] = 1.0,
    start_stage: Annotated[int, typer.Option(min=0, help="Progress stage that attempts start from.")] = 0,
    start_stages: Annotated[
        str, typer.Option(help="Attempts per start stage, as in 0:5,2:3, instead of --start-stage and --episodes.")
    ] = "",
    max_attempt_s: Annotated[
        float, typer.Option(min=0, help="An attempt that takes longer is paused and people are asked; 0: no limit.")
    ] = 180.0,
    demonstrations: Annotated[bool, typer.Option(help="The operator does the whole task.")] = False,
    cameras: Annotated[str, typer.Option(help="Cameras to run and record, comma-separated.")] = "head",
    compressed: Annotated[
        str, typer.Option(help="Cameras of which the recorder takes the CompressedImage.", show_default="none")
    ] = "",
    mcap: Annotated[bool, typer.Option(help="Raw messages beside every episode, for Foxglove.")] = False,
    device: Annotated[str, typer.Option(help="Where the policy runs: cpu or cuda.")] = "cpu",
    offers: Annotated[
        Path | None, typer.Option(help="Folder to watch for new policy bundles.", show_default="none")
    ] = None,
    join: Annotated[
        str,
        typer.Option(
            help="How a chunk joins the one before: replace, blend, ensemble or rtc.", show_default="as the bundle says"
        ),
    ] = "",
    condition: Annotated[str, typer.Option(help="Condition text for the policy.", show_default="the bundle's")] = "",
    cfg_beta: Annotated[
        float, typer.Option(help="Weight of classifier-free guidance.", show_default="the bundle's")
    ] = -1.0,
    domain: Annotated[
        int | None, typer.Option(min=0, max=232, help="ROS domain.", show_default="ROS_DOMAIN_ID")
    ] = None,
    pedal: Annotated[
        list[str] | None, typer.Option(help="Pedal of the mapping: NAME or NAME=/dev/input/by-id/... (repeatable).")
    ] = None,
    joy: Annotated[
        list[str] | None, typer.Option(help="Controller of the mapping: NAME or NAME=TOPIC (repeatable).")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="What keys, pedals and buttons mean.", show_default="as shipped")
    ] = None,
    report: Annotated[bool, typer.Option(help="Write OUT/report.html with pictures and plots.")] = False,
) -> None:
    """Run attempts with a policy and people, and leave one episode on disk for each."""
    if domain is not None:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
    domain = domain_id()
    simulated = robot == "sim"
    if simulated and task not in TASKS:
        raise ConfigError(f"the simulation has no task '{task}'", f"tasks: {', '.join(TASKS)}")
    pedals, joys = tuple(pedal or ()), tuple(joy or ())
    check_inputs(mapping, pedals, joys)
    if supervisor is None:
        supervisor = "scripted" if simulated and not operator.startswith("mocap") else "keyboard"
    if supervisor == "keyboard" and not sys.stdin.isatty():
        raise ConfigError(
            "a keyboard supervisor needs a terminal", "add --supervisor scripted (simulation), pedal or none"
        )
    session_dir = out / f"{datetime.now(UTC):%Y%m%dT%H%M%S}_{task}"
    settings = Settings(
        out_dir=session_dir.absolute(),
        robot=robot,
        model="iron_r01" if simulated else robot,
        task=task,
        policy=bundle_folder(policy),
        operator=operator,
        operator_name=operator_name,
        mocap_key=mocap_key,
        mocap_own_key=mocap_own_key,
        supervisor=supervisor,
        takeover_way=takeover_way,
        takeover_groups=tuple(name for name in takeover_groups.split(",") if name),
        guard=guard,
        workspace=str(workspace.absolute()) if workspace else "",
        instruction=instruction,
        episodes=episodes,
        seed=seed,
        speed=speed,
        start_stage=start_stage,
        start_stages=start_stages,
        max_attempt_s=max_attempt_s,
        demonstrations=demonstrations,
        cameras=tuple(name for name in cameras.split(",") if name),
        compressed=tuple(name for name in compressed.split(",") if name),
        mcap=mcap,
        device=device,
        offers="" if offers is None else str(offers.absolute()),
        join=join,
        condition=condition,
        cfg_beta=cfg_beta,
        domain=domain,
        pedals=pedals,
        joys=joys,
        mapping=mapping.absolute() if mapping else None,
    )
    _check_space(out)
    code = 1
    try:
        with _domain_taken(domain):
            code = _run(settings)
    finally:  # whatever happened: what was recorded is there, and people want to know where
        if settings.out_dir.is_dir() and any(settings.out_dir.glob("*.zarr*")):
            typer.echo(_summary(settings.out_dir, out / "report.html" if report else None))
    if code:
        raise typer.Exit(code)


def _run(settings: Settings) -> int:
    deployment = describe(settings)
    # This process joins the domain too, so it needs the same transport as the nodes.
    os.environ.update(deployment.env)
    from rove_hil.ros.deployment_runner import DeploymentRunner  # needs ROS, which --help must not

    try:
        settings.out_dir.mkdir(parents=True)
    except OSError as error:
        raise RecordingError(f"cannot make {settings.out_dir}: {error.strerror}", "choose another --out") from None
    say, show = _printers(live=sys.stdout.isatty() and settings.supervisor != "keyboard")
    say(f"session {settings.out_dir}")
    return DeploymentRunner(deployment, settings, say, show).run()


def _printers(*, live: bool) -> tuple[Callable[[str], None], Callable[[str], None] | None]:
    """Functions that print a line for good, and (on a terminal) one that the next overwrites."""
    erase = "\r\x1b[K" if live else ""

    def say(line: str) -> None:
        typer.echo(f"{erase}{line}")

    def show(line: str) -> None:
        typer.echo(f"{erase}{line}", nl=False)

    return say, show if live else None


def _check_space(out: Path) -> None:
    """Refuse a folder that could not hold an attempt. Raises RecordingError."""
    hint = "choose another --out"
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise RecordingError(f"cannot write to {out}: {error.strerror}", hint) from None
    free_mb = shutil.disk_usage(out).free // 2**20
    if free_mb < MIN_FREE_MB:
        raise RecordingError(f"{out} has {free_mb} MB free, an attempt may need {MIN_FREE_MB} MB", hint)


@contextmanager
def _domain_taken(domain: int) -> Iterator[None]:
    """Keep a second `rove deploy` of this host out of the domain, before it starts anything."""
    path = Path(tempfile.gettempdir()) / f"rove-deploy-domain-{domain}.lock"
    try:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    except PermissionError:
        # Another user's lock: supervisor_node finds out by listening.
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        message = f"another `rove deploy` runs in ROS domain {domain}"
        raise ConfigError(message, "end it, or choose another with --domain") from None
    try:
        yield
    finally:
        os.close(handle)


def _summary(session_dir: Path, html: Path | None) -> str:
    """The table of the session's episodes, by whoever can read them."""
    for entry in entry_points(group=SUMMARIES_GROUP):
        return str(entry.load()(session_dir, html=html))
    return f"episodes are in {session_dir}"
