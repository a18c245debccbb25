"""The duties of a leader: found by walking budflow/services/duties, then read-only."""

import importlib
import pkgutil
from types import ModuleType

import budflow.services.duties
from budflow.errors import BudflowError
from budflow.services.leader_only import Duty


class DutyBroken(BudflowError):
    """A duty of the leader is not declared as it must be."""

    code = "duty.broken"
    hint = "Declare one function with @leader_only in the file, named like the file, with a docstring."


def find_duties(package: ModuleType = budflow.services.duties) -> tuple[Duty, ...]:
    """Every duty, sorted by name. Raises DutyBroken."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(_duty_in(f"{package.__name__}.{name}") for name in names)


def _duty_in(module_name: str) -> Duty:
    """The one duty that a module declares; what it only imports belongs to another."""
    module = importlib.import_module(module_name)
    found = [
        value for value in vars(module).values() if isinstance(value, Duty) and value.run.__module__ == module_name
    ]
    if len(found) != 1:
        raise DutyBroken(f"{module_name} declares {len(found)} duties instead of one.")
    [duty] = found
    if duty.name != module_name.rpartition(".")[2]:
        raise DutyBroken(f"The duty in {module_name} is named `{duty.name}`, not like its file.")
    if not (duty.run.__doc__ or "").strip():
        raise DutyBroken(f"The duty `{duty.name}` has no docstring.")
    return duty
