"""`budflow credential`: values come in by a file or a prompt, and nothing ever shows them."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.cli.conftest import Cli, OwnerThread, told, workflow, write
from tests.processes import BUDFLOW, SECONDS, command, environment, serving

VALUE = "canary-51c0ffee"
pytestmark = pytest.mark.usefixtures("served")


@pytest.fixture
def values(tmp_path: Path) -> Path:
    """A file with a token that only its owner can read."""
    file = write(tmp_path / "values.json", {"token": VALUE})
    file.chmod(0o600)
    return file


@pytest.fixture
def crm(cli: Cli, values: Path) -> Iterator[str]:
    """The name of a stored credential."""
    cli("credential", "add", "--kind", "bearer", "--name", "crm", "--host", "crm.example.com", "--file", values)
    yield "crm"
    cli("credential", "delete", "crm", "--yes", exits=None)


@pytest.fixture
def api() -> Iterator[str]:
    """The address of a service that lets in who has the token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.headers["Authorization"] == f"Bearer {VALUE}" else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_is_added_is_listed_and_shown_without_its_value(cli: Cli, crm: str) -> None:
    listed = cli("credential", "list").stdout
    shown = cli("credential", "show", crm).stdout
    whole = told(cli("credential", "show", crm, "--json"))

    assert "crm.example.com" in listed
    assert "principal:owner" in listed
    assert "token" in shown
    assert (whole["kind"], whole["fields"], whole["grants"]["principals"]) == ("bearer", ["token"], ["owner"])
    assert told(cli("credential", "show", whole["id"], "--json")) == whole
    assert VALUE not in listed + shown + str(whole)


def test_a_list_is_filtered_and_goes_on_at_its_cursor(cli: Cli, crm: str, values: Path) -> None:
    cli("credential", "add", "--kind", "bearer", "--name", "crm-2", "--host", "*", "--file", values)

    first = told(cli("credential", "list", "--name", "crm", "--limit", 1, "--json"))
    second = told(cli("credential", "list", "--cursor", first["next_cursor"], "--json"))

    assert [one["name"] for one in first["credentials"] + second["credentials"]] == ["crm", "crm-2"]
    assert "--cursor crm" in cli("credential", "list", "--limit", 1).stdout
    assert told(cli("credential", "list", "--kind", "basic", "--json"))["credentials"] == []
    cli("credential", "delete", "crm-2", "--yes")


def test_values_come_from_stdin_too(cli: Cli) -> None:
    added = told(
        cli(
            *("credential", "add", "--kind", "basic", "--name", "mail", "--host", "mail.example.com"),
            *("--grant", "project", "--grant", "principal:anna", "--file", "-", "--json"),
            stdin=orjson.dumps({"user": "ada", "password": VALUE}).decode(),
        )
    )

    assert added["fields"] == ["password", "user"]
    assert added["grants"] == {"project": True, "principals": ["anna"], "workflows": []}
    asked = cli("credential", "delete", "mail", stdin="n\n", exits=1)
    assert "No node has used it. Delete mail for good?" in asked.stderr
    assert told(cli("credential", "delete", "mail", "--yes", "--json")) == {"deleted": added["id"]}
    assert "credential.not_found" in cli("credential", "show", "mail", exits=1).stderr


