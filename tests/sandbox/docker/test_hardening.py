"""What Docker is asked for, whole: a container has nothing that does not stand here."""

import json
from pathlib import Path

from budflow.sandbox.docker.hardening import (
    MASKED,
    OWN_KERNEL_MB,
    OWN_KERNEL_THREADS,
    READ_ONLY,
    Container,
    container_config,
)
from budflow.sandbox.docker.seccomp import profile
from budflow.sandbox.runners import Limits


def config(**fields: object) -> dict[str, object]:
    made = Container("me", "worker", "sha256:1", 256, Path("/sockets"), Limits(), **fields)  # type: ignore[arg-type]  # by name
    return container_config(made)


def test_a_worker_is_confined_in_every_way_that_docker_has() -> None:
    asked = config(environment={"BUDFLOW_TICKET": "t"})
    host = asked.pop("HostConfig")
    assert isinstance(host, dict)
    seccomp = host["SecurityOpt"].pop(1)

    assert json.loads(seccomp.removeprefix("seccomp=")) == profile(internet=False)
    assert asked == {
        "Image": "sha256:1",
        "User": "65534:65534",
        "Hostname": "sandbox",
        "Env": ["BUDFLOW_TICKET=t"],
        "Labels": {"budflow.sandbox": "me", "budflow.sandbox.role": "worker"},
        "AttachStdin": False,
        "OpenStdin": False,
        "Tty": False,
        "NetworkDisabled": False,
    }
    assert host == {
        "Runtime": "runc",
        "NetworkMode": "none",
        "Dns": ["127.0.0.1"],
        "DnsSearch": ["."],
        "IpcMode": "private",
        "ReadonlyRootfs": True,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": [],
        "SecurityOpt": ["no-new-privileges:true"],
        "MaskedPaths": list(MASKED),
        "ReadonlyPaths": list(READ_ONLY),
        "PidsLimit": 64,
        "Memory": 256 << 20,
        "MemorySwap": 256 << 20,
        "NanoCpus": 1_000_000_000,
        "OomScoreAdj": 500,
        "Tmpfs": {"/tmp": "rw,noexec,nosuid,nodev,mode=1777,size=67108864,nr_inodes=32768"},
        "ShmSize": 8 << 20,
        "Ulimits": [
            {"Name": name, "Soft": value, "Hard": value}
            for name, value in (("nofile", 256), ("core", 0), ("fsize", 64 << 20), ("msgqueue", 0), ("memlock", 0))
        ],
        "Mounts": [
            {
                "Type": "bind",
                "Source": "/sockets",
                "Target": "/run/budflow",
                "ReadOnly": True,
                "BindOptions": {"Propagation": "rprivate"},
            }
        ],
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "Init": False,
    }


def test_a_worker_with_egress_differs_in_its_profile_alone() -> None:
    without, with_egress = config(), config(internet=True)
    for asked in (without, with_egress):
        assert isinstance(asked["HostConfig"], dict)
        asked["profile"] = asked["HostConfig"]["SecurityOpt"].pop(1)

    assert without.pop("profile") != with_egress.pop("profile")
    assert without == with_egress


def test_a_runtime_with_a_kernel_of_its_own_has_room_for_it() -> None:
    usual, own = config()["HostConfig"], config(runtime="runsc")["HostConfig"]

    assert isinstance(usual, dict)
    assert isinstance(own, dict)
    assert own["Runtime"] == "runsc"
    assert own["PidsLimit"] - usual["PidsLimit"] == OWN_KERNEL_THREADS
    assert own["Memory"] - usual["Memory"] == OWN_KERNEL_MB * 1024 * 1024
    assert own["MemorySwap"] == own["Memory"]


def test_sockets_of_the_internet_are_tcp_in_the_profile_for_egress_and_not_in_the_other() -> None:
    def families(*, internet: bool) -> set[int]:
        rules = profile(internet=internet)["syscalls"]
        return {rule["args"][0]["value"] for rule in rules if rule["names"] == ["socket"]}

    assert families(internet=False) == {1}
    assert families(internet=True) == {1, 2, 10}
