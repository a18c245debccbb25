"""BudFlow: workflows that people and agents build together, run durably in one process or on a Ray cluster."""

__version__ = "0.2.0"
