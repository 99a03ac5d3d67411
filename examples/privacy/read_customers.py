#!/usr/bin/env python3
"""Shows what the pipeline made of the notes, and what who has the key can read again: read_customers.py TABLE."""

import os
import sys

from deltalake import DeltaTable

from headrace_workers.data.steps.encrypt_columns import decrypt

table = DeltaTable(sys.argv[1]).to_pyarrow_table().slice(0, 4)
for row in table.select(["customer", "name", "text"]).to_pylist():
    print(f"{row['customer'][:12]}…  {row['name'][:24]}…  {row['text']}")
key = os.environ["HEADRACE_KEY_PRIVACY__2026_07"]
print("with the key:", ", ".join(decrypt(table, ["name"], {"2026-07": key})["name"].to_pylist()))
