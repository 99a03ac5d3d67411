#!/usr/bin/env python3
"""Asks the quickstart's endpoint about raw images that no model was trained on, and prints its answers beside the truth."""

import argparse
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from deltalake import DeltaTable
from sklearn.datasets import load_digits

SHADES = " .:-=+*#%@"


def status(kind_and_name: str, state_dir: str) -> dict:
    """The status of one object, from the command line."""
    command = [
        str(Path(sys.executable).with_name("headrace")),
        "status",
        kind_and_name,
        "-o",
        "json",
        "--state-dir",
        state_dir,
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["status"]


def held_out(dataset: dict, count: int) -> list[int]:
    """The places, in scikit-learn's own order, of validation images."""
    table = DeltaTable(dataset["uri"], version=dataset["version"]).to_pyarrow_table(columns=["id", "split"])
    ids = (row["id"] for row in table.to_pylist() if row["split"] == "validation")
    places = sorted(int(identity.removeprefix("digits-")) for identity in ids)
    return places[:: max(1, len(places) // count)][:count]


def ask(url: str, instances: list) -> dict:
    """The endpoint's answer."""
    body = json.dumps({"instances": instances}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def main() -> int:
    """Returns 0 when at least nine answers in ten are right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state-dir", default=".headrace")
    parser.add_argument("--count", type=int, default=10)
    arguments = parser.parse_args()
    endpoint = status("ie/digits", arguments.state_dir)
    places = held_out(status("dp/digits", arguments.state_dir)["dataset"], arguments.count)
    digits = load_digits()
    answer = ask(endpoint["url"], [digits.images[place].tolist() for place in places])
    print(
        f"\n{len(places)} held-out images, posted as they are to {endpoint['url']}, answered by {answer['modelVersion']}:"
    )
    for row in range(8):
        print(
            "  "
            + "  ".join("".join(SHADES[int(pixel * 9 / 16)] for pixel in digits.images[place][row]) for place in places)
        )
    labels = [prediction["label"] for prediction in answer["predictions"]]
    truth = [int(digits.target[place]) for place in places]
    print("  " + "  ".join(f"{f'said {label}':8s}" for label in labels))
    print("  " + "  ".join(f"{f'is   {label}':8s}" for label in truth))
    right = sum(int(label) == int(real) for label, real in zip(labels, truth, strict=True))
    print(f"{right} of {len(places)} are right\n")
    return 0 if right >= 0.9 * len(places) else 1


sys.exit(main())
