"""The role `server`: one model version behind POST /predict.

It listens from the first moment and is ready only after the model was loaded and has answered once. It never reads a
dataset, and never learns of other versions.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiohttp import web

from headrace.api.run_spec import ServeSpec
from headrace_workers.faults import RunFault
from headrace_workers.pod import Pod
from headrace_workers.serve.answers import refusal
from headrace_workers.serve.batching import Batcher, QueueFull
from headrace_workers.serve.instances import BODY_BYTES_MAX, BadInstance, InputSchema, parse_instances
from headrace_workers.serve.lifetime import Lifetime, Listener, listening
from headrace_workers.serve.server_metrics import ServerMetrics
from headrace_workers.serve.settings import Settings

if TYPE_CHECKING:
    from headrace_workers.serve.predictor import Predictor
    from headrace_workers.serve.writer import Writer

logger = logging.getLogger(__name__)

INLINE_BYTES = 64 * 1024
"""Longer bodies are read in a thread, so that the loop stays live."""


class PredictionService:
    """What POST /predict does, once there is a model."""

    def __init__(self, spec: ServeSpec, lifetime: Lifetime, metrics: ServerMetrics, batcher: Batcher) -> None:
        """Starts without a model: requests are refused until `begin`."""
        self._version = spec.model.name
        self._lifetime = lifetime
        self._metrics = metrics
        self._batcher = batcher
        self._schema: InputSchema | None = None

    def begin(self, schema: InputSchema) -> None:
        """From here on requests are answered."""
        self._schema = schema

    async def handle(self, request: web.Request) -> web.Response:
        """Answers one request and counts it."""
        with self._metrics.measured() as one:
            response = await self._answer(request)
            one.code = response.status
        if self._lifetime.stopping.is_set():
            response.force_close()  # so that whoever holds the connection opens its next one elsewhere
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        if self._schema is None:
            return refusal(
                503, f"model version {self._version} is still loading: try again shortly", retry_after_seconds=2
            )
        try:
            predictions = await self._batcher.answer(await _read_instances(request, self._schema))
        except web.HTTPRequestEntityTooLarge:
            return refusal(
                400,
                f"the body is longer than the {BODY_BYTES_MAX} bytes that one request may have: send several requests",
            )
        except BadInstance as error:
            return refusal(400, str(error))
        except QueueFull:
            return refusal(
                503,
                f"too many instances wait for model version {self._version} already: try again shortly",
                retry_after_seconds=1,
            )
        except Exception:
            logger.exception("model version %s failed to answer", self._version)
            return refusal(500, f"model version {self._version} failed to answer: its server's log says why")
        return web.json_response({"predictions": predictions, "modelVersion": self._version})


async def _read_instances(request: web.Request, schema: InputSchema) -> list[Any]:
    body = await request.read()
    if len(body) > INLINE_BYTES:
        return await asyncio.to_thread(parse_instances, body, schema)
    return parse_instances(body, schema)


async def serve(pod: Pod, spec: ServeSpec, settings: Settings) -> None:
    """Serves until asked to stop; RunFault if the model version cannot be loaded."""
    lifetime = Lifetime()
    metrics = ServerMetrics(spec.model)
    batcher = Batcher()
    service = PredictionService(spec, lifetime, metrics, batcher)
    app = web.Application(client_max_size=BODY_BYTES_MAX)

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app.add_routes([*lifetime.routes(), web.get("/metrics", show_metrics), web.post("/predict", service.handle)])
    async with (
        batcher.working(),
        listening(lifetime, [Listener(app, pod.ip, pod.ports["http"])], settings.drain_seconds),
    ):
        predictor = await asyncio.to_thread(_load, spec)
        batcher.begin(predictor.predict)
        service.begin(predictor.schema)
        lifetime.ready = True
        logger.info("model version %s is served on %s:%s", spec.model.name, pod.ip, pod.ports["http"])
        await lifetime.stopping.wait()
        logger.info("server of %s drains", spec.model.name)


def _load(spec: ServeSpec) -> "Predictor | Writer":
    # torch takes seconds to import: /healthz answers meanwhile
    from headrace_workers.serve.predictor import load_predictor

    predictor = load_predictor(spec.model)
    try:
        predictor.warm()
    except Exception as error:
        message = f"model version {spec.model.name} failed its first prediction ({type(error).__name__}: {error}): was it trained with another release?"
        raise RunFault("WarmUpFailed", message[:1024]) from error
    return predictor


def main(pod: Pod, settings: Settings) -> None:
    """Runs the server of this pod."""
    asyncio.run(serve(pod, pod.load(ServeSpec), settings))