def test_there_is_no_option_that_takes_a_value(cli: Cli) -> None:
    for name in ("--value", "--values", "--token", "--secret", "--password"):
        refused = cli("credential", "add", "--kind", "bearer", "--name", "x", name, VALUE, exits=2)
        assert "No such option" in refused.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (VALUE, "not JSON"),
        (f'{{"token": {VALUE}}}', "not JSON"),
        (f'["{VALUE}"]', "no JSON object"),
        (f'{{"token": "{VALUE}", "token": "{VALUE}"}}', "more than once"),
        (f'{{"token": "{VALUE} \\ud800"}}', "surrogate"),
        ("", "not JSON"),
    ],
)
def test_a_malformed_file_is_refused_without_being_quoted(cli: Cli, tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "values.json"
    file.write_text(content)
    file.chmod(0o600)

    for extra in ((), ("--json",)):
        refused = cli("credential", "add", "--kind", "bearer", "--name", "x", "--file", file, *extra, exits=2)
        assert said in refused.stderr
        assert VALUE not in refused.output


def test_a_file_that_is_not_there_is_wrong_usage(cli: Cli, tmp_path: Path) -> None:
    refused = cli("credential", "add", "--kind", "bearer", "--name", "x", "--file", tmp_path / "none", exits=2)

    assert "cannot be read" in refused.stderr


def test_faulty_values_are_told_all_at_once_and_not_quoted(cli: Cli, tmp_path: Path) -> None:
    file = write(tmp_path / "values.json", {"token": f"{VALUE} with spaces", "user": VALUE})
    file.chmod(0o600)
    add = ("credential", "add", "--kind", "bearer", "--name", "x", "--file", file)

    table = cli(*add, exits=1)
    problems = orjson.loads(cli(*add, "--json", exits=1).stderr)["problems"]

    assert {one["path"] for one in problems} == {"/values/token", "/values/user", "/hosts"}
    assert "The request has 3 problems." in table.stderr
    assert VALUE not in table.output + str(problems)


def test_an_unknown_kind_is_told_with_the_one_that_was_meant(cli: Cli, values: Path) -> None:
    refused = cli("credential", "add", "--kind", "bearr", "--name", "x", "--file", values, exits=1)
    assert "Did you mean `bearer`" in refused.stderr

    assert "Did you mean bearer" in cli("credential", "kinds", "bearr", exits=2).stderr


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_file_that_others_can_read_is_warned_of(cli: Cli, values: Path, mode: int) -> None:
    add = ("credential", "add", "--kind", "bearer", "--name", "warned", "--host", "a.example", "--file", values)
    assert cli(*add).stderr == ""
    cli("credential", "delete", "warned", "--yes")
    values.chmod(mode)

    warned = cli(*add, "--json")

    assert "chmod 600" in warned.stderr
    assert told(warned)["name"] == "warned"
    cli("credential", "delete", "warned", "--yes")


def test_without_file_and_terminal_nothing_is_asked(cli: Cli) -> None:
    refused = cli("credential", "add", "--kind", "bearer", "--name", "x", "--host", "a.example", stdin=VALUE, exits=2)

    assert "--file" in refused.stderr
    assert VALUE not in refused.output


@pytest.mark.parametrize("wrong", ["", "../executions", "crm?x=1", "a/b", "CRM"])
def test_a_name_that_would_lead_elsewhere_is_wrong_usage(cli: Cli, wrong: str) -> None:
    for verb in ("show", "delete", "test", "uses", "update"):
        assert "no name of a credential" in cli("credential", verb, wrong, exits=2).stderr


@pytest.mark.parametrize("wrong", ["", "CRM", "1crm", "crd_1", "a" * 65])
def test_a_name_that_none_can_have_is_told_before_a_value_is_asked_for(cli: Cli, wrong: str) -> None:
    refused = cli("credential", "add", "--kind", "bearer", "--name", wrong, exits=2)

    assert "lower-case" in refused.stderr
    assert "lower-case" in cli("credential", "update", "crm", "--name", wrong, exits=2).stderr


@pytest.mark.parametrize("wrong", ["everybody", "workflow:", "principal", "project:x", "workflow:a b"])
def test_a_grant_that_is_none_is_wrong_usage(cli: Cli, wrong: str) -> None:
    assert "is none of" in cli("credential", "update", "crm", "--grant", wrong, exits=2).stderr


def test_grants_are_given_and_taken(cli: Cli, crm: str, tmp_path: Path) -> None:
    document = write(tmp_path / "flow.json", workflow({"start": {"type": "trigger.manual"}}))
    workflow_id = told(cli("workflow", "create", document, "--json"))["workflow"]["id"]

    update = ("credential", "update", crm)
    given = told(cli(*update, "--grant", f"workflow:{workflow_id}", "--grant", "project", "--json"))
    assert given["grants"] == {"project": True, "principals": ["owner"], "workflows": [workflow_id]}
    taken = cli(*update, "--revoke", "project", "--revoke", "principal:owner", "--grant", f"workflow:{workflow_id}")
    assert f"workflow:{workflow_id}" in taken.stdout
    assert "project" not in taken.stdout
    assert given["revision"] == told(cli("credential", "show", crm, "--json"))["revision"]
    assert "not granted" in cli(*update, "--revoke", "project", exits=2).stderr
    assert "no workflow" in cli(*update, "--grant", "workflow:wf_none", exits=1).stderr
    assert "nobody" in cli(*update, "--revoke", f"workflow:{workflow_id}").stdout


def test_more_hosts_need_the_values_anew_and_fewer_do_not(cli: Cli, crm: str, values: Path) -> None:
    wider = ("credential", "update", crm, "--host", "evil.example")

    assert "credential.values_needed" in cli(*wider, exits=1).stderr
    assert told(cli(*wider, "--file", values, "--json"))["hosts"] == ["crm.example.com", "evil.example"]
    fewer = told(cli("credential", "update", crm, "--remove-host", "evil.example", "--json"))
    assert (fewer["hosts"], fewer["revision"]) == (["crm.example.com"], 3)
    assert "none of its hosts" in cli("credential", "update", crm, "--remove-host", "evil.example", exits=2).stderr


def test_a_change_of_nothing_or_of_two_kinds_at_once_is_wrong_usage(cli: Cli, crm: str, values: Path) -> None:
    assert "nothing to change" in cli("credential", "update", crm, exits=2).stderr
    assert "cannot both" in cli("credential", "update", crm, "--prompt", "--file", values, exits=2).stderr


def test_a_credential_can_be_renamed(cli: Cli, crm: str) -> None:
    assert told(cli("credential", "update", crm, "--name", "crm-new", "--json"))["name"] == "crm-new"

    cli("credential", "update", "crm-new", "--name", crm)


def test_a_test_tells_the_truth_by_its_exit_code(cli: Cli, values: Path, tmp_path: Path, api: str) -> None:
    untried = ("credential", "add", "--kind", "bearer", "--name", "tried", "--host", api, "--file", values)
    cli(*untried)
    unknown = cli("credential", "test", "tried", exits=1)
    assert "could not be tried" in unknown.stdout

    assert "works" in cli("credential", "test", "tried", "--url", f"{api}/me").stdout
    wrong = write(tmp_path / "wrong.json", {"token": "another-one"})
    cli("credential", "update", "tried", "--file", wrong, "--probe", f"{api}/me")
    failed = cli("credential", "test", "tried", exits=1)
    assert "does not work" in failed.stdout
    assert "401" in failed.stdout
    assert told(cli("credential", "test", "tried", "--json", exits=1))["works"] is False
    forgotten = told(cli("credential", "update", "tried", "--remove-probe", "--json"))
    assert forgotten["probe"] is None
    elsewhere = cli("credential", "test", "tried", "--url", "https://evil.example/", exits=1)
    assert "credential.host_refused" in elsewhere.stderr
    cli("credential", "delete", "tried", "--yes")


def test_every_use_is_on_record_also_of_a_deleted_one(cli: Cli, values: Path, tmp_path: Path, api: str) -> None:
    add = ("credential", "add", "--kind", "bearer", "--name", "used", "--host", api, "--file", values, "--json")
    credential_id = told(cli(*add))["id"]
    call = {"type": "http.request", "params": {"url": f"{api}/me"}, "credentials": {"auth": "used"}}
    document = workflow({"start": {"type": "trigger.manual"}, "call": call}, ("start", "call"))
    workflow_id = told(cli("workflow", "create", write(tmp_path / "flow.json", document), "--json"))["workflow"]["id"]
    ran = told(cli("execution", "start", workflow_id, "--wait", "--json"))

    [use] = told(cli("credential", "uses", "used", "--json"))["uses"]

    assert (use["workflow_id"], use["node"], use["execution_id"]) == (workflow_id, "call", ran["execution"]["id"])
    assert ran["execution"]["id"] in cli("credential", "uses", "used").stdout
    assert workflow_id in cli("credential", "delete", "used", stdin="n\n", exits=1).stderr
    deleted = cli("credential", "delete", "used", "--yes").stdout
    assert f"budflow credential uses {credential_id}" in deleted
    assert told(cli("credential", "uses", credential_id, "--json"))["uses"] == [use]
    assert "`used`" in cli("execution", "start", workflow_id, "--wait", exits=1).stderr


def test_kinds_are_listed_with_their_fields(cli: Cli) -> None:
    every = told(cli("credential", "kinds", "--json"))["kinds"]

    assert {"bearer", "basic", "hmac"} <= {one["name"] for one in every}
    assert "bearer" in cli("credential", "kinds").stdout
    page = cli("credential", "kinds", "hmac").stdout
    assert "sha256, sha512" in page
    assert "X-Signature" in page
    assert told(cli("credential", "kinds", "bearer", "--json"))["name"] == "bearer"


def test_somebody_else_enters_the_value_by_a_link(cli: Cli, served: OwnerThread) -> None:
    ask = ("credential", "request", "--kind", "bearer", "--name", "asked", "--host", "a.example", "--reason", "Prices.")
    link, until = cli(*ask, "--grant", "project").stdout.splitlines()
    assert link.startswith(f"{served.url}/credential-request/")
    assert "Works once" in until

    assert httpx2.post(link, json={"values": {"token": VALUE}}).status_code == 200

    assert told(cli("credential", "show", "asked", "--json"))["grants"]["project"] is True
    assert "credential.name_taken" in cli(*ask, "--json", exits=1).stderr
    cli("credential", "delete", "asked", "--yes")


def test_keys_are_rotated_while_everything_stays_in_use(cli: Cli, values: Path, api: str) -> None:
    cli("credential", "add", "--kind", "bearer", "--name", "kept", "--host", api, "--file", values)

    first = told(cli("credential", "rotate-key", "--json"))
    second = cli("credential", "rotate-key").stdout

    assert (first["made"], first["left"]) == (True, [])
    assert first["rewrapped"] >= 1
    assert "Wrapped anew" in second
    assert first["key_id"] in second
    assert "works" in cli("credential", "test", "kept", "--url", api).stdout
    cli("credential", "delete", "kept", "--yes")


IN_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def typed(data_dir: Path, answers: list[tuple[str, str]], *args: object, **settings: str) -> str:
    """What a terminal shows of the real command while somebody answers its prompts, each when it stands there."""
    screen, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, BUDFLOW, *map(str, args)],
        env=environment(data_dir, **settings),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = ""
    try:
        for prompt, answer in answers:
            seen = len(shown)
            while not shown[seen:].endswith(prompt):
                shown += read(screen)
            os.write(screen, f"{answer}\n".encode())
        with contextlib.suppress(OSError):  # So ends what was shown when the command has ended.
            while True:
                shown += read(screen)
        assert process.wait(SECONDS) == 0, shown
    finally:
        process.kill()
        process.wait()
        os.close(screen)
    return shown


