"""budflow sandbox: serve authors' code beside the server, see how it is doing, make its base image, let in workers."""

import asyncio
import os
import pwd
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from budflow.cli.draw_sandbox import described_text
from budflow.cli.exit_codes import ServerNotRunning, UsageError
from budflow.cli.options import AsJson, Options
from budflow.cli.report import out, write_json
from budflow.log import configure
from budflow.model.principal import DEFAULT_PROJECT
from budflow.sandbox.access import EXTERNAL_SECONDS, EXTERNAL_SECONDS_MAX, Tickets, read_key
from budflow.sandbox.client import SandboxClient
from budflow.sandbox.daemon_settings import SOCKET_FILE
from budflow.sandbox.keeper import ExistingSandboxd
from budflow.sandbox.open import daemon_settings, directory_of
from budflow.sandbox.relay import Relay
from budflow.sandbox.runners import BROKER_SOCKET, SOCKETS_DIRECTORY

app = typer.Typer(
    no_args_is_help=True, help="Serve authors' code, see how that is doing, make its base image, let in workers."
)

Directory = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where sandboxd has its socket and its key; else where BUDFLOW_SANDBOX_ADDRESS says, or `sandbox` in the "
        "data directory.",
    ),
]


@app.command()
def serve(
    ctx: typer.Context,
    directory: Directory = None,
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help="Become this user, who may speak to Docker; needs root.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="Let the members of this group ask for sandboxes too.")
    ] = None,
    workers_directory: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where workers find their sockets: a short path, seen by Docker under the same name; else a new one "
            "among the temporary files.",
        ),
    ] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Let in external workers with a ticket here, by TLS.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The certificate for --listen, with its chain.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="The key of that certificate.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run sandboxd by itself, until it is told to stop: the one process that speaks to Docker.

    A server starts one of its own with the first code. By itself it can have another user, serve several servers and
    workers of this machine, and let in external workers: give those servers BUDFLOW_SANDBOX_ADDRESS. How it isolates
    and what code may use are the settings `sandbox_…`. With --json one line on stdout tells when it serves.

    Examples:

      budflow sandbox serve --directory /run/budflow-sandbox --user budflow-sandbox --group budflow

      budflow sandbox serve --listen 0.0.0.0:8711 --certificate tls.crt --key tls.key --json
    """
    from budflow import sandboxd  # noqa: PLC0415 - uvloop and the broker: the other commands do not need them

    options: Options = ctx.obj
    settings = options.settings()
    given: dict[str, Any] = {
        "directory": (directory or directory_of(settings)).absolute(),
        "group": group,
        "workers_directory": workers_directory,
        "listen": listen,
        "listen_certificate": certificate,
        "listen_key": key,
    }
    wanted = daemon_settings(settings).model_copy(update=given)
    if user is not None:
        _become(user, wanted.directory)
    configure(settings.log_level)
    asyncio.run(sandboxd.serve(wanted, _tell_json if as_json else _tell))


@app.command()
def status(ctx: typer.Context, directory: Directory = None, as_json: AsJson = False) -> None:
    """Show how code is isolated, the workers, and how much waits.

    Exits with 3 when no sandboxd serves there; that of a server starts with the first code.

    Examples:

      budflow sandbox status

      budflow sandbox status --directory /run/budflow-sandbox --json
    """
    options: Options = ctx.obj
    place = (directory or directory_of(options.settings())).absolute()
    if not (place / SOCKET_FILE).exists():
        raise ServerNotRunning(
            f"No sandboxd serves in {place}.",
            hint="That of a server starts with the first code; or run `budflow sandbox serve`.",
        )
    described = asyncio.run(_describe(place))
    if as_json:
        write_json(described)
    else:
        out().print(described_text(described))


@app.command("build-base")
def build_base(
    ctx: typer.Context,
    tag: Annotated[str | None, typer.Option(help="The image's name; else `budflow-sandbox` and the version.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the image that code runs in out of this Python, without any registry, and tell its digest.

    Examples:

      budflow sandbox build-base

      BUDFLOW_SANDBOX_DOCKER_URL=unix:///run/user/1000/docker.sock budflow sandbox build-base --json
    """
    from budflow.sandbox.docker import base_image  # noqa: PLC0415 - docker-py takes 0.2 s
    from budflow.sandbox.docker.engine import Engine  # noqa: PLC0415 - see the line above

    options: Options = ctx.obj
    engine = Engine(options.settings().sandbox_docker_url)
    try:
        digest = base_image.build_base(engine, tag)
    finally:
        engine.close()
    made = {"image": tag or base_image.base_tag(), "digest": digest}
    if as_json:
        write_json(made)
    else:
        out().print(f"{made['image']} is {digest}", markup=False)


