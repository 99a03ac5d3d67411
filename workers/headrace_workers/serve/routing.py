"""What PUT /backends takes: the router's whole table, checked before it replaces the one in use."""

from pydantic import ValidationError

from headrace.api.run_spec import Routing


class RoutingRefused(ValueError):
    """The table makes no sense; the text says which part, and what to send instead."""


def parse_routing(body: bytes) -> Routing:
    """The table in JSON; RoutingRefused if it is not one."""
    try:
        routing = Routing.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise RoutingRefused(f"{place}: {first['msg']}") from error
    seen: set[str] = set()
    for backend in routing.backends:
        if backend.version in seen:
            raise RoutingRefused(
                f"version {backend.version} is listed twice: list each version once, with all its endpoints"
            )
        seen.add(backend.version)
        for endpoint in backend.endpoints:
            if not _is_address(endpoint):
                raise RoutingRefused(
                    f"endpoint {endpoint!r} of version {backend.version} is no address: write host:port"
                )
    return routing


def _is_address(endpoint: str) -> bool:
    host, colon, port = endpoint.rpartition(":")
    plain = bool(host) and not set(host) & set("/?#@ \t\r\n")
    return bool(colon) and plain and port.isascii() and port.isdigit() and 0 < int(port) < 65_536
