"""A request becomes one item, without what lets somebody in elsewhere."""

from budflow.triggers.webhook import WebhookRequest, to_item


def test_an_item_tells_all_of_the_request_but_credentials() -> None:
    request = WebhookRequest(
        "POST",
        "orders/M%C3%BCnchen",
        b"dry_run=1&tag=a&tag=b&empty=",
        [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"authorization", b"Bearer x"),
            (b"proxy-authorization", b"Basic x"),
            (b"cookie", b"session=x"),
            (b"x-tag", b"a"),
            (b"x-tag", b"b"),
        ],
        b'{"total": 120}',
    )

    assert to_item(request, {"shop": "München"}) == {
        "method": "POST",
        "path": "orders/München",
        "params": {"shop": "München"},
        "query": {"dry_run": "1", "tag": ["a", "b"], "empty": ""},
        "headers": {"content-type": "application/json; charset=utf-8", "x-tag": "a, b"},
        "body": {"total": 120},
    }


def test_a_header_is_found_in_any_case() -> None:
    request = WebhookRequest("POST", "x", b"", [(b"x-hub-signature-256", b"a"), (b"x-hub-signature-256", b"b")], b"")

    assert request.header("X-Hub-Signature-256") == "a"
    assert request.header("X-Other") is None