@app.command()
def ticket(
    ctx: typer.Context,
    project: Annotated[str, typer.Option(metavar="ID", help="The project whose code it is to run.")] = DEFAULT_PROJECT,
    seconds: Annotated[
        float, typer.Option(min=1, max=EXTERNAL_SECONDS_MAX, help="How long the worker may take to come with it.")
    ] = EXTERNAL_SECONDS,
    memory_mb: Annotated[
        int, typer.Option(min=0, help="The most memory that it gives to code, in MiB; 0: as the settings say.")
    ] = 0,
    image: Annotated[
        str, typer.Option(help="The digest of the image whose packages it has; else those of the base image.")
    ] = "",
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Make a ticket with which one external worker may come once, to the sandboxd of this directory.

    Whoever has it sees the code and the items of the project that this worker runs. It is shown only here.

    Example: budflow sandbox ticket --project default --seconds 600
    """
    options: Options = ctx.obj
    place = (directory or directory_of(options.settings())).absolute()
    made = Tickets(read_key(place)).issue("external", project, seconds, image=image, memory_mb=memory_mb)
    if as_json:
        write_json({"ticket": made, "project": project, "expires_at": time.time() + seconds})
    else:
        sys.stdout.write(made + "\n")


@app.command()
def relay(
    ctx: typer.Context,
    connect: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where `budflow sandbox serve --listen` listens.")],
    ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The certificates of who signed that of sandboxd; else the system's."),
    ] = None,
    directory: Annotated[Path, typer.Option(metavar="DIR", help="Where the worker finds `broker.sock`.")] = Path(
        SOCKETS_DIRECTORY
    ),
    as_json: AsJson = False,
) -> None:
    """Carry the link of an external worker, from a Unix socket by TLS to sandboxd elsewhere, until told to stop.

    It runs beside the worker, such as in another container of its pod; the worker itself needs no network.
    configs/sandbox/kubernetes.yaml has both.

    Example: budflow sandbox relay --connect sandboxd.example:8711 --ca ca.crt
    """
    options: Options = ctx.obj
    configure(options.settings().log_level)
    link = Relay.to(connect, ca)
    socket = directory.absolute() / BROKER_SOCKET

    async def serve_until_told() -> None:
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        async with link.serving(socket):
            if as_json:
                sys.stdout.write(orjson.dumps({"socket": str(socket), "connect": connect}).decode() + "\n")
                sys.stdout.flush()
            await told.wait()

    asyncio.run(serve_until_told())


async def _describe(place: Path) -> Mapping[str, Any]:
    client = SandboxClient(ExistingSandboxd(f"unix:{place / SOCKET_FILE}"))
    try:
        return await client.describe()
    finally:
        await client.close()


def _become(name: str, directory: Path) -> None:
    """Be this user, with all of its groups, and have the directory belong to it. Raises UsageError."""
    if os.geteuid() != 0:
        raise UsageError("--user needs root.", hint="Start it as that user instead.")
    try:
        entry = pwd.getpwnam(name)
    except KeyError as error:
        raise UsageError(f"There is no user {name}.", hint="Make one, such as by `useradd --system`.") from error
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chown(directory, entry.pw_uid, entry.pw_gid, follow_symlinks=False)  # Who made it may not be root.
    os.initgroups(name, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ.update(HOME=entry.pw_dir, USER=name, LOGNAME=name)


def _tell(told: Mapping[str, Any]) -> None:
    isolation = "external workers only" if told["isolation"] == "external" else f"isolation by {told['isolation']}"
    sys.stderr.write(f"sandboxd serves on {told['socket']}, with {isolation}; Ctrl-C stops it.\n")
    sys.stderr.flush()


def _tell_json(told: Mapping[str, Any]) -> None:
    sys.stdout.write(orjson.dumps({**told, "pid": os.getpid()}).decode() + "\n")
    sys.stdout.flush()
