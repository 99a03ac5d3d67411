#!/usr/bin/env python3
"""A Stream on a real broker: Kafka → validate → redact → deduplicate → windowed rate → anomaly → Delta, beside Quix Streams.

First how many messages a second go through, of a topic that is full; Quix Streams then computes a windowed mean alone of the
same topic. Then how long after a window's end the alert of its row is posted, at half the asked rate: the watermark passes
a window's end when both partitions have a message that is newer by the allowed lateness. Broker, head, worker and producer
share this machine. Exits with 1 when a bound is missed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parent))
from interval import Interval, Judge

from headrace.api import environment
from headrace.api.data_pipeline import DataPipelineSpec
from headrace.api.meta import Kind
from headrace.api.run_report import RunReport
from headrace.api.run_spec import RunIdentity, RunSpec
from tests.workers.data.stream.broker import Broker, Topic, two_free_ports

RATE, ALERT_SECONDS = 25_000, 1.0
MESSAGES, PARTITIONS, DEVICES = 1_500_000, 2, 50
LATENESS = 1
CHUNK = 20_000
WINDOW = 1
PACED_SECONDS = 60
START_SECONDS, DRAIN_SECONDS, PEER_SECONDS = 120.0, 600.0, 600
TOKEN = "0123456789abcdef0123456789abcdef"
QUIX = ["quixstreams"]


def message(number: int, at: float, value: float) -> bytes:
    """One of some 150 bytes; every hundredth comes twice."""
    key = number - 1 if number % 100 == 99 else number
    return (
        f'{{"at":{at:.3f},"device":"d{key % DEVICES}","seq":{key},"value":{value:.4f},'
        f'"note":"status ok, ask operator{key % 997}@example.com or +49 30 1234{key % 10_000:04d}"}}'
    ).encode()


def spec_of(broker: Broker, topic: str, alerts: Sequence[dict[str, Any]] = ()) -> DataPipelineSpec:
    """The whole recipe."""
    return DataPipelineSpec.model_validate(
        {
            "mode": "Stream",
            "source": {"kafka": {"brokers": [broker.address], "topics": [topic]}},
            "eventTime": {"column": "at", "allowedLatenessSeconds": LATENESS},
            "steps": [
                {"validate": {"columns": [{"name": "value", "min": -100, "max": 200}]}},
                {"redact": {"column": "note", "entities": ["Email", "Phone"]}},
                {"deduplicate": {"exact": {"columns": ["device", "seq"], "withinSeconds": 60}}},
                {"window": {"seconds": WINDOW, "by": ["device"], "measures": [
                    {"into": "n", "measure": {"count": {}}}, {"into": "rate", "measure": {"rate": {}}},
                    {"into": "mean", "measure": {"mean": {"column": "value"}}}]}},
                {"detect": {"column": "mean", "by": ["device"]}},
            ],
            "alerts": list(alerts),
            "sink": {"delta": {}},
            "workers": {"min": 1, "max": 1, "resources": {"cpu": "1"}},
        }
    )  # fmt: skip


class Pods:
    """A head and a worker as the operator starts them, as processes."""

    def __init__(self, folder: Path, spec: DataPipelineSpec) -> None:
        identity = RunIdentity(
            kind=Kind.DATA_PIPELINE, namespace="default", name="bench", uid="uid", run=1, attempt=1, digest="d"
        )
        run = RunSpec(identity=identity, storage=f"file:{folder}/run", publish=f"file:{folder}/table", pipeline=spec)
        (folder / "run.json").write_text(run.model_dump_json(by_alias=True, exclude_none=True))
        self._folder, ray_port = folder, two_free_ports()
        self._report_port = two_free_ports()
        self._environment = {
            **os.environ,
            environment.RUN_SPEC: str(folder / "run.json"),
            environment.TERMINATION_LOG: str(folder / "termination.json"),
            environment.TOKEN: TOKEN,
            environment.POD_IP: "127.0.0.1",
            environment.PORT_RAY: str(ray_port),
            environment.HEAD_ADDRESS: f"127.0.0.1:{ray_port}",
            environment.PORT_REPORT: str(self._report_port),
        }

    @contextmanager
    def running(self) -> Iterator["Pods"]:
        """Both, ended when the block ends."""
        with ExitStack() as stack:
            for module in ("headrace_workers.data", "headrace_workers.ray_worker"):
                log = stack.enter_context((self._folder / f"{module}.log").open("w"))
                more = {environment.POD_NAME: module.rpartition(".")[2].replace("_", "-")}
                command = [sys.executable, "-m", module]
                process = subprocess.Popen(command, env={**self._environment, **more}, stdout=log, stderr=log)
                stack.callback(_ended, process)
            yield self

    def report(self) -> RunReport | None:
        """What the head says; None before it answers."""
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self._report_port}/report", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:
                return RunReport.model_validate_json(answer.read())
        except OSError:
            return None

    def until(self, records: int, seconds: float) -> list[tuple[float, RunReport]]:
        """The reports until so many records were read, with when they came."""
        told: list[tuple[float, RunReport]] = []
        ends = time.monotonic() + seconds
        while True:
            report = self.report()
            if report and report.records:
                told.append((time.monotonic(), report))
                if report.records.read >= records:
                    return told
            if time.monotonic() > ends:
                logs = (self._folder / "headrace_workers.data.log").read_text()[-2000:]
                raise TimeoutError(
                    f"{report.records if report else None} after {seconds:g} s; the head's log ends: {logs}"
                )
            time.sleep(0.1)


def _ended(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def fill(topic: Topic, count: int) -> float:
    """Messages as they come at the asked rate, each up to half a second out of order; returns their MB."""
    random = np.random.default_rng(3)
    times = 1_700_000_000 + np.arange(count) / RATE + random.random(count) * LATENESS / 2
    values = random.normal(20, 2, count)
    size = 0
    for start in range(0, count, CHUNK):
        chunk = [message(number, times[number], values[number]) for number in range(start, min(start + CHUNK, count))]
        size += sum(map(len, chunk))
        for partition in range(PARTITIONS):
            topic.say(chunk[partition::PARTITIONS], partition)
    return size / 1e6


def throughput(broker: Broker, scratch: Path, judge: Judge, count: int) -> tuple[Topic, float]:
    """Messages a second through the whole recipe; the topic, for the peer."""
    topic = broker.topic(PARTITIONS)
    megabytes = fill(topic, count)
    with Pods(scratch, spec_of(broker, topic.name)).running() as pods:
        told = pods.until(1, START_SECONDS) + pods.until(count, DRAIN_SECONDS)
    reads = [(moment, report.records.read) for moment, report in told if report.records]
    first = next(each for each in reads if each[1] >= 0.05 * count)
    last = reads[-1]
    rate = (last[1] - first[1]) / (last[0] - first[0])
    records, stream = told[-1][1].records, told[-1][1].stream
    assert records and stream
    found = records.written + records.filtered + records.duplicates + records.quarantined + records.late + records.held
    if found != records.read or records.duplicates != count // 100:
        raise SystemExit(f"records are lost or doubled: {records}")
    print(f"{count:,} messages, {megabytes:.0f} MB: {records}")
    for stage in stream.stages:
        print(
            f"  {stage.stage}: {stage.records / max(stage.seconds, 1e-9):,.0f} a second of work, on {stage.channels} channels"
        )
    print(f"  memory {stream.memory_bytes / 2**20:.0f} MiB, {stream.commits} commits, {stream.files} files", flush=True)
    judge.at_least("stream: messages a second", Interval(rate, 0.0), RATE)
    return topic, rate


def quix(broker: Broker, topic: str, count: int, rate: float) -> None:
    """Prints how many messages a second Quix Streams takes for a windowed mean."""
    cache = Path(os.environ.get("HEADRACE_CACHE", Path.home() / ".cache" / "headrace")) / "peers" / "quix"
    python = cache / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", cache], check=True)
        if subprocess.run([python, "-m", "pip", "install", "--quiet", *QUIX], check=False).returncode:
            print("Quix Streams cannot be installed: no comparison", flush=True)
            return
    script = Path(__file__).parent / "peer_quix.py"
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        command = [python, script, broker.address, topic, str(count), folder]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=PEER_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            print(f"Quix Streams did not end within {PEER_SECONDS} s: no comparison", flush=True)
            return
    if ended.returncode:
        print(f"Quix Streams failed: no comparison; {ended.stderr.strip()[-300:]}", flush=True)
        return
    peer = json.loads(ended.stdout.strip().splitlines()[-1])["rate"]
    print(
        f"Quix Streams, windowed mean alone: {peer:,.0f} messages a second; the whole recipe here is {rate / peer:.2f} times as fast",
        flush=True,
    )


class Hook(ThreadingHTTPServer):
    """Takes alerts, and when they came."""

    daemon_threads = True

    def __init__(self) -> None:
        hook = self
        self.taken: list[tuple[float, str]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.taken.append((time.time(), body["message"]))
                self.send_response(204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


def delays(taken: Sequence[tuple[float, str]], passed: dict[int, float]) -> list[float]:
    """Seconds from when the watermark passed a window's end to when its alert came."""
    found = []
    for moment, text in taken:
        start = datetime.fromisoformat(text.rpartition("record ")[2].partition("/")[0]).timestamp()
        end = int(start) + WINDOW
        if end in passed:
            found.append(moment - passed[end])
    return found


