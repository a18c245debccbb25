"""What configs/sandbox says of external workers holds for the command line, the worker and the design."""

from pathlib import Path
from typing import Any

import yaml

from budflow.cli.main import load_command
from budflow.sandbox.runners import SOCKETS_DIRECTORY, TICKET_VARIABLE

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "configs" / "sandbox" / "kubernetes.yaml").read_text()
BY_KIND: dict[str, dict[str, Any]] = {one["kind"]: one for one in yaml.safe_load_all(TEXT)}
POD: dict[str, Any] = BY_KIND["Job"]["spec"]["template"]["spec"]
[RELAY], [WORKER] = POD["initContainers"], POD["containers"]


def mounts(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["name"]: mount for mount in container["volumeMounts"]}


def test_a_worker_has_a_kernel_of_its_own_and_no_rights() -> None:
    assert POD["runtimeClassName"] == BY_KIND["RuntimeClass"]["metadata"]["name"]
    assert POD["automountServiceAccountToken"] is False
    assert POD["securityContext"]["runAsNonRoot"] is True
    for container in (RELAY, WORKER):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"].keys() == {"cpu", "memory"}


def test_the_worker_alone_has_the_ticket_and_the_relay_alone_the_certificates() -> None:
    assert [one["name"] for one in WORKER["env"]] == [TICKET_VARIABLE]
    assert "env" not in RELAY
    assert "ca" in mounts(RELAY)
    assert "ca" not in mounts(WORKER)
    assert RELAY["securityContext"]["runAsUser"] != WORKER["securityContext"]["runAsUser"]


def test_both_meet_in_the_directory_where_the_worker_looks_which_it_cannot_write() -> None:
    words = RELAY["command"]

    assert words[words.index("--directory") + 1] == SOCKETS_DIRECTORY == mounts(WORKER)["sockets"]["mountPath"]
    assert mounts(WORKER)["sockets"]["readOnly"] is True


def test_the_relay_is_started_as_its_command_line_allows() -> None:
    command = load_command("sandbox").commands["relay"]
    known = {name for parameter in command.params for name in parameter.opts}

    assert RELAY["command"][:3] == ["budflow", "sandbox", "relay"]
    assert {word for word in RELAY["command"] if word.startswith("--")} <= known


def test_a_used_ticket_is_not_tried_again() -> None:
    assert BY_KIND["Job"]["spec"]["backoffLimit"] == 0
    assert POD["restartPolicy"] == "Never"
    assert RELAY["restartPolicy"] == "Always"  # Makes it a sidecar.


def test_nothing_but_sandboxd_can_be_reached_from_a_worker() -> None:
    policy = BY_KIND["NetworkPolicy"]["spec"]
    words = RELAY["command"]
    [port] = policy["egress"][0]["ports"]

    assert policy["podSelector"]["matchLabels"] == BY_KIND["Job"]["spec"]["template"]["metadata"]["labels"]
    assert policy["ingress"] == []
    assert words[words.index("--connect") + 1].endswith(f":{port['port']}")
    assert all(rule.keys() == {"to", "ports"} for rule in policy["egress"])
