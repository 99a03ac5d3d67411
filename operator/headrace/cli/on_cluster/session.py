"""A conversation with one API server about one namespace; what goes wrong in it becomes a sentence."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.cli.errors import Sentence
from headrace.cli.target import Target

if TYPE_CHECKING:
    from headrace.kube.client import Api, ApiError

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Session:
    """The API server, and the namespace that is meant where a manifest names none."""

    api: "Api"
    target: Target
    namespace: str

    def command(self, words: str) -> str:
        """A command line about this namespace, to be copied."""
        return self.target.command(words, self.namespace)

    @property
    def server(self) -> str:
        """The API server as a person knows it."""
        context, host = self.api.home.context, self.api.configuration.host
        return f"{host} (context {context})" if context else host


@asynccontextmanager
async def open_session(target: Target) -> AsyncIterator[Session]:
    """Talks to the cluster that is meant; every refusal inside ends in a sentence."""
    try:
        from headrace.kube.client import ApiError, NoCluster, connect
    except ModuleNotFoundError as error:
        raise Sentence(
            f"talking to a cluster needs the package {error.name}; pip install 'headrace[operator]'"
        ) from error
    try:
        api = await connect(target.context)
    except NoCluster as error:
        raise Sentence(str(error)) from error
    session = Session(api, target, target.namespace or api.home.namespace)
    try:
        yield session
    except ApiError as error:
        raise Sentence(told(error, session)) from error
    finally:
        await api.close()


def told(error: "ApiError", session: Session) -> str:
    """What the API server's answer means for a person, and what to do next."""
    named = f" --context {session.api.home.context}" if session.api.home.context else ""
    match error.code:
        case 0:
            fact = str(error.__cause__ or "") or error.message
            return f"{session.server} does not answer: {fact}; `kubectl cluster-info{named}` tells whether the network or the cluster is at fault"
        case 401:
            return (
                f"{session.server} does not know who asks: {error.message}; log in again, or choose another --context"
            )
        case 403:
            return (
                f"{error.message}; ask the cluster's administrator for this right, or choose another namespace with -n"
            )
    later = "; try again in a moment" if may_pass(error) else ""
    return f"{session.server}: {error.message}{later}"


def may_pass(error: "ApiError") -> bool:
    """Whether the API server may well answer the same question later: it is silent, busy or broken."""
    return error.code in (0, 429) or error.code >= 500


async def together(asked: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """All answers in the order of the questions; at the first refusal the others are given up before it is raised."""
    tasks = [asyncio.create_task(one) for one in asked]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
