"""No credentials in a URI: it stands in .status, reports, events and logs, which more people read than a Secret."""

import re

from headrace.api.base import Rule

PATTERN = r"(?i)^[a-z0-9]+://[^/@]*:[^/@]*@|[?&][^=/]*(sig|token|secret|password|credential|key)[^=/]*="
"""A password before the host, or a parameter that is called like one; RE2's and Python's syntax alike."""

ADVICE = "read them from a Secret by spec.pods.environment"


def shows_credentials(uri: str) -> bool:
    """Whether a URI carries what should be in a Secret."""
    return re.search(PATTERN, uri) is not None


NO_CREDENTIALS = Rule(
    f"!has(self.uri) || !self.uri.matches('{PATTERN}')",
    f"uri must hold no credentials; {ADVICE}",
    lambda value: value.uri is None or not shows_credentials(value.uri),
)
"""For models with a field `uri`."""
