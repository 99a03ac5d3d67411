#!/usr/bin/env python3
"""Writes 2,000 made-up notes on customers, one in fifty of which is broken, for the pipeline beside this file."""

import json
import random
from pathlib import Path

FOLDER = Path("/tmp/headrace-privacy")  # noqa: S108 (the manifest names it)
GIVEN, FAMILY = ("Anna", "Ben", "Chloé", "Dmitri", "Ewa", "Femi"), ("Schmidt", "Okafor", "Dupont", "Nowak", "Rossi")
CARDS = ("4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005")
ACCOUNTS = ("DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "FR14 2004 1010 0505 0001 3M02 606")
PHONES = ("+49 30 1234567", "(212) 555-0123", "01 23 45 67 89", "020 7946 0958")
NOTES = (
    "Order {order} of 2026-05-12 came late. Write to {mail} or call {phone}.",
    "Paid 49.90 by {card}; the refund goes to {account}.",
    "Logged in from {address} with version 4.2.1, asked for {mail} to be removed.",
    "Very content. Reach me on {phone}, not at {mail}.",
)


def note(number: int, chance: random.Random) -> str:
    """One line of the file."""
    given, family, customer = chance.choice(GIVEN), chance.choice(FAMILY), chance.randint(10_000, 10_300)
    text = chance.choice(NOTES).format(
        order=chance.randint(100_000, 999_999),
        mail=f"{given}.{family}{customer}@example.com".lower(),
        phone=chance.choice(PHONES),
        card=chance.choice(CARDS),
        account=chance.choice(ACCOUNTS),
        address=f"192.0.2.{chance.randint(1, 254)}",
    )
    rating = chance.randint(1, 5) if number % 100 else f"{given} {family}"
    line = json.dumps({"customer": customer, "name": f"{given} {family}", "text": text, "rating": rating})
    return line[:-20] if number % 100 == 50 else line


chance = random.Random(0)
FOLDER.mkdir(exist_ok=True)
(FOLDER / "customers.jsonl").write_text("".join(note(number, chance) + "\n" for number in range(2000)))
print(f"2,000 notes are in {FOLDER}/customers.jsonl")
