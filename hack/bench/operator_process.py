"""The operator as a process of its own, and what it costs: CPU, memory and requests."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

PORT = 18081
READY_SECONDS = 30.0


@asynccontextmanager
async def operator() -> AsyncIterator[asyncio.subprocess.Process]:
    """The operator, ready; ended by SIGTERM."""
    command = [sys.executable, "-m", "headrace.cli", "operator", "--port", str(PORT), "--log-format", "text"]
    silent = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=silent, stderr=silent)
    try:
        await until(lambda: "headrace_leader 1" in metrics(), READY_SECONDS)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def until(fact: Callable[[], bool], seconds: float) -> None:
    """Waits for a fact; TimeoutError when it does not become one."""
    ends = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > ends:
            raise TimeoutError
        await asyncio.sleep(0.1)


def metrics() -> str:
    """What the operator tells of itself; empty while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def usage(process: asyncio.subprocess.Process) -> tuple[float, float]:
    """CPU seconds and resident megabytes of the operator."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    resident = int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]) / 1024
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), resident


def requests() -> Counter[str]:
    """Requests to the API server by verb and resource."""
    found: Counter[str] = Counter()
    line = r'headrace_api_requests_total\{code="\d+",resource="([^"]+)",verb="([^"]+)"\} (\S+)'
    for what, verb, count in re.findall(line, metrics()):
        found[f"{verb} {what}"] += float(count)
    return found
