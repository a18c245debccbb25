"""What a credential may be called, and which workflows may use it: in doubt they may not."""

import re

import pytest

from budflow.model.credential import NAME_PATTERN, Grants


@pytest.mark.parametrize("name", ["crm", "crm-token", "a.b_c-1", "crd"])
def test_names_of_credentials(name: str) -> None:
    assert re.fullmatch(NAME_PATTERN, name)


@pytest.mark.parametrize("name", ["", "CRM", "crd_1", "1a", "-a", "a b", "a" * 65, "ä"])
def test_what_is_no_name(name: str) -> None:
    assert not re.fullmatch(NAME_PATTERN, name)


@pytest.mark.parametrize(
    ("grants", "workflow", "author", "may"),
    [
        (Grants(), "wf_1", "usr_1", False),
        (Grants(project=True), "wf_1", "usr_1", True),
        (Grants(principals=frozenset({"usr_1"})), "wf_1", "usr_1", True),
        (Grants(principals=frozenset({"usr_1"})), "wf_1", "usr_2", False),
        (Grants(principals=frozenset({"usr_1"})), "usr_1", "usr_2", False),
        (Grants(workflows=frozenset({"wf_1"})), "wf_1", "usr_2", True),
        (Grants(workflows=frozenset({"wf_1"})), "wf_2", "usr_2", False),
        (Grants(workflows=frozenset({"wf_1"})), "wf_2", "wf_1", False),
        (Grants(principals=frozenset({"usr_1"}), workflows=frozenset({"wf_1"})), "wf_1", "usr_2", True),
        (Grants(principals=frozenset({"usr_1"})), "wf_1", "", False),
    ],
)
def test_grants_say_who_may_and_the_default_is_nobody(grants: Grants, workflow: str, author: str, may: bool) -> None:
    assert grants.allow(workflow_id=workflow, author=author) is may
