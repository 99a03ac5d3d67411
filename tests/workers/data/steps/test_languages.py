"""languages: what the package says, from a head of each text, whatever the chunks and types of the column are."""
# ruff: noqa: RUF001 (Greek and Turkish have letters of their own)

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from headrace.api.languages import Language
from headrace_workers.data.steps import languages

SENTENCES = {
    "ar": "فُتح الجسر الجديد أمس بعد عامين من العمل المتواصل",
    "cs": "Nový most byl včera otevřen po dvou letech stavebních prací",
    "de": "Die neue Brücke wurde gestern nach zwei Jahren Bauzeit eröffnet",
    "el": "Η νέα γέφυρα άνοιξε χθες μετά από δύο χρόνια εργασιών",
    "en": "The new bridge was opened yesterday after two years of work",
    "es": "El puente nuevo se abrió ayer después de dos años de obras",
    "fi": "Uusi silta avattiin eilen kahden vuoden rakennustöiden jälkeen",
    "fr": "Le nouveau pont a été ouvert hier après deux ans de travaux",
    "he": "הגשר החדש נפתח אתמול אחרי שנתיים של עבודה",
    "it": "Il nuovo ponte è stato aperto ieri dopo due anni di lavori",
    "ja": "新しい橋は二年の工事を経て昨日開通しました",
    "ko": "새 다리가 이 년간의 공사 끝에 어제 개통되었습니다",
    "nl": "De nieuwe brug werd gisteren geopend na twee jaar bouwen",
    "pl": "Nowy most został wczoraj otwarty po dwóch latach budowy",
    "pt": "A nova ponte foi inaugurada ontem, depois de dois anos de obras",
    "ru": "Новый мост открыли вчера после двух лет строительства",
    "sv": "Den nya bron öppnades i går efter två års byggarbete",
    "tr": "Yeni köprü iki yıllık çalışmanın ardından dün açıldı",
    "uk": "Новий міст відкрили вчора після двох років будівництва",
    "vi": "Cây cầu mới đã được khánh thành hôm qua sau hai năm thi công",
    "zh": "新桥经过两年的施工于昨天正式通车",
}
ODD = [
    "",
    " ",
    "12345",
    "....",
    "ok",
    "e\u0301te\u0301",
    "ÜBER ALLE BRÜCKEN",
    "HTTP://A.B/C?D=1",
    "a\x00b",
    "😀😀",
    "ß",
]
PACKAGE = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def column(*texts: str | None) -> pa.ChunkedArray:
    """A column of one chunk."""
    return pa.chunked_array([pa.array(texts, pa.string())])


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_in_its_language(language: str) -> None:
    """More likely than not, and in no other of these."""
    found = {other: languages.chances(column(SENTENCES[language]), [other])[0] for other in SENTENCES}
    assert found.pop(language) > 0.5
    assert max(found.values()) < 0.2


def test_the_answers_are_the_packages() -> None:
    """Of every class, for texts in all scripts, without any letter, and out of form."""
    texts = [*SENTENCES.values(), *ODD, *(text.upper() for text in SENTENCES.values())]
    texts += [unicodedata.normalize("NFD", text) for text in SENTENCES.values()]
    said = [dict(PACKAGE.rank(text)) for text in texts]
    for name in ("en", "de", "sr", "uz", "ja", "zxx"):
        # What the package spreads evenly, as nothing is known of it, is in no language.
        expected = [0.0 if len(set(ranks.values())) <= 2 else ranks[name] for ranks in said]
        np.testing.assert_allclose(languages.chances(column(*texts), [name]), expected, atol=1e-5)


def test_languages_are_taken_together() -> None:
    """A text that may be in either of two is in one of them."""
    text = column("hello")
    alone = [languages.chances(text, [name])[0] for name in ("fi", "br", "st")]
    assert languages.chances(text, ["fi", "br", "st"])[0] == pytest.approx(sum(alone))


def test_a_long_text_is_told_by_its_head() -> None:
    """What comes after is not looked at."""
    head = "The new bridge was opened yesterday. " * 20
    assert len(head) > languages.HEAD_CHARACTERS
    alone, with_more = languages.chances(column(head, head + SENTENCES["ja"] * 1000), ["en"])
    assert alone == with_more > 0.9


def test_it_does_not_matter_how_a_column_lies() -> None:
    """Slices, chunks, large offsets and missing values."""
    texts = [None, *SENTENCES.values(), None]
    expected = languages.chances(column(*texts), ["de", "zh"])
    assert expected[0] == expected[-1] == 0.0
    large = pa.array(texts, pa.large_string())
    chunked = pa.chunked_array([large.slice(0, 5), large.slice(5, 0), large.slice(5)])
    np.testing.assert_array_equal(languages.chances(chunked, ["de", "zh"]), expected)
    assert len(languages.chances(pa.chunked_array([], pa.string()), ["de"])) == 0


def test_the_vocabulary_names_all_that_the_model_knows() -> None:
    """And nothing else, but for what is no language."""
    assert {*map(str, Language)} == {*languages.model().classes} - {"zxx"}
