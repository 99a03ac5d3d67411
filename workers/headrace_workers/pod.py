"""A pod's own identity, as the operator put it into the environment. Read once, at the start of an entry point."""

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from headrace.api import environment
from headrace.api.base import Model
from headrace.api.run_report import TOKEN_HEADER

Spec = TypeVar("Spec", bound=Model)


@dataclass(frozen=True)
class Pod:
    """Who this process is and where it listens."""

    name: str
    ip: str
    token: str
    termination_log: Path
    spec_path: Path
    ports: Mapping[str, int]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Pod":
        """Reads the variables named in headrace.api.environment; what is missing gets a loopback default."""
        prefix = environment.port_variable("")
        return cls(
            name=environ.get(environment.POD_NAME, "pod"),
            ip=environ.get(environment.POD_IP, "127.0.0.1"),
            token=environ.get(environment.TOKEN, ""),
            termination_log=Path(environ.get(environment.TERMINATION_LOG, environment.TERMINATION_LOG_DEFAULT)),
            spec_path=Path(environ.get(environment.RUN_SPEC, "/etc/headrace/run.json")),
            ports={
                name.removeprefix(prefix).lower(): int(value)
                for name, value in environ.items()
                if name.startswith(prefix)
            },
        )

    def load(self, model: type[Spec]) -> Spec:
        """The spec that the operator wrote for this pod."""
        return model.model_validate_json(self.spec_path.read_text())


def shows_token(headers: Mapping[str, str], token: str) -> bool:
    """Whether a request's headers show the run's token: as the bearer's, or in the header that proxies pass on."""
    given = (headers.get("Authorization", ""), headers.get(TOKEN_HEADER, ""))
    wanted = (f"Bearer {token}", token)
    matches = [hmac.compare_digest(_bytes(one), _bytes(other)) for one, other in zip(given, wanted, strict=True)]
    return bool(token) and any(matches)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
