"""budflow credential: store, grant, test and rotate secrets, whose values are written and never read."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from budflow.cli.client import Client, connect
from budflow.cli.credential_changes import changed_hosts, grants_named, require_granted
from budflow.cli.credential_options import (
    Cursor,
    FileOption,
    GrantOption,
    HostOption,
    Kind,
    Name,
    NewName,
    ProbeOption,
    a_new_name,
    grants_given,
)
from budflow.cli.credential_values import values_from_file, values_from_prompt
from budflow.cli.draw import moment
from budflow.cli.draw_credentials import (
    credential_page,
    credentials_table,
    kind_page,
    kinds_table,
    rotation_text,
    uses_table,
)
from budflow.cli.exit_codes import FAILED, UsageError
from budflow.cli.options import AsJson
from budflow.cli.report import out, progress, write_json, write_page
from budflow.graph.suggest import closest
from budflow.services.kind_fields import KindField, fields_of

app = typer.Typer(
    no_args_is_help=True, help="Store, grant, test and rotate secrets, whose values are written and never read."
)


@app.command()
def add(
    ctx: typer.Context,
    kind: Kind,
    name: NewName,
    host: HostOption = None,
    grant: GrantOption = None,
    file: FileOption = None,
    probe: ProbeOption = None,
    as_json: AsJson = False,
) -> None:
    """Store a credential, encrypted. Its values come from a file or are asked for, never from arguments.

    Without --grant it may be used by the workflow versions that you save.

    Examples:

      budflow credential add --kind bearer --name crm --host crm.example.com

      budflow credential add --kind basic --name mail --host mail.example.com --grant project --file values.json
    """
    with connect(ctx.obj) as client:
        values = values_from_prompt(_fields(client, kind)) if file is None else values_from_file(file)
        view = client.post(
            "/credentials",
            {
                "kind": kind,
                "name": name,
                "values": values,
                "hosts": host or [],
                "grants": grants_named(grant) if grant else None,
                "probe": probe and {"url": probe},
            },
        )
    if as_json:
        write_json(view)
        return
    out().print(f"{view['name']} is stored.", markup=False)
    out().print(credential_page(view))


@app.command("list")
def list_credentials(
    ctx: typer.Context,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Only those of this kind.")] = None,
    name: Annotated[str | None, typer.Option(help="Only those whose name contains this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 50,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List credentials by name, without their values.

    Example: budflow credential list --kind bearer
    """
    with connect(ctx.obj) as client:
        page = client.get("/credentials", kind=kind, name=name, limit=limit, cursor=cursor)
    write_page(page, "credentials", credentials_table, as_json=as_json)


@app.command()
def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show a credential: which values are set, where it may be sent, who may use it.

    Example: budflow credential show crm
    """
    with connect(ctx.obj) as client:
        view = client.get(f"/credentials/{name}")
    if as_json:
        write_json(view)
    else:
        out().print(credential_page(view))


@app.command()
def update(
    ctx: typer.Context,
    name: Name,
    new_name: Annotated[
        str | None,
        typer.Option(
            "--name", callback=a_new_name, metavar="NAME", help="Another name; workflows that say the old one lose it."
        ),
    ] = None,
    file: FileOption = None,
    prompt: Annotated[bool, typer.Option("--prompt", help="Ask for values; what is left empty stays.")] = False,
    host: HostOption = None,
    remove_host: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="No longer send it there; repeatable.")
    ] = None,
    grant: GrantOption = None,
    revoke: Annotated[
        list[str] | None,
        typer.Option(callback=grants_given, metavar="WHO", help="Who may no longer use it; repeatable."),
    ] = None,
    probe: ProbeOption = None,
    remove_probe: Annotated[bool, typer.Option("--remove-probe", help="Forget the address to test it at.")] = False,
    as_json: AsJson = False,
) -> None:
    """Change a credential; what is not named stays. More hosts need its secret values anew.

    Examples:

      budflow credential update crm --file values.json

      budflow credential update crm --grant workflow:WORKFLOW_ID --revoke project

      budflow credential update crm --host api.example.com --prompt
    """
    if file is not None and prompt:
        raise UsageError("--file and --prompt cannot both give the values.")
    if probe is not None and remove_probe:
        raise UsageError("--probe and --remove-probe cannot both be meant.")
    with connect(ctx.obj) as client:
        before = client.get(f"/credentials/{name}")
        change: dict[str, Any] = {}
        if new_name is not None:
            change["name"] = new_name
        if probe is not None or remove_probe:
            change["probe"] = None if probe is None else {"url": probe}
        if host or remove_host:
            change["hosts"] = changed_hosts(before["hosts"], host or (), remove_host or ())
        # Not the grants as a whole, which somebody else may be changing as well.
        if grant:
            change["grant"] = grants_named(grant)
        if revoke:
            require_granted(before["grants"], revoke)
            change["revoke"] = grants_named(revoke)
        if file is not None:
            change["values"] = values_from_file(file)
        elif prompt and (entered := values_from_prompt(_fields(client, before["kind"]), all_optional=True)):
            change["values"] = entered
        if not change:
            raise UsageError("There is nothing to change.", hint="Name what to change; see --help.")
        if "hosts" in change or "values" in change:
            change["expected_revision"] = before["revision"]
        view = client.patch(f"/credentials/{before['id']}", change)
    if as_json:
        write_json(view)
    else:
        out().print(credential_page(view))


@app.command()
def delete(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a credential with its values; nodes that need it fail from then on.

    Example: budflow credential delete crm --yes
    """
    with connect(ctx.obj) as client:
        if not yes:
            latest = client.get(f"/credentials/{name}/uses", limit=1)["uses"]
            typer.confirm(f"{_last_use(latest)} Delete {name} for good?", abort=True, err=True)
        view = client.delete(f"/credentials/{name}")
    if as_json:
        write_json(view)
    else:
        out().print(f"{name} is deleted. Who used it: budflow credential uses {view['deleted']}", markup=False)


