"""The root of the errors."""

import pickle

from budflow.errors import BudflowError
from budflow.model.workflow import VersionConflict, WorkflowNotFound


def test_the_message_is_the_docstring_unless_another_is_given() -> None:
    assert WorkflowNotFound().message == str(WorkflowNotFound()) == "No workflow has this id."
    assert WorkflowNotFound("There is no workflow wf_1.").message == "There is no workflow wf_1."


def test_the_hint_of_one_error_does_not_change_that_of_its_class() -> None:
    assert WorkflowNotFound(hint="Look again.").hint == "Look again."
    assert WorkflowNotFound().hint == WorkflowNotFound.hint != "Look again."


def test_an_error_crosses_a_process_boundary_whole() -> None:
    error = VersionConflict("Too late.", hint="Read it.", latest_version=3, expected_version=2)

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is VersionConflict
    assert isinstance(again, BudflowError)
    assert (again.message, again.hint) == ("Too late.", "Read it.")
    assert again.details == {"latest_version": 3, "expected_version": 2}
