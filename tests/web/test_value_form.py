"""A form asks for what a kind's schema says, repeats nothing, and gives values of the fields' types."""

import pytest

from budflow.services.kind_fields import KindField, fields_of
from budflow.web.value_form import inputs_html, values_of
from tests.services.test_kind_fields import PEM, Everything


@pytest.fixture
def fields() -> tuple[KindField, ...]:
    return fields_of(Everything.model_json_schema())


def test_what_is_shown_is_escaped_and_nothing_secret_is_kept_by_a_browser(fields: tuple[KindField, ...]) -> None:
    page = inputs_html(fields, {"token": ["It is <i>wrong</i>."]})

    assert "Who &lt;you&gt; are." in page
    assert "It is &lt;i&gt;wrong&lt;/i&gt;." in page
    assert '<input type="password" name="value.token" size="70" value="" autocomplete="off"' in page
    assert "<option selected>sha512</option>" in page
    assert '<textarea name="value.key"' in page
    assert page.count('type="password" name="value.headers.value"') == 5


def test_what_is_entered_gets_the_types_of_the_fields(fields: tuple[KindField, ...]) -> None:
    values = values_of(
        fields,
        {
            "value.user": "ada",
            "value.token": "  t0ken ",
            "value.key": PEM.replace("\n", "\r\n"),
            "value.phrase": "",
            "value.algorithm": "sha256",
            "value.region": "",
            "value.port": "8443",
            "value.raw": "true",
            "value.headers.name": ["X-A", "", "X-B"],
            "value.headers.value": ["1", "", "2"],
            "value.scopes": "read\r\n\r\n write ",
            "hosts": "a.example",
            "value.nothing": "x",
        },
    )

    assert values == {
        "user": "ada",
        "token": "  t0ken ",
        "key": PEM,
        "algorithm": "sha256",
        "port": 8443,
        "raw": True,
        "headers": {"X-A": "1", "X-B": "2"},
        "scopes": ["read", "write"],
    }


@pytest.mark.parametrize("text", ["1.5", "nan", "1e999", "many"])
def test_a_number_that_does_not_fit_is_left_to_be_refused(fields: tuple[KindField, ...], text: str) -> None:
    port = values_of(fields, {"value.port": text})["port"]

    assert str(port) == text


def test_a_form_of_nothing_has_no_values_but_what_is_not_checked(fields: tuple[KindField, ...]) -> None:
    assert values_of(fields, {}) == {"raw": False}
