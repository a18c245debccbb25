"""What a kind says of itself holds for its canaries."""

from tests.canaries.kept import one_of_every_kind


def test_every_kind_says_truly_whether_its_secrets_are_sent() -> None:
    wrong = [
        kept.name for kept in one_of_every_kind() if kept.is_sent != (kept.kind.signs() and kept.kind.sends_secrets)
    ]
    assert wrong == []
