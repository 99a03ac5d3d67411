"""Numbers of payment cards: an issuer's prefix with its lengths, and the check digit of Luhn (US patent 2,950,048, 1960; ISO/IEC 7812)."""

import re
from collections.abc import Iterator, Sequence

HINT = r"\p{Nd}([ \x{a0}-]?\p{Nd}){11}"
RUN = re.compile(r"\d(?<![\w.+]\d)(?<!\w-\d)(?:[ \u00a0-]?\d){11,}(?!\w)(?!\.\d)")
"""It starts with what is looked for, and looks back from there: so `re` skips what is no digit four times as fast."""
ISSUER = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"
    r"|3[47]\d{13}"
    r"|3(?:0[0-59]|[689]\d)\d{11,16}"
    r"|(?:6011|64[4-9]\d|65\d\d|62\d\d|81\d\d|35\d\d)\d{12,15}"
    r"|220[0-4]\d{12,15}"
    r"|(?:2131|1800)\d{11}"
    r"|(?:50\d\d|5[6-8]\d\d|6\d{3}|0604)\d{8,15}"
)
"""Visa; Mastercard; American Express; Diners Club; Discover, UnionPay, JCB; Mir; JCB's old ones; Maestro."""

GROUP = re.compile(r"\d+")
WHOLE_GROUP = 4
"""Digits of a card's groups, of which the last may have fewer; other groups are of what stands beside it."""

FEWEST, MOST = 12, 19
LONGEST = 4 * WHOLE_GROUP + 2 * MOST
"""Characters of which a run is looked at for a card at its start: all its digits with what separates them, and what follows."""

NOT_DIGITS = re.compile(r"\D")
DOUBLED = str.maketrans("0123456789", "0246813579")
"""Twice a digit, the digits of which are added up."""

Span = tuple[int, int]


def find(text: str) -> Iterator[Span]:
    """Start and end of each number."""
    for run in RUN.finditer(text):
        yield from _in_run(text, run.span())


def end_at(text: str, start: int) -> int | None:
    """Where the number ends that starts here; None if there is none."""
    run = RUN.match(text, start, start + LONGEST)
    first = next(_in_run(text, run.span()), None) if run else None
    return first[1] if first and first[0] == start else None


def _in_run(text: str, run: Span) -> Iterator[Span]:
    """The numbers in a run of digits, which has others beside them: when a card ends, what proves it, a year, one more card."""
    whole = digits_of(text[slice(*run)])
    if len(whole) <= MOST and is_card(whole):
        yield run
        return
    groups = [group.span() for group in GROUP.finditer(text, *run)]
    place = 0
    while place < len(groups):
        after = _last_group(text, groups, place)
        if after:
            yield groups[place][0], groups[after - 1][1]
        place = after or place + 1


def _last_group(text: str, groups: Sequence[Span], first: int) -> int | None:
    """The place after the last group of the longest number that starts with this one; None if none does."""
    digits, best = "", None
    for after, (start, end) in enumerate(groups[first : first + MOST // WHOLE_GROUP + 1], first + 1):
        digits += digits_of(text[start:end])
        if len(digits) > MOST:
            break
        if len(digits) >= FEWEST and not _is_cut(groups, first, after) and is_card(digits):
            best = after
        if end - start < WHOLE_GROUP:
            break
    return best


def _is_cut(groups: Sequence[Span], first: int, after: int) -> bool:
    """Whether three groups of four have a fourth beside them: of so many numbers too many would be one by chance."""
    fours = [end - start == WHOLE_GROUP for start, end in groups[max(0, first - 1) : after + 1]]
    return after - first == FEWEST // WHOLE_GROUP and all(fours) and len(fours) > after - first


def digits_of(text: str) -> str:
    """The digits alone, those of other scripts as well."""
    digits = NOT_DIGITS.sub("", text)
    return digits if digits.isascii() else "".join(str(int(digit)) for digit in digits)


def is_card(digits: str) -> bool:
    """Whether an issuer gives such numbers, and the last digit is the check digit of the others."""
    return ISSUER.fullmatch(digits) is not None and passes_luhn(digits)


def passes_luhn(digits: str) -> bool:
    """Whether the sum of the digits, every second from the right doubled, is divisible by ten."""
    plain, doubled = digits[-1::-2], digits[-2::-2].translate(DOUBLED)
    return (sum(map(int, plain)) + sum(map(int, doubled))) % 10 == 0
