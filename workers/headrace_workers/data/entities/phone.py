"""Telephone numbers: international ones (ITU-T E.164), national ones that start with 0 or are grouped as only they are.

Digits alone, or in groups that a number may have as well, count only after a word such as phone: a year, a price, an
order's number are no telephone numbers.
"""

import re
from collections.abc import Iterator

from headrace_workers.data.entities.credit_card import end_at as card_end_at

HINT = r"\p{Nd}([ \x{a0}]?[-./()\x{2010}-\x{2013}]{0,2}[ \x{a0}]?\p{Nd}){6}"
S = r"(?:[ \u00a0]?[-./()\u2010-\u2013]{1,2})?[ \u00a0]?"
"""What separates digits. A space can be read in one way alone, or a failure would try them all."""

ZERO = "[0\u0660\u06f0\u0966\uff10]"
"""Of the scripts in which numbers are dialled."""

CANDIDATE = re.compile(r"[+(\d](?<!\w[+(\d])[+\d ().\-/\u00a0\u2010-\u2013]{6,40}")
BARE = re.compile(rf"[+(]{{0,2}}\d(?:{S}\d){{6,14}}(?!\d)")
DATE = r"(?:\d{1,2}([-./ ])\d{1,2}\1(?:(?:19|20)\d\d(?!\d)|\d\d(?![-./ \d])))"
EXTENSION = r"(?: ?(?:x|ext\.?|Ext\.?|#) ?\d{1,6})?"
STRONG = re.compile(
    rf"(?<![\w+])(?<!\d[-./(])(?:"
    rf"\(?\+\(?(?!{ZERO})\d(?:{S}\d){{6,60}}"
    rf"|(?!\d{{18}}){ZERO}{{2}}(?!{ZERO})\d(?:{S}\d){{8,60}}"
    rf"|(?!{DATE}|\d{{15}})\(?{ZERO}(?!{ZERO})\d(?:{S}\d){{6,60}}"
    r"|(?:1[-. ]|\d-)?(?:\(\d{3}\)[-. ]?\d{3}[-. ]\d{4}|\d{3}([-. ])\d{3}\2\d{4})"
    r"|\(\d{2,5}\)[- ]?\d{3,5}[- ]?\d{3,4}(?: ?\d{2,4})?"
    r"|8 \(?\d{3}\)? \d{3}[- ]\d\d[- ]?\d\d"
    r"|\d{2,3} \d{3} \d\d \d\d"
    r"|\d\d[- ]\d{4,5}-\d{4}|\d{3} \d\d \d{3}"
    rf"){EXTENSION}(?!\w)(?![-.,]\d)"
)
"""Numbers with only spaces between them are taken together: where one ends and the next begins cannot be seen."""

OTHER = re.compile(
    rf"{DATE}|(?:19|20)\d\d-(?:19|20)\d\d\Z|\d+\.\d+\Z|\d{{1,3}}(?:\.\d{{1,3}}){{3}}\Z|97[89](?:-*\d)+|(?:19|20)\d\d-\d\d-\d\d"
)
"""What may stand after a word such as phone and is none: dates, spans of years, fractions, IPv4 addresses, ISBNs."""

CUE = re.compile(
    r"(?<![^\W_])(?:(?:tele)?phones?|tel|tell?\.|t[eé]l[eéè]f\w*|t[eé]l|call(?:ed|ing)?|cell|mob|mobil\w*|fax|whatsapp|signal|sms|text(?:ed)?|dial|"
    r"ring|handy|anruf\w*|rufnummer|puh|puhelin|tlf|reach (?:me|us|her|him|them)|my number|"
    r"тел|телефон\w*|моб\w*|電話|电话|전화|\u260e|\u2706|\U0001f4de|\U0001f4f1)(?![^\W_])[^\d\n$€£¥]{0,16}\Z"
)
CUE_BEFORE = 36
SHORTEST_CARD = 12
BEFORE = re.compile(r"[ \u00a0]+|\(")


def find(text: str, *, bare: bool = False) -> Iterator[tuple[int, int]]:
    """Start and end of each number; `bare` has digits that may be any number count too."""
    at = 0
    while candidate := CANDIDATE.search(text, at):
        start, at = candidate.span()
        written = candidate.group()
        if len(written) >= SHORTEST_CARD and (card_end := card_end_at(text, start)):
            at = card_end
        elif own := _own_form(text, start, written):
            at = own.end()
            yield own.span()
        elif found := BARE.match(text, start):
            if other := OTHER.match(text, start, found.end()):
                at = other.end()
            elif bare or CUE.search(text[max(0, start - CUE_BEFORE) : start].lower()):
                at = found.end()
                yield found.span()


def _own_form(text: str, start: int, written: str) -> re.Match[str] | None:
    """The first number of a form of its own that starts where digits do after a space or a bracket, or at the very start."""
    places = (start, *(start + before.end() for before in BEFORE.finditer(written)))
    return next((found for place in places if (found := STRONG.match(text, place))), None)
