"""Requirements as authors write them: which are one and the same, and which are none."""

import pytest

from budflow.model.sandbox import RequirementsFailed
from budflow.sandbox.docker.requirement_names import COUNT_MAX, normalised


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("polars", "polars"),
        (" Polars ", "polars"),
        ("Ruamel_YAML", "ruamel-yaml"),
        ("zope.interface", "zope-interface"),
        ("polars>=1.9,<2", "polars<2,>=1.9"),
        ("polars >= 1.9 , < 2", "polars<2,>=1.9"),
        ("polars==1.9.0", "polars==1.9.0"),
        ("polars==1.*", "polars==1.*"),
        ("polars~=1.9", "polars~=1.9"),
        ("polars!=1.9.post1+local", "polars!=1.9.post1+local"),
        ("polars==1!2.0rc1", "polars==1!2.0rc1"),
        ("httpx[http2, Brotli]>=0.27", "httpx[brotli,http2]>=0.27"),
        ("polars ; python_version < '3.12'", "polars ; python_version < '3.12'"),
        ('polars; sys_platform not in "win32"', 'polars ; sys_platform not in "win32"'),
    ],
)
def test_a_requirement_has_one_spelling(written: str, read: str) -> None:
    assert normalised([written]) == (read,)


def test_their_order_does_not_count_nor_does_naming_one_twice() -> None:
    assert normalised(["b", "a>=1", "B", "a >= 1"]) == normalised(["a>=1", "b"]) == ("a>=1", "b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-e .",
        "-r requirements.txt",
        "--default-index=http://evil.example/simple",
        "--index http://evil.example",
        "polars --default-index http://evil.example",
        "polars\n--default-index http://evil.example",
        "polars\r--no-binary :all:",
        "polars\0",
        ".",
        "./package",
        "/etc/passwd",
        "../package",
        "package.whl/",
        "https://evil.example/package.whl",
        "git+https://evil.example/repository",
        "package @ https://evil.example/package.whl",
        "package@file:///etc/passwd",
        "package @ file:///etc/passwd",
        "package===1.0",
        "package==",
        "package==1.0 --hash=sha256:00",
        "package>=1 <2",
        "package>=${VERSION}",
        "package==$(id)",
        "package==`id`",
        "package; import os",
        "package ; os_name == \"$HOME\"",
        "package # comment",
        "package\\",
        "-package",
        "package-",
        "_package",
        "pack age",
        "pàckage",
        "\uff50ackage",
        "package[",
        "package[]",
        "package[../x]",
        "a" * 200,
        "package" + ",>=1" * 100,
    ],
)  # fmt: skip
def test_what_is_no_name_with_versions_is_refused(text: str) -> None:
    with pytest.raises(RequirementsFailed):
        normalised([text])


@pytest.mark.parametrize("name", ["budflow", "BudFlow>=1", "web.sockets", "websockets==1"])
def test_the_workers_own_packages_are_not_asked_for(name: str) -> None:
    if name == "web.sockets":
        assert normalised([name]) == ("web-sockets",), "Another name, though it looks like it."
        return
    with pytest.raises(RequirementsFailed, match="part of the sandbox's worker"):
        normalised([name])


def test_there_are_not_too_many() -> None:
    with pytest.raises(RequirementsFailed, match="more than"):
        normalised([f"package{number}" for number in range(COUNT_MAX + 1)])


def test_a_refused_requirement_is_shown_without_its_control_characters() -> None:
    with pytest.raises(RequirementsFailed) as refused:
        normalised(["x\x1b[31m\u202e evil"])

    assert refused.value.message.isprintable()
    assert refused.value.message.isascii()