def latency(broker: Broker, scratch: Path, judge: Judge, rate: int, seconds: int) -> None:
    """Alerts of every window's row of one device, while messages come at a steady rate."""
    topic, hook = broker.topic(PARTITIONS), Hook()
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    alert = {
        "name": "any",
        "column": "n",
        "above": 0,
        "webhook": {"uri": f"http://127.0.0.1:{hook.server_port}/alerts"},
    }
    paced = [
        sys.executable,
        str(Path(__file__).parent / "paced_messages.py"),
        broker.address,
        topic.name,
        str(rate),
        str(seconds),
    ]
    with Pods(scratch, spec_of(broker, topic.name, [alert])).running() as pods:
        topic.say([json.loads(message(0, time.time(), 20.0))], 0)
        topic.say([json.loads(message(1, time.time(), 20.0))], 1)
        pods.until(2, START_SECONDS)
        ended = subprocess.run(paced, capture_output=True, text=True, check=True)
        told = json.loads(ended.stdout.strip().splitlines()[-1])
        pods.until(told["sent"], DRAIN_SECONDS)
        time.sleep(5)
    hook.shutdown()
    # A second of the producer's: the first message of each partition whose time is at least that.
    passed = {int(second): moment for second, moment in told["passed"].items()}
    ends = {second - LATENESS: moment for second, moment in passed.items()}
    found = delays(hook.taken, ends)
    if len(found) < 0.9 * (seconds - LATENESS - 2 * WINDOW) * DEVICES:
        raise SystemExit(f"only {len(found)} alerts came")
    print(
        f"{told['sent'] / told['seconds']:,.0f} messages a second, {len(found):,} alerts: median {np.median(found):.3f} s after the watermark passed the window's end, "
        f"p99 {np.quantile(found, 0.99):.3f} s, at most {max(found):.3f} s",
        flush=True,
    )
    judge.at_most(
        "alert: seconds after the watermark, p99", Interval(float(np.quantile(found, 0.99)), 0.0), ALERT_SECONDS
    )


def main() -> int:
    """Measures, prints, and answers with the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=MESSAGES)
    arguments.add_argument("--seconds", type=int, default=PACED_SECONDS)
    arguments.add_argument("--only", nargs="*", choices=("throughput", "latency"), default=["throughput", "latency"])
    given, judge = arguments.parse_args(), Judge()
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        scratch = Path(folder)
        broker = Broker(scratch / "kafka")
        broker.up()
        try:
            if "throughput" in given.only:
                (scratch / "fast").mkdir()
                topic, rate = throughput(broker, scratch / "fast", judge, given.messages)
                quix(broker, topic.name, given.messages, rate)
            if "latency" in given.only:
                (scratch / "paced").mkdir()
                latency(broker, scratch / "paced", judge, RATE // 2, given.seconds)
        finally:
            broker.down()
    return int(judge.missed)


if __name__ == "__main__":
    sys.exit(main())
