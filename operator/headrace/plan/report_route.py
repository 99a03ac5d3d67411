"""The ways from the operator to its pods' report ports. Imports nothing, so that --help answers at once."""

from enum import StrEnum


class ReportRoute(StrEnum):
    """One of the ways."""

    DIRECT = "Direct"
    PROXY = "Proxy"
    """Through the API server, where the operator is outside the network of the pods."""
