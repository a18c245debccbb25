"""What the doors of a server count: how often they were asked for what, and how long the answers took."""

from dataclasses import dataclass, field

from budflow.model.figures import Counts, Spread, Spreads

#: Any other method is counted as one: who asks may invent some.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"


@dataclass(frozen=True, slots=True)
class DoorFigures:
    """Answers of webhooks by status; of the API by method, template of the route and status, and the seconds until
    each began. Nothing that a stranger can choose freely becomes a label.
    """

    webhooks: Counts = field(default_factory=Counts)
    webhook_seconds: Spread = field(default_factory=Spread)
    requests: Counts = field(default_factory=Counts)
    request_seconds: Spreads = field(default_factory=Spreads)

    def note_webhook(self, status: int, seconds: float) -> None:
        """A webhook was answered."""
        self.webhooks.add(str(status))
        self.webhook_seconds.add(seconds)

    def note_request(self, method: str, template: str | None, status: int, seconds: float) -> None:
        """The API answered; a path that is none of its routes has no template."""
        method, route = method if method in METHODS else OTHER, template or OTHER
        self.requests.add(method, route, str(status))
        self.request_seconds.add(seconds, method, route)