def read(screen: int) -> str:
    ready, _, _ = select.select([screen], [], [], SECONDS)
    assert ready, "nothing more is shown"
    return os.read(screen, 4096).decode(errors="replace")


@pytest.mark.process
def test_a_prompt_does_not_show_what_is_typed(cli: Cli, served: OwnerThread, tmp_path: Path) -> None:
    home = served.settings.data_dir
    add = ("credential", "add", "--kind", "basic", "--name", "typed", "--host", "mail.example.com")

    shown = typed(home, [("user: ", "ada"), ("password: ", VALUE)], *add)

    assert "ada" in shown
    assert "typed is stored." in shown
    assert VALUE not in shown
    assert told(cli("credential", "show", "typed", "--json"))["fields"] == ["password", "user"]
    changed = typed(home, [("user: ", ""), ("password: ", f"{VALUE}2")], "credential", "update", "typed", "--prompt")
    assert VALUE not in changed
    unchanged = ("credential", "update", "typed", "--prompt", "--grant", "project")
    typed(home, [("user: ", ""), ("password: ", "")], *unchanged)
    assert told(cli("credential", "show", "typed", "--json"))["revision"] == 2
    cli("credential", "delete", "typed", "--yes")


@pytest.mark.process
def test_pairs_and_keys_with_lines_are_asked_for_as_what_they_are(
    cli: Cli, served: OwnerThread, tmp_path: Path
) -> None:
    home = served.settings.data_dir
    headers = ("credential", "add", "--kind", "custom_headers", "--name", "pairs", "--host", "mail.example.com")

    name = "headers: name (empty: no more): "
    answers = [(name, "X-App"), ("value of X-App: ", VALUE), (name, "X-Key"), ("value of X-Key: ", VALUE), (name, "")]
    shown = typed(home, answers, *headers)

    assert "X-App" in shown
    assert VALUE not in shown
    cli("credential", "delete", "pairs", "--yes")
    key = ed25519.Ed25519PrivateKey.generate()
    file = tmp_path / "id_ed25519"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    answers = [("user: ", "ada"), ("private_key (a file that holds it): ", f"~/{file.name}"), ("passphrase: ", "")]
    shown = typed(home, answers, "credential", "add", "--kind", "ssh_key", "--name", "key", HOME=str(tmp_path))
    assert "Warning: other users" in shown
    assert "BEGIN" not in shown
    assert told(cli("credential", "show", "key", "--json"))["fields"] == ["private_key", "user"]
    cli("credential", "delete", "key", "--yes")


