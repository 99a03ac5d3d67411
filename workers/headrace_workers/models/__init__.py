"""Networks: those that ship with Headrace, one file each, and the user's own. Nothing here knows how they are trained.

Serving rebuilds a published model with the same `build_network`.
"""

from headrace_workers.models.build import build_network

__all__ = ["build_network"]
