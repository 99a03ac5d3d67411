"""The steps of a DataPipeline: each one field of a one-of, each with typed settings."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from headrace.api.base import Column, Model, OneOf, Rule
from headrace.api.keys import Key
from headrace.api.languages import Language
from headrace.api.media import AugmentSound, DecodeImage, DecodeSound, SoundFeatures
from headrace.api.windows import Detect, Window

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class UnicodeForm(StrEnum):
    """A Unicode normalisation form."""

    NFC = "NFC"
    NFD = "NFD"
    NFKC = "NFKC"
    NFKD = "NFKD"


class NormalizeText(Model):
    """Brings text into one form."""

    column: Annotated[Column, Field(description="The text column.")] = "text"
    unicode: Annotated[UnicodeForm, Field(description="The Unicode normalisation form.")] = UnicodeForm.NFKC
    lowercase: Annotated[bool, Field(description="Whether letters become lower case.")] = False
    strip_punctuation: Annotated[bool, Field(description="Whether punctuation is removed.")] = False
    collapse_whitespace: Annotated[bool, Field(description="Whether runs of white space become one space.")] = True


class ColumnRule(Model):
    """What a column's values must be."""

    name: Annotated[Column, Field(description="The column.")]
    required: Annotated[bool, Field(description="Whether a missing value makes the record bad.")] = True
    min: Annotated[
        float | None, Field(description="The smallest value allowed, of a number or of each element of a list.")
    ] = None
    max: Annotated[
        float | None, Field(description="The largest value allowed, of a number or of each element of a list.")
    ] = None
    length: Annotated[int | None, Field(ge=0, le=100_000_000, description="The exact length of a list or a text.")] = (
        None
    )
    allowed: Annotated[tuple[str, ...], Field(max_length=1024, description="The values allowed, as text.")] = ()
    rules = (
        Rule(
            "!has(self.min) || !has(self.max) || self.min <= self.max",
            "min must be at most max",
            lambda c: c.min is None or c.max is None or c.min <= c.max,
        ),
    )


class Validate(Model):
    """Sends records that break a rule to the quarantine."""

    columns: Annotated[
        tuple[ColumnRule, ...], Field(min_length=1, max_length=256, description="What each column must be.")
    ]


class FillMissing(Model):
    """Replaces missing values of a column."""

    column: Annotated[Column, Field(description="The column.")]
    value: Annotated[
        str, Field(max_length=4096, description="What replaces a missing value, read as the column's type.")
    ]


class Filter(Model):
    """Drops records, counted as filtered."""

    column: Annotated[Column, Field(description="The text column that is judged.")] = "text"
    min_words: Annotated[int | None, Field(ge=0, le=10_000_000, description="The fewest words kept.")] = None
    max_words: Annotated[int | None, Field(ge=0, le=10_000_000, description="The most words kept.")] = None
    languages: Annotated[
        tuple[Language, ...],
        Field(
            max_length=200,
            description="The languages kept, as codes of ISO 639; none means all. A text's first 400 characters tell its language; a missing text has none. Norwegian, no, needs quotes in YAML.",
        ),
    ] = ()
    min_confidence: Annotated[
        float,
        Field(
            gt=0.0,
            le=1.0,
            description="How probable it must be that a text is in one of languages; others are dropped, as are texts that are too short to tell. A lower one keeps more short texts, and more in other languages.",
        ),
    ] = 0.3


class Exact(Model):
    """Records are duplicates when the chosen columns are equal."""

    columns: Annotated[
        tuple[Column, ...], Field(max_length=256, description="The columns compared; none means all but id.")
    ] = ()
    within_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=2_592_000,
            description="How long in event time a Stream remembers a record, the allowed lateness not counted; a Batch remembers all.",
        ),
    ] = 600


class Near(Model):
    """Records are duplicates when the MinHash estimate of their texts' Jaccard similarity reaches the threshold."""

    column: Annotated[Column, Field(description="The text column.")] = "text"
    threshold: Annotated[
        float, Field(gt=0.0, le=1.0, description="The similarity from which on a record is a duplicate.")
    ] = 0.8
    permutations: Annotated[int, Field(ge=16, le=1024, description="Hash functions of a signature.")] = 128


