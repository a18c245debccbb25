"""Trusted runtime environments: packages and variables that an operator lets Ray tasks of some node types have.

They stand in the settings, so that no author of a workflow can choose one. Ray's dashboard and state show all of them
to whoever holds the cluster's token: no secret belongs here, and what looks like one is refused.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

LOCK_BYTES_MAX = 1024 * 1024
#: Of a variable's name, in capitals: any of these words makes it a secret's.
SECRET_WORDS = frozenset(
    {"APIKEY", "AUTH", "CREDENTIAL", "CREDENTIALS", "KEY", "PASSPHRASE", "PASSWD", "PASSWORD", "PWD", "SECRET", "TOKEN"}
)
#: These say how BudFlow and Ray themselves work in the task.
RESERVED_PREFIXES = ("BUDFLOW_", "RAY_")
#: What Ray has for environments and is not offered, and why.
NOT_OFFERED: Mapping[str, str] = {
    **dict.fromkeys(
        ("container", "image_uri"),
        "Ray's containers run with podman only, and each is given the token of the cluster; they confine nothing.",
    ),
    **dict.fromkeys(
        ("conda", "pip", "uv"), "Name the requirements in `packages` or `lock`, and `installer` as uv or pip."
    ),
    **dict.fromkeys(
        ("py_executable", "py_modules", "working_dir", "worker_process_setup_hook"),
        "Code comes as packages, which are pinned.",
    ),
}

_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[A-Za-z0-9._, -]+\])? ?== ?[A-Za-z0-9][A-Za-z0-9.!+_-]*"
    r"( ?;[^$#\\]+?)?( --hash=sha256:[0-9a-f]{64})*"
)
#: Options of a requirements file; the directories are those of the nodes.
_OPTION = re.compile(r"--no-index|--require-hashes|--find-links[= ]/[^$\s]+")
#: What may hold a password, and is not repeated.
_ADDRESS = re.compile(r"://\S*")
_USERINFO = re.compile(r"://[^/\s]*@")
#: A requirement of the cluster itself would make its tasks strangers to it.
_OF_THE_CLUSTER = frozenset({"budflow", "ray"})

TypeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$", max_length=100)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]


class RuntimeEnv(BaseModel):
    """One environment. With packages each node of the cluster builds a virtual environment when it is first used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    types: tuple[TypeName, ...] = Field(
        min_length=1, max_length=100, description="The node types whose Ray tasks have it, such as `acme.embed`."
    )
    installer: Literal["uv", "pip"] = Field("uv", description="What installs the packages.")
    packages: tuple[str, ...] = Field(
        (),
        max_length=2_000,
        description="Requirements, each pinned to one version, such as `polars==1.9.0`, with hashes where they are to "
        "be checked; `--no-index` and `--find-links=/directory` too.",
    )
    lock: Path | None = Field(
        None,
        description="A file of such lines, as `uv pip compile --generate-hashes` writes it; read once, at the start.",
    )
    env_vars: dict[Variable, str] = Field(
        default_factory=dict, max_length=100, description="Variables of the environment; never secrets."
    )
    build_seconds: int = Field(600, ge=1, le=3600, description="How long building it may take on a node.")

    @model_validator(mode="before")
    @classmethod
    def _offered(cls, data: Any) -> Any:
        """Name what is not offered, and take the lines of the lock in: other machines do not have the file."""
        if not isinstance(data, Mapping):
            return data
        for name, reason in NOT_OFFERED.items():
            if name in data:
                raise ValueError(f"`{name}` is not offered. {reason}")
        lock = data.get("lock")
        if not isinstance(lock, str | Path):
            return data
        return {**data, "lock": None, "packages": [*(data.get("packages") or ()), *_read_lock(Path(lock))]}

    @field_validator("packages")
    @classmethod
    def _pinned(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        for line in lines:
            shown = _ADDRESS.sub("://…", line)[:100]
            found = _PINNED.fullmatch(line)
            if found is None and _OPTION.fullmatch(line) is None:
                raise ValueError(
                    f"`{shown}` is no pinned requirement. Write `name==version`; where packages come from is set on "
                    "the nodes, for pip and uv"
                )
            if found is not None and found["name"].lower() in _OF_THE_CLUSTER:
                raise ValueError(f"`{shown}` is what the cluster runs itself. Leave it out")
        return lines

    @field_validator("env_vars")
    @classmethod
    def _no_secrets(cls, variables: dict[str, str]) -> dict[str, str]:
        for name, value in variables.items():
            if SECRET_WORDS.intersection(name.upper().split("_")):
                raise ValueError(f"`{name}` looks like a secret, and Ray's dashboard shows it. Use a credential")
            if name.upper().startswith(RESERVED_PREFIXES):
                raise ValueError(f"`{name}` is not for environments: names with BUDFLOW_ and RAY_ are those of servers")
            if len(value) > 4_096 or "\0" in value:
                raise ValueError(f"The value of `{name}` is longer than 4,096 characters, or has a zero byte in it")
            if _USERINFO.search(value):
                raise ValueError(f"The value of `{name}` has a user or a password in a URL. Use a credential")
        return variables

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.packages and not self.env_vars:
            raise ValueError("It has neither packages nor variables")
        return self


def refuse_rivals(environments: Mapping[str, RuntimeEnv]) -> None:
    """Raises ValueError where two environments are for the same node type."""
    owner: dict[str, str] = {}
    for name, environment in environments.items():
        for node_type in environment.types:
            if owner.setdefault(node_type, name) != name:
                raise ValueError(
                    f"`{node_type}` is in `{owner[node_type]}` and in `{name}`: a type has one environment"
                )


def requirement_lines(text: str) -> Iterator[str]:
    """The requirements in a file of pip's format (pip.pypa.io, Requirements File Format), without its comments."""
    for line in _joined(text.splitlines()):
        bare = re.sub(r"(^|\s)#.*$", "", line).strip()
        if bare:
            yield re.sub(r"\s+", " ", bare)


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Lines that end in a backslash go on in the next; comments do not."""
    gathered = ""
    for line in lines:
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            gathered += line[:-1] + " "
            continue
        yield gathered + line
        gathered = ""
    if gathered:
        yield gathered


def _read_lock(path: Path) -> list[str]:
    try:
        if path.stat().st_size > LOCK_BYTES_MAX:
            raise ValueError(f"The lock {path} is larger than {LOCK_BYTES_MAX:,} bytes")
        return list(requirement_lines(path.read_text()))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The lock {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
