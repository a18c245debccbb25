"""Credentials as people see them on a terminal."""

from io import StringIO
from typing import Any

from rich.console import Console, RenderableType

from budflow.cli.draw_credentials import credential_page, grants_text, rotation_text

AT = "2026-01-05T09:00:00Z"


def drawn(what: RenderableType) -> str:
    file = StringIO()
    Console(file=file, width=200).print(what)
    return file.getvalue()


def rotated(**over: Any) -> dict[str, Any]:
    return {"key_id": "b7e23ec29af22b0b", "made": True, "rewrapped": 12, "left": [], "unused_keys": [], **over}


def test_grants_are_written_as_they_are_given() -> None:
    assert grants_text({"project": True, "principals": ["owner"], "workflows": ["wf_1"]}) == (
        "project, principal:owner, workflow:wf_1"
    )
    assert grants_text({"project": False, "principals": [], "workflows": []}) == "nobody"


def test_a_credential_that_cannot_be_decrypted_is_shown_as_that() -> None:
    view = {
        "id": "crd_1",
        "name": "crm",
        "kind": "bearer",
        "revision": 2,
        "hosts": [],
        "probe": None,
        "fields": None,
        "created_at": AT,
        "updated_at": AT,
        "created_by": "owner",
        "grants": {"project": False, "principals": [], "workflows": []},
    }

    page = drawn(credential_page(view))

    assert "cannot be decrypted" in page
    assert "tested by" not in page


def test_a_rotation_says_what_is_left_to_do() -> None:
    left = {"name": "[b]crm[/b]", "id": "crd_1", "key_id": "old", "code": "encryption.key_missing", "message": "Gone."}

    assert "12, with a new key (b7e23ec29af22b0b)" in drawn(rotation_text(rotated()))
    assert "Not needed" not in drawn(rotation_text(rotated()))
    some = drawn(rotation_text(rotated(made=False, left=[left], unused_keys=["older"])))
    assert "the newest key" in some
    assert "[b]crm[/b]" in some
    assert "encryption.key_missing" in some
    assert "take them out of BUDFLOW_ENCRYPTION_KEYS" in some