@app.command()
def test(
    ctx: typer.Context,
    name: Name,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Send a GET there, instead of what the credential or its kind names."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try a credential by a real, harmless request. Exits with 0 when it works, else with 1.

    Example: budflow credential test crm --url https://crm.example.com/me
    """
    with connect(ctx.obj) as client, progress("Trying …"):
        view = client.post(f"/credentials/{name}/test", {"probe": url and {"url": url}})
    if as_json:
        write_json(view)
    else:
        said = {True: "works", False: "does not work", None: "could not be tried"}[view["works"]]
        out().print(f"{name} {said}. {view['answer']}", markup=False)
    if view["works"] is not True:
        raise typer.Exit(FAILED)


@app.command()
def uses(
    ctx: typer.Context,
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 50,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List who used a credential, in which workflow, node and execution, newest first; by its id, also a deleted one.

    Example: budflow credential uses crm
    """
    with connect(ctx.obj) as client:
        page = client.get(f"/credentials/{name}/uses", limit=limit, cursor=cursor)
    write_page(page, "uses", uses_table, as_json=as_json)


@app.command()
def kinds(
    ctx: typer.Context,
    kind: Annotated[str | None, typer.Argument(help="Show the fields of this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the kinds of credentials, or the fields of one.

    Example: budflow credential kinds bearer
    """
    with connect(ctx.obj) as client:
        view = client.get("/credential-kinds") if kind is None else _kind(client, kind)
    if as_json:
        write_json(view)
    else:
        out().print(kinds_table(view["kinds"]) if kind is None else kind_page(view))


@app.command()
def request(
    ctx: typer.Context,
    kind: Kind,
    name: NewName,
    reason: Annotated[str, typer.Option(help="What for, as the person reads it.")],
    host: HostOption = None,
    grant: GrantOption = None,
    as_json: AsJson = False,
) -> None:
    """Make a link by which somebody else enters a credential; it works once.

    Example: budflow credential request --kind bearer --name crm --host crm.example.com --reason "To read prices"
    """
    grants = grants_named(grant) if grant else None
    body = {"kind": kind, "name": name, "hosts": host or [], "grants": grants, "reason": reason}
    with connect(ctx.obj) as client:
        view = client.post("/credential-requests", body)
    if as_json:
        write_json(view)
        return
    # Alone in its line and never folded: it is there to be copied.
    typer.echo(view["url"])
    out().print(f"Works once, until {moment(view['expires_at'])}.", markup=False)


@app.command("rotate-key")
def rotate_key(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Wrap all credentials with a new encryption key, while they stay in use. One that was cut short goes on.

    Exits with 1 when some could not be wrapped.

    Example: budflow credential rotate-key
    """
    with connect(ctx.obj) as client, progress("Wrapping …"):
        view = client.post("/encryption-keys/rotate")
    if as_json:
        write_json(view)
    else:
        out().print(rotation_text(view))
    if view["left"]:
        raise typer.Exit(FAILED)


def _last_use(latest: Sequence[Mapping[str, Any]]) -> str:
    if not latest:
        return "No node has used it."
    [use] = latest
    return f"It was last used at {moment(use['used_at'])}, by `{use['node']}` of {use['workflow_id']}."


def _kind(client: Client, name: str) -> dict[str, Any]:
    known = {one["name"]: one for one in client.get("/credential-kinds")["kinds"]}
    if name not in known:
        match = closest(name, known)
        meant = f"Did you mean {match}? " if match else ""
        raise UsageError(f"There is no kind `{name}`.", hint=f"{meant}There are: {', '.join(known)}.")
    found: dict[str, Any] = known[name]
    return found


def _fields(client: Client, kind: str) -> tuple[KindField, ...]:
    return fields_of(_kind(client, kind)["values"])