@pytest.mark.process
def test_neither_output_nor_logs_nor_what_is_stored_holds_a_value(tmp_path: Path, values: Path) -> None:
    home = tmp_path / "home"
    add = ("credential", "add", "--kind", "bearer", "--name", "crm", "--host", "crm.example.com", "--file", str(values))
    ask = ("credential", "request", "--kind", "bearer", "--name", "asked", "--host", "a.example", "--reason", "Prices.")
    with serving(home, BUDFLOW_LOG_LEVEL="debug") as server:
        told = [command(home, *add), command(home, *add, exits=1)]
        link = orjson.loads(command(home, *ask, "--json").stdout)["url"]
        assert httpx2.post(link, data={"value.token": VALUE}).status_code == 200
        for words in (("list",), ("show", "crm"), ("rotate-key",), ("test", "crm")):
            told.append(command(home, "credential", *words, "--json", exits=1 if "test" in words else 0))
        server.tell(signal.SIGTERM)
        _, log = server.wait()

    assert all(VALUE not in " ".join([*one.args, one.stdout, one.stderr]) for one in told)
    assert VALUE not in log
    assert link.rpartition("/")[2] not in log
    holding = [file for file in home.rglob("*") if file.is_file() and VALUE.encode() in file.read_bytes()]
    assert holding == []