class Deduplicate(OneOf):
    """Keeps the first of equal or near-equal records."""

    exact: Annotated[Exact | None, Field(description="Equal columns.")] = None
    near: Annotated[Near | None, Field(description="Similar texts.")] = None


class Entity(StrEnum):
    """A kind of private data."""

    EMAIL = "Email"
    PHONE = "Phone"
    CREDIT_CARD = "CreditCard"
    IBAN = "Iban"
    IP_ADDRESS = "IpAddress"
    PERSON = "Person"


class Redact(Model):
    """Replaces private data in text by its kind, such as [Email]."""

    column: Annotated[Column, Field(description="The text column.")] = "text"
    entities: Annotated[tuple[Entity, ...], Field(min_length=1, max_length=16, description="What is replaced.")]
    bare_numbers: Annotated[
        bool,
        Field(
            description="Whether a Phone may also be 7 to 15 digits that neither are written as only telephone numbers are nor follow a word such as phone; other numbers are replaced too then."
        ),
    ] = False


Columns = Annotated[tuple[Column, ...], Field(min_length=1, max_length=256, description="Columns of text or integers.")]


class Hash(Model):
    """Replaces each value by a pseudonym, HMAC-SHA-256 in 64 hexadecimal digits: equal values stay equal, in all columns."""

    columns: Columns
    key: Annotated[Key, Field(description="What keeps others from finding a value by trying.")]


class Encrypt(Model):
    """Encrypts each value by AES-256-GCM, bound to its column; equal values of different records differ."""

    columns: Columns
    key: Annotated[Key, Field(description="The key that writes.")]


class EmbedMethod(StrEnum):
    """How words become vectors."""

    WORD2VEC = "Word2Vec"


class Embed(Model):
    """Trains word embeddings on the data and adds each text's mean vector."""

    column: Annotated[Column, Field(description="The text column.")] = "text"
    method: Annotated[EmbedMethod, Field(description="How words become vectors.")] = EmbedMethod.WORD2VEC
    dimensions: Annotated[int, Field(ge=2, le=4096, description="The length of a vector.")] = 64


class ScaleMethod(StrEnum):
    """How numbers are brought to one scale."""

    STANDARD = "Standard"
    MIN_MAX = "MinMax"


class Scale(Model):
    """Brings numbers to one scale; fitted on the training split, applied everywhere, serving included."""

    column: Annotated[Column, Field(description="A column of numbers or of lists of numbers.")]
    method: Annotated[ScaleMethod, Field(description="Standard: mean 0, deviation 1. MinMax: 0 to 1.")] = (
        ScaleMethod.STANDARD
    )


class TokenizeMethod(StrEnum):
    """What of a text becomes a token."""

    BYTE_PAIR = "BytePair"
    WORDS = "Words"


class Tokenize(Model):
    """Adds a column of token ids made of text; fitted on the training split, applied everywhere, serving included."""

    column: Annotated[Column, Field(description="The text column, which stays.")] = "text"
    into: Annotated[Column, Field(description="The column that is added: a list of token ids for each text.")] = (
        "tokens"
    )
    method: Annotated[
        TokenizeMethod,
        Field(
            description="BytePair: bytes, and what they are merged to by how often they stand together (Sennrich et al., 2016), "
            "which writes any text. Words: whole words and signs; those outside the vocabulary are one unknown token."
        ),
    ] = TokenizeMethod.BYTE_PAIR
    vocabulary: Annotated[
        int,
        Field(
            ge=260,
            le=1_000_000,
            description="The most tokens that there are: 4 for padding, the unknown, start and end, for BytePair 256 bytes, and what was learnt.",
        ),
    ] = 8192
    min_count: Annotated[
        int, Field(ge=1, le=1_000_000, description="How often a word, or a pair, must occur to become a token.")
    ] = 2
    max_tokens: Annotated[
        int, Field(ge=2, le=65_536, description="The most tokens of a text: a longer one ends there.")
    ] = 256
    lowercase: Annotated[bool, Field(description="Whether letters become lower case first, when serving too.")] = False
    boundaries: Annotated[
        bool, Field(description="Whether a start and an end are put around each text: for models that write text.")
    ] = False
    rules = (
        Rule(
            "self.into != self.column",
            "into must be another column than column: the text stays",
            lambda t: t.into != t.column,
        ),
    )


