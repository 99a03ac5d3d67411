#!/usr/bin/env python3
"""Asks the endpoint which digit is spoken in sound files: ask.py ADDRESS FILE…, the address as `headrace run` tells it."""

import base64
import json
import sys
from pathlib import Path
from urllib.request import Request, urlopen

address, *files = sys.argv[1:]
for file in map(Path, files):
    body = {"instances": [base64.b64encode(file.read_bytes()).decode()]}
    with urlopen(Request(address, json.dumps(body).encode())) as answer:
        (said,) = json.load(answer)["predictions"]
    print(f"{file.parent.name}/{file.name} says {said['label']}, {max(said['probabilities']):.0%} sure")
