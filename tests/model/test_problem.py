"""Problems, their places, and the error that carries them."""

import pickle

import pytest

from budflow.model.problem import Problem, WorkflowInvalid, pointer

ONE = Problem("a.b", "/nodes/x", "It is wrong.", "Mend it.", patch=({"op": "remove", "path": "/nodes/x"},))
TWO = Problem("a.c", "", "All of it is wrong.", "Begin again.", "run")


@pytest.mark.parametrize(
    ("parts", "text"),
    [((), ""), (("a", 0), "/a/0"), (("a/b", "m~n", "~1", ""), "/a~1b/m~0n/~01/")],
)
def test_a_pointer_escapes_what_rfc_6901_says(parts: tuple[object, ...], text: str) -> None:
    assert pointer(*parts) == text


def test_the_message_names_the_first_problem_and_how_many_more_there_are() -> None:
    assert WorkflowInvalid(problems=(ONE, TWO)).message == "/nodes/x: It is wrong. (and 1 more)"
    assert WorkflowInvalid(problems=(TWO,)).message == "/: All of it is wrong."
    assert WorkflowInvalid().message == "The workflow document has problems."


def test_its_problems_cross_a_process_boundary() -> None:
    error = WorkflowInvalid(problems=(ONE, TWO), hint="Look.")

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is WorkflowInvalid
    assert (again.problems, again.message, again.hint) == (error.problems, error.message, "Look.")
    assert (again.code, again.http_status) == ("workflow.invalid", 422)