class AugmentText(Model):
    """Makes altered copies of texts of the training split. Words are what white space separates; a short text may stay as it is."""

    column: Annotated[Column, Field(description="The text column.")] = "text"
    drop_words: Annotated[
        Fraction, Field(description="How probably each word is left out; of any text one word stays at least.")
    ] = 0.0
    swap_words: Annotated[
        Fraction, Field(description="How probably each word takes the place of another one of its text.")
    ] = 0.0
    typing_errors: Annotated[
        Fraction,
        Field(
            description="How probably each letter is mistyped: left out, doubled, exchanged with the next one, or replaced by another of its text."
        ),
    ] = 0.0
    synonyms: Annotated[Fraction, Field(description="The share of words that a synonym replaces.")] = 0.0
    copies: Annotated[int, Field(ge=1, le=100, description="Altered copies of each record.")] = 1


class AugmentImage(Model):
    """Makes altered copies of images of the training split."""

    column: Annotated[Column, Field(description="The image column.")] = "image"
    shift_pixels: Annotated[int, Field(ge=0, le=512, description="The farthest shift, in pixels.")] = 0
    rotate_degrees: Annotated[float, Field(ge=0.0, le=180.0, description="The farthest rotation, in degrees.")] = 0.0
    noise: Annotated[Fraction, Field(description="The deviation of added noise, as a share of the pixels' range.")] = (
        0.0
    )
    copies: Annotated[int, Field(ge=1, le=100, description="Altered copies of each record.")] = 1


class Augment(OneOf):
    """Makes altered copies of records of the training split."""

    text: Annotated[AugmentText | None, Field(description="Of texts.")] = None
    image: Annotated[AugmentImage | None, Field(description="Of images.")] = None
    sound: Annotated[AugmentSound | None, Field(description="Of sounds.")] = None


class Split(Model):
    """Assigns every record to the training or the validation split, so that one key is never in both."""

    train_fraction: Annotated[float, Field(gt=0.0, lt=1.0, description="The share of keys in the training split.")] = (
        0.9
    )
    key: Annotated[Column, Field(description="The column whose value decides.")] = "id"


class Step(OneOf):
    """One step: exactly one of these."""

    validate_: Annotated[
        Validate | None, Field(alias="validate", description="Send records that break a rule to the quarantine.")
    ] = None
    fill_missing: Annotated[FillMissing | None, Field(description="Replace missing values.")] = None
    normalize_text: Annotated[NormalizeText | None, Field(description="Bring text into one form.")] = None
    filter: Annotated[Filter | None, Field(description="Drop records that do not qualify.")] = None
    deduplicate: Annotated[Deduplicate | None, Field(description="Keep the first of equal or similar records.")] = None
    redact: Annotated[Redact | None, Field(description="Replace private data in text.")] = None
    hash: Annotated[Hash | None, Field(description="Replace values by pseudonyms.")] = None
    encrypt: Annotated[Encrypt | None, Field(description="Encrypt values.")] = None
    embed: Annotated[Embed | None, Field(description="Train and add word embeddings.")] = None
    scale: Annotated[Scale | None, Field(description="Bring numbers to one scale.")] = None
    tokenize: Annotated[Tokenize | None, Field(description="Make token ids of text.")] = None
    decode_sound: Annotated[DecodeSound | None, Field(description="Make samples of encoded sound.")] = None
    sound_features: Annotated[SoundFeatures | None, Field(description="Make features of sound.")] = None
    decode_image: Annotated[DecodeImage | None, Field(description="Make pixels of encoded images.")] = None
    split: Annotated[Split | None, Field(description="Assign records to training and validation.")] = None
    augment: Annotated[Augment | None, Field(description="Add altered copies to the training split.")] = None
    window: Annotated[Window | None, Field(description="Make one record of all that fall into a window of time.")] = (
        None
    )
    detect: Annotated[Detect | None, Field(description="Score how unusual a number is.")] = None
