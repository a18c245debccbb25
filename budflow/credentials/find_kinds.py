"""The kinds of credentials there are: found by walking budflow/credentials/kinds, then read-only."""

import importlib
import pkgutil
from types import MappingProxyType, ModuleType

import budflow.credentials.kinds
from budflow.errors import BudflowError
from budflow.model.credential_kind import CredentialKind
from budflow.services.credential_ports import Kinds


class KindBroken(BudflowError):
    """A kind of credentials is not declared as it must be."""

    code = "credential.kind_broken"
    hint = "Declare one model in the file, named like the file, with a docstring and a description for every field."


def find_kinds(package: ModuleType = budflow.credentials.kinds) -> Kinds:
    """Every kind by its name, sorted. Raises KindBroken."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return MappingProxyType({name: _kind_in(f"{package.__name__}.{name}") for name in names})


def _kind_in(module_name: str) -> type[CredentialKind]:
    """The one kind that a module declares; what it only imports belongs to another."""
    module = importlib.import_module(module_name)
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, CredentialKind) and value.__module__ == module_name
    ]
    if len(found) != 1:
        raise KindBroken(f"{module_name} declares {len(found)} kinds of credentials instead of one.")
    _check(found[0], module_name.rpartition(".")[2])
    return found[0]


def _check(kind: type[CredentialKind], name: str) -> None:
    if getattr(kind, "name", None) != name:
        raise KindBroken(f"The kind in {kind.__module__} is not named `{name}`.")
    if not (kind.__dict__.get("__doc__") or "").strip():
        raise KindBroken(f"The kind `{name}` has no docstring.")
    silent = [field for field, info in kind.model_fields.items() if not info.description]
    if silent:
        raise KindBroken(f"The kind `{name}` does not describe: {', '.join(silent)}.")
