"""Rows of text as people of many countries write them, with private data in known places and with what only looks like it."""

import random
import re
from dataclasses import dataclass

from faker import Faker

from headrace.api.steps import Entity

LOCALES = ("en_US", "en_GB", "en_CA", "en_AU", "en_IN", "de_DE", "de_AT", "de_CH", "fr_FR", "es_ES", "it_IT", "nl_NL", "nl_BE", "pl_PL",
           "pt_BR", "pt_PT", "sv_SE", "no_NO", "da_DK", "fi_FI", "cs_CZ", "ja_JP", "ru_RU")  # fmt: skip
CALLED = ("Phone: {}", "call {}", "Tel. {}", "my number is {}", "mobile {}", "reach me on {}")
KINDS = (Entity.EMAIL, Entity.PHONE, Entity.CREDIT_CARD, Entity.IBAN, Entity.IP_ADDRESS)
FAULTY_IBANS = "en_IN"
"""Faker makes British ones there, of 21 characters, which no country has."""


@dataclass(frozen=True)
class Row:
    """A text, and the private values in it with their kinds."""

    text: str
    planted: tuple[tuple[Entity, str], ...]


def rows(count: int, seed: int, *, called: bool) -> list[Row]:
    """So many rows of three sentences and more; a telephone number is called one, or only stands there."""
    makers = []
    for number, locale in enumerate(LOCALES):
        maker = Faker(locale)
        maker.seed_instance(seed + number)
        makers.append((locale, maker))
    chance = random.Random(seed)
    return [_row(*makers[number % len(makers)], makers[0][1], chance, called=called) for number in range(count)]


def _row(locale: str, maker: Faker, american: Faker, chance: random.Random, *, called: bool) -> Row:
    sentences, planted = [], []
    for kind in chance.choices(KINDS, k=chance.randint(0, 3)):
        value = _value(kind, american if kind is Entity.IBAN and locale == FAULTY_IBANS else maker, american, chance)
        planted.append((kind, value))
        written = chance.choice(CALLED).format(value) if called and kind is Entity.PHONE else value
        sentences.append(f"{maker.sentence(8)[:-1]} {written}")
    sentences += [f"{maker.sentence(6)[:-1]} {_no_secret(maker, chance)}" for _ in range(chance.randint(0, 2))]
    chance.shuffle(sentences)
    return Row(", ".join([*sentences, maker.sentence(10)]), tuple(planted))


def _value(kind: Entity, maker: Faker, american: Faker, chance: random.Random) -> str:
    match kind:
        case Entity.EMAIL:
            return chance.choice((maker.email, maker.ascii_free_email, maker.company_email))()
        case Entity.PHONE:
            return maker.phone_number()
        case Entity.CREDIT_CARD:
            number = american.credit_card_number()
            return chance.choice(("", " ", "-")).join(re.findall(".{1,4}", number))
        case Entity.IBAN:
            return chance.choice(("", " ")).join(re.findall(".{1,4}", maker.iban()))
        case _:
            return chance.choice((american.ipv4, american.ipv6))()


def _no_secret(maker: Faker, chance: random.Random) -> str:
    """A date, a time, a price, a version, a whole number, a fraction, an ISBN, a span of years."""
    return chance.choice(
        (
            maker.date(),
            maker.date("%d.%m.%Y %H:%M"),
            maker.time(),
            f"${chance.randint(1, 99999)}.{chance.randint(0, 99):02}",
            f"v{chance.randint(1, 9)}.{chance.randint(0, 20)}.{chance.randint(0, 99)}",
            str(chance.randint(1, 10**9)),
            f"{chance.randint(1, 999)} {chance.randint(100, 999)} {chance.randint(100, 999)}",
            f"{chance.uniform(0, 1000):.6f}",
            maker.isbn13(),
            f"{chance.randint(1990, 2010)}-{chance.randint(2010, 2030)}",
        )
    )
