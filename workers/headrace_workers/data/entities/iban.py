"""International bank account numbers: a country with its length, and a remainder of 1 by 97 (ISO 13616, ISO/IEC 7064)."""

import re
from collections.abc import Iterator
from string import ascii_uppercase

LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IR": 26, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
"""The length of a number by its country."""

HINT = r"[A-Za-z]{2}\p{Nd}{2}[ \x{a0}-]?[A-Za-z0-9]"
CANDIDATE = re.compile(r"\d(?<=[A-Za-z]{2}\d)(?<![^\W_][A-Za-z]{2}\d)\d(?:[ \u00a0-]?[A-Za-z0-9]){11,29}")
COUNTRY = 2
AS_DIGITS = {ord(letter): str(int(letter, 36)) for letter in ascii_uppercase}
SEPARATORS = re.compile(r"[ \u00a0-]")


def find(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each number."""
    at = 0
    while found := CANDIDATE.search(text, at):
        start, at = found.start() - COUNTRY, found.start() + 1
        if end := _end(text[start : found.end()]):
            at = start + end
            yield start, at


def _end(candidate: str) -> int | None:
    """Where the number ends that the candidate starts with."""
    length = LENGTHS.get(candidate[:COUNTRY].upper(), 0)
    number = SEPARATORS.sub("", candidate)
    if not length or len(number) < length or not passes_mod97(number[:length]):
        return None
    end = length
    while (separators := len(SEPARATORS.findall(candidate[:end]))) > end - length:
        end = length + separators
    cut_in_a_word = candidate[end : end + 1].isalnum()
    return None if cut_in_a_word else end


def passes_mod97(number: str) -> bool:
    """Whether the number, its first four characters put last and letters read as 10 to 35, leaves 1 when divided by 97."""
    return int((number[4:] + number[:4]).upper().translate(AS_DIGITS)) % 97 == 1
