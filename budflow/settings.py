"""The settings of a server: `BUDFLOW_*` variables over a TOML file over these defaults."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, StringConstraints, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from budflow.runtime_envs import RuntimeEnv, refuse_rivals

SECONDS_MAX = 100 * 366 * 86_400

VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,127}$")]
RuntimeEnvName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]


class Settings(BaseSettings):
    """Everything that can be set. The name of a field in capitals after `BUDFLOW_` is its variable."""

    model_config = SettingsConfigDict(env_prefix="BUDFLOW_", extra="forbid", frozen=True)

    config_file: Path | None = Field(
        None, description="A TOML file with any of these settings, such as configs/laptop.toml."
    )
    data_dir: Path = Field(Path("~/.budflow"), description="Where the database, the owner key and the socket live.")
    database_url: str | None = Field(
        None,
        description="A PostgreSQL URL (`postgresql://user:password@host/name`); unset: SQLite in the data directory.",
    )
    redis_url: SecretStr | None = Field(
        None,
        description="A Redis URL (`redis://user:password@host:port/0`, `rediss://` with TLS), which servers that share "
        "a PostgreSQL then use to agree on who leads and to tell each other what happened; unset: they use the "
        "database.",
    )
    host: str = Field(
        "127.0.0.1", description="The address to listen on. Only loopback is allowed without TLS in front."
    )
    port: int = Field(8710, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
        description="The address at which people and other systems reach this server, such as https://flows.example; "
        "unset: the one that it listens on. Resume links begin with it.",
    )
    resume_link_seconds: float = Field(
        30 * 86_400.0, gt=0, le=10 * 366 * 86_400, description="How long a resume link is valid."
    )
    executor: Literal["inprocess", "ray"] = Field("inprocess", description="Where executions run.")
    ray_address: str = Field("local", description="`local` starts Ray on this machine; `host:port` joins a cluster.")
    ray_runners: int = Field(2, ge=1, le=1024, description="How many runner actors to keep on Ray.")
    ray_dashboard: bool = Field(True, description="Whether a local Ray serves its dashboard.")
    ray_scale_up_seconds: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="How long a heavy node waits while no node of the Ray cluster has the resources and labels that it "
        "asks for, so that an autoscaler can add one; 0: it fails at once.",
    )
    ray_runtime_envs: Annotated[dict[RuntimeEnvName, RuntimeEnv], NoDecode] = Field(
        default_factory=dict,
        description="Packages and variables for the Ray tasks of the node types that are named, by the name of the "
        "environment; as a variable in JSON. See the guide to runtime environments.",
    )
    http_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Hosts, addresses or networks (with an optional port) that workflows may reach although private.",
    )
    file_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description="Directories below which workflows may read and write files; without any they may use none."
    )
    expression_env: Annotated[tuple[VariableName, ...], NoDecode] = Field(
        (),
        description="Variables of the server's environment that expressions may read, as `$env.NAME`. Whoever may "
        "write a workflow sees their values; credentials are the place for secrets.",
    )
    expression_vars: Annotated[dict[VariableName, Any], NoDecode] = Field(
        default_factory=dict,
        description="Values that expressions read as `$vars.NAME`, by name; as a variable in JSON.",
    )
    encryption_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="Keys that encrypt stored credentials, newest first, each 32 random bytes in base64 (`openssl rand "
        "-base64 32`); the others only decrypt. Unset: the server makes one for itself, in the file `encryption.keys` "
        "of the data directory.",
    )
    encryption_keys_lost: bool = Field(
        False,
        description="Start although stored credentials need encryption keys that are gone. Only their values are lost; "
        "until they are entered anew, nodes that need them fail.",
    )
    blob_url: str | None = Field(
        None,
        description="Where long lists of items are kept: file:// and the absolute path of a directory, or "
        "`s3://bucket/prefix?endpoint_url=https://…&region=…`, whose credentials AWS's own variables name; unset: "
        "`blobs` in the data directory.",
    )
    retention_succeeded_seconds: int = Field(
        14 * 86_400,
        ge=0,
        le=SECONDS_MAX,
        description="How long an execution that succeeded is kept; 0 does not keep it. Each workflow's "
        "`settings.retention` may say otherwise, here and in the next two.",
    )
    retention_failed_seconds: int = Field(
        60 * 86_400, ge=0, le=SECONDS_MAX, description="How long one that failed or was cancelled is kept."
    )
    retention_executions_max: int = Field(
        10_000, ge=0, description="How many ended executions of a workflow are kept, the newest."
    )
    credential_uses_seconds: int = Field(
        365 * 86_400,
        ge=0,
        le=SECONDS_MAX,
        description="How long it is kept who used which credential, and who asked for one.",
    )
    sandbox: Literal["auto", "docker", "process", "off"] = Field(
        "auto",
        description="How the code of code nodes is isolated: in containers of `docker`, or by `process` (namespaces "
        "and limits of bubblewrap: reduced isolation). `auto` takes Docker, or else processes, and where there is "
        "neither code does not run; `off`: it never does.",
    )
    sandbox_address: str | None = Field(
        None,
        pattern=r"^unix:/.+",
        description="The socket of a running `budflow sandbox serve` (`unix:/run/budflow/sandboxd.sock`), whose key "
        "must be readable beside it; unset: the server starts a sandboxd of its own when the first code runs.",
    )
    sandbox_docker_url: str = Field(
        "unix:///var/run/docker.sock", description="Where sandboxd speaks to Docker; nothing else does."
    )
    sandbox_runtime: str = Field(
        "runc", pattern=r"^[a-z][a-z0-9_.-]*$", description="Docker's runtime for containers of code, such as `runsc`."
    )
    sandbox_image: str | None = Field(
        None,
        description="The image that code runs in, used by its digest; unset: one made of the server's own Python, "
        "by `budflow sandbox build-base` or else by the first code.",
    )
    sandbox_index: str | None = Field(
        None,
        pattern=r"^https?://[^\s@]+$",
        description="The package index (its simple API) that the requirements of code come from, without a user and "
        "password; unset: the one that uv has on the machine of sandboxd.",
    )
    sandbox_index_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="The hosts of that index, of its pages and of its files: all that an image's build may reach. "
        "None: its own, and those that the page of the first package links to.",
    )
    sandbox_workers_max: int = Field(
        8, ge=1, le=1000, description="How much code runs at the same time; the rest of it waits."
    )
    sandbox_workers_warm: int = Field(
        1, ge=0, le=100, description="How many workers are kept ready for code that comes."
    )
    sandbox_tasks_a_worker: int = Field(
        50, ge=1, le=10_000, description="After so many runs a worker is replaced by a new one."
    )
    sandbox_queued_max: int = Field(
        1000,
        ge=1,
        description="How much code may wait for a worker, of one project half of that at most; beyond it a node fails "
        "with `sandbox.busy`.",
    )
    sandbox_memory_mb_max: int = Field(
        2048, ge=128, le=1024 * 1024, description="The most memory that a node may give its code, in MiB."
    )
    sandbox_timeout_seconds_max: float = Field(
        3600.0, gt=0, le=86_400, description="The longest that a node may let its code run."
    )
    sandbox_cpus: float = Field(1.0, gt=0, le=1024, description="How many processors a worker may use.")
    running_max: int = Field(1000, ge=1, description="How many executions one runner advances at the same time.")
    claim: bool = Field(
        True,
        description="Whether a server takes executions from the queue. Without, it runs only those that its own "
        "webhooks wait for, and leaves the others to `budflow worker`; that needs PostgreSQL.",
    )
    drain_seconds: float = Field(
        10.0, ge=0, le=3600, description="How long what runs may take to end when a server or a worker is told to stop."
    )
    queued_max: int = Field(100_000, ge=1, description="How many executions may wait; beyond it a trigger gets 503.")
    lease_seconds: float = Field(
        10.0, ge=0.2, le=600, description="How long after its last sign of life a server's executions are taken over."
    )
    leader_seconds: float = Field(
        10.0, ge=0.3, le=600, description="How long after the leader's last sign of life another server leads."
    )
    snapshot_events: int = Field(
        1000,
        ge=1,
        description="After how many events of an execution a snapshot is due, from which it can be taken up.",
    )
    webhook_body_bytes_max: int = Field(
        16 * 1024 * 1024, ge=1, description="The largest body a webhook takes, in bytes."
    )
    webhook_answer_seconds: float = Field(
        30.0, gt=0, description="How long a webhook that waits for its workflow waits before it answers 504."
    )
    metrics_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="A key that may read the server's status and `/metrics` and nothing else, for Prometheus; unset: "
        "only the owner's key may.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged, to stderr.")

    @field_validator(
        "http_allow", "file_roots", "encryption_keys", "expression_env", "sandbox_index_hosts", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("ray_runtime_envs", "expression_vars", mode="before")
    @classmethod
    def _decode(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError(f"This is not JSON: {error}") from error

    @field_validator("expression_vars")
    @classmethod
    def _plain_values(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"Each value must be what JSON can hold: {error}") from error
        return value

    @field_validator("expression_env")
    @classmethod
    def _no_settings(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        own = [name for name in value if name.upper().startswith("BUDFLOW_")]
        if own:
            raise ValueError(f"Expressions may not read the server's own settings: {', '.join(own)}.")
        return value

    @field_validator("ray_runtime_envs")
    @classmethod
    def _one_environment_a_type(cls, value: dict[str, RuntimeEnv]) -> dict[str, RuntimeEnv]:
        refuse_rivals(value)
        return value

    @field_validator("data_dir")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser()

    @field_validator("claim")
    @classmethod
    def _claimed_by_others(cls, value: bool, info: ValidationInfo) -> bool:
        if not value and info.data.get("database_url") is None:
            raise ValueError("Without `database_url` nobody else can take executions from the queue.")
        return value

    @field_validator("file_roots")
    @classmethod
    def _absolute(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        roots = tuple(root.expanduser() for root in value)
        if not all(root.is_absolute() for root in roots):
            raise ValueError("Each directory must be an absolute path.")
        return roots

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over variables, variables over the file that either of them names."""
        named = init_settings().get("config_file") or env_settings().get("config_file")
        if named is None:
            return (init_settings, env_settings)
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Path(str(named))))
