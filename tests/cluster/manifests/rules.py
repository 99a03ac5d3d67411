"""For each rule of each model, values that keep it and values that break it, in every place where the model stands."""

from collections.abc import Iterator
from itertools import pairwise
from typing import get_args

from headrace.api.base import Model, OneOf
from headrace.api.credentials import NO_CREDENTIALS
from headrace.api.data_pipeline import Alert, DataPipelineSpec, Files, Repaired, Table, Webhook
from headrace.api.inference_endpoint import Canary, Replicas
from headrace.api.job import Checkpoints
from headrace.api.media import OTHER_COLUMN, DecodeImage, DecodeSound, SoundFeatures
from headrace.api.pods import EnvironmentVariable, Workers
from headrace.api.steps import ColumnRule, Tokenize
from headrace.api.tracking import PLAIN_ADDRESS, MLflow, Tracking, WeightsAndBiases
from headrace.api.train_job import Dataset, DatasetTable, StartingModel, TrainJobSpec, WeightsSource
from headrace.api.tune_job import Dimension, IntegerRange, LogRange, Range, TuneJobSpec
from headrace.api.windows import Detect, GaussianScore, NamedMeasure, Window
from tests.cluster.manifests.cases import Case
from tests.cluster.manifests.minimal import MINIMAL, TRAIN, Wire, places

PIPELINE = MINIMAL[DataPipelineSpec]
STREAM = PIPELINE | {"mode": "Stream", "source": {"http": {}}}
TIMED = PIPELINE | {"eventTime": {"column": "at"}}
WINDOW = {"window": MINIMAL[Window]}
DETECT = {"detect": MINIMAL[Detect]}
ALERT = MINIMAL[Alert]
N = MINIMAL[NamedMeasure]
SEARCH = MINIMAL[TuneJobSpec]
WRITER = TRAIN | {"model": {"builtin": "LanguageModel"}, "loss": {"nextToken": {}}}
RATE = {"path": "optimizer.learningRate", "logUniform": {"low": 0.001, "high": 0.1}}
SECRET = {"name": "database", "key": "url"}
MFCC = {"method": "Mfcc"}
SOUNDS = {"uri": "s3://bucket/sounds", "format": "Audio"}
TABLE = {"uri": "s3://bucket/table"}

ADDRESSES = {NO_CREDENTIALS.message: (
    [{"uri": "s3://bucket/folder"}, {"uri": "abfs://host:8443/a?version=3"}],
    [{"uri": "s3://key:word@bucket/folder"}, {"uri": "abfs://host/a?sig=abc"}],
)}  # fmt: skip
KEPT_SERVERS = [{"uri": "http://mlflow.tools.svc:5000"}, {"uri": "https://host/base/@x"}]
BROKEN_SERVERS = [
    {"uri": "https://user:word@host"},
    {"uri": "https://word@host/base"},
    {"uri": "https://host/?a=b"},
    {"uri": "https://host/#/x"},
]
EXAMPLES: dict[type[Model], dict[str, tuple[list[Wire], list[Wire]]]] = {
    Workers: {
        "workers.min must be at most workers.max": (
            [{"min": 2, "max": 2}, {"min": 1, "max": 64}],
            [{"min": 3, "max": 2}, {"min": 2}],
        ),
        "workers.desired must lie between workers.min and workers.max": (
            [{"min": 2, "max": 4, "desired": 2}, {"min": 2, "max": 4, "desired": 4}],
            [{"min": 2, "max": 4, "desired": 1}, {"min": 2, "max": 4, "desired": 5}],
        ),
    },
    EnvironmentVariable: {
        "set exactly one of value, secret": (
            [{"name": "A", "value": ""}, {"name": "A", "secret": SECRET}],
            [{"name": "A"}, {"name": "A", "value": "x", "secret": SECRET}],
        )
    },
    ColumnRule: {
        "min must be at most max": (
            [{"name": "age", "min": 1, "max": 1}, {"name": "age", "min": 5}, {"name": "age", "max": -5.5}],
            [{"name": "age", "min": 1.5, "max": 1}],
        )
    },
    DataPipelineSpec: {
        "a Stream cannot fit embed, scale or tokenize; fit them in a Batch pipeline": (
            [STREAM | {"steps": [{"normalizeText": {}}]}, PIPELINE | {"steps": [{"embed": {}}, {"scale": {"column": "x"}}, {"tokenize": {}}]}],
            [STREAM | {"steps": [{"embed": {}}]}, STREAM | {"steps": [{"split": {}}, {"scale": {"column": "x"}}]}, STREAM | {"steps": [{"tokenize": {}}]}],
        ),
        "a Stream needs source.kafka or source.http": (
            [STREAM, STREAM | {"source": {"kafka": {"brokers": ["b:1"], "topics": ["t"]}}}],
            [PIPELINE | {"mode": "Stream"}],
        ),
        "steps may hold at most one split, one window and one detect": (
            [PIPELINE | {"steps": [{"split": {}}, {"normalizeText": {}}]}, PIPELINE | {"steps": []}, TIMED | {"steps": [WINDOW, DETECT]}],
            [
                PIPELINE | {"steps": [{"split": {}}, {"normalizeText": {}}, {"split": {"trainFraction": 0.5}}]},
                TIMED | {"steps": [WINDOW, WINDOW]},
                TIMED | {"steps": [WINDOW, DETECT, DETECT]},
            ],
        ),
        "a Stream never ends, and cannot run again; remove schedule": (
            [STREAM, PIPELINE | {"schedule": "0 3 * * *"}],
            [STREAM | {"schedule": "0 3 * * *"}],
        ),
        "a window needs eventTime.column: when a record happened": (
            [TIMED | {"steps": [WINDOW]}, PIPELINE | {"steps": [{"normalizeText": {}}]}, TIMED],
            [PIPELINE | {"steps": [{"normalizeText": {}}, WINDOW]}],
        ),
        "a detect needs a window before it": (
            [TIMED | {"steps": [WINDOW, {"fillMissing": {"column": "n", "value": "0"}}, DETECT]}],
            [TIMED | {"steps": [DETECT]}],
        ),
        "soundFeatures needs a decodeSound: it hears nothing in encoded bytes": (
            [PIPELINE | {"steps": [{"decodeSound": {}}, {"soundFeatures": {}}]}, PIPELINE | {"steps": [{"decodeSound": {}}]}],
            [PIPELINE | {"steps": [{"soundFeatures": {}}]}, PIPELINE | {"steps": [{"split": {}}, {"soundFeatures": {}}]}],
        ),
        "alerts are a Stream's; a Batch has its result in the table": (
            [STREAM | {"alerts": [ALERT]}, PIPELINE | {"alerts": []}, STREAM],
            [PIPELINE | {"alerts": [ALERT]}],
        ),
    },
    Webhook: {
        PLAIN_ADDRESS.message: (KEPT_SERVERS, BROKEN_SERVERS),
        "set exactly one of uri, secret": (
            [{"uri": "https://alerts.example.com/hot"}, {"secret": SECRET}],
            [{}, {"uri": "https://alerts.example.com/hot", "secret": SECRET}],
        )
    },
    Alert: {
        "set above, below or both: without a bound nothing is beyond it": (
            [ALERT, {"name": "cold", "column": "mean", "below": 0}, ALERT | {"below": -5.5}],
            [{"name": "hot", "column": "mean"}],
        )
    },
    Window: {
        "everySeconds must be at most seconds: records between two windows would be in none": (
            [MINIMAL[Window] | {"everySeconds": 10}, MINIMAL[Window] | {"everySeconds": 1}, MINIMAL[Window]],
            [MINIMAL[Window] | {"everySeconds": 11}],
        ),
        "measures need columns of their own: into may repeat neither another's, nor one of by, nor id, window_start, window_end": (
            [{"seconds": 5, "by": ["device"], "measures": [N, {"into": "rate", "measure": {"rate": {}}}]}],
            [
                {"seconds": 5, "measures": [N, {"into": "n", "measure": {"rate": {}}}]},
                {"seconds": 5, "by": ["n"], "measures": [N]},
                {"seconds": 5, "measures": [N | {"into": "window_end"}]},
                {"seconds": 5, "measures": [N | {"into": "id"}]},
            ],
        ),
    },
    GaussianScore: {
        "atLeast must be at most last": (
            [{}, {"last": 2, "atLeast": 2}, {"last": 64}],
            [{"last": 8, "atLeast": 16}, {"last": 20, "atLeast": 21}],
        )
    },
    Tokenize: {
        "into must be another column than column: the text stays": (
            [{}, {"column": "body"}, {"column": "body", "into": "ids"}],
            [{"column": "tokens"}, {"into": "text"}, {"column": "body", "into": "body"}],
        )
    },
    DecodeSound: {
        OTHER_COLUMN.message: (
            [{}, {"into": "samples"}, {"column": "recording"}],
            [{"column": "sound"}, {"into": "content"}],
        )
    },
    DecodeImage: {
        OTHER_COLUMN.message: (
            [MINIMAL[DecodeImage], MINIMAL[DecodeImage] | {"into": "pixels"}],
            [MINIMAL[DecodeImage] | {"column": "image"}, MINIMAL[DecodeImage] | {"into": "content"}],
        )
    },
    SoundFeatures: {
        "coefficients of an Mfcc must be at most mels": (
            [{}, MFCC | {"mels": 13}, MFCC | {"mels": 20, "coefficients": 20}, {"mels": 4}, {"coefficients": 512}],
            [MFCC | {"mels": 12}, MFCC | {"coefficients": 41}],
        ),
        "lowHertz must be below highHertz": (
            [{"lowHertz": 20}, {"lowHertz": 20, "highHertz": 4000}, {"highHertz": 1}],
            [{"lowHertz": 4000, "highHertz": 4000}, {"lowHertz": 300.5, "highHertz": 300}],
        ),
    },
    Files: {
        **{message: ([{"format": "JsonLines", **each} for each in kept], [{"format": "JsonLines", **each} for each in broken])
           for message, (kept, broken) in ADDRESSES.items()},
        "naming is for the formats Audio and Image, of which a file is one record": (
            [SOUNDS, SOUNDS | {"naming": "{label}/{voice}-{take}.wav"}, SOUNDS | {"format": "Image", "naming": "{label}.png"}],
            [SOUNDS | {"format": "Text", "naming": "{label}.txt"}, SOUNDS | {"format": "Parquet", "naming": "{year}/{month}"}],
        ),
        "naming needs names of columns in braces, with something between each two, as {label}/{voice}-{take}.wav": (
            [SOUNDS | {"naming": "{label}"}, SOUNDS | {"naming": "a/{_x1}b{Y}/c"}],
            [SOUNDS | {"naming": each} for each in ("a.wav", "{a}{b}", "{a}-{", "{}.wav", "{1a}.wav", "{a b}", "}{a}")],
        ),
        "naming may not use {id}, {file} or {content}: these columns are there already": (
            [SOUNDS | {"naming": "{ident}/{filed}-{contents}"}, SOUNDS | {"naming": "{split}/{label}/{name}.wav"}, SOUNDS | {"naming": "id{label}content"}],
            [SOUNDS | {"naming": "{label}/{id}.wav"}, SOUNDS | {"naming": "{file}"}, SOUNDS | {"naming": "{content}.{split}"}],
        ),
    },
    Table: ADDRESSES,
    Repaired: ADDRESSES,
    DatasetTable: ADDRESSES,
    Checkpoints: ADDRESSES,
    Tracking: {"set mlflow, weightsAndBiases or both": ([MINIMAL[Tracking], {"weightsAndBiases": MINIMAL[WeightsAndBiases]}], [{}])},
    MLflow: {PLAIN_ADDRESS.message: ([MINIMAL[MLflow] | each for each in KEPT_SERVERS], [MINIMAL[MLflow] | each for each in BROKEN_SERVERS])},
    WeightsAndBiases: {PLAIN_ADDRESS.message: (
        [MINIMAL[WeightsAndBiases], *(MINIMAL[WeightsAndBiases] | each for each in KEPT_SERVERS)],
        [MINIMAL[WeightsAndBiases] | each for each in BROKEN_SERVERS],
    )},
    Dataset: {
        "set exactly one of pipeline, table": (
            [{"pipeline": "digits", "version": "7"}, {"table": TABLE}],
            [{}, {"target": "label"}, {"pipeline": "digits", "table": TABLE}],
        )
    },
    StartingModel: {
        "set exactly one of builtin, module": (
            [
                {"builtin": "ImageClassifier"},
                {"module": "package.module:function", "parameters": {"depth": {"of": [1]}}},
                {"from": {"job": "base"}},
                {"from": {"job": "base"}, "builtin": "Perceptron"},
            ],
            [{}, {"builtin": "Perceptron", "module": "m:f"}, {"from": {"job": "base"}, "builtin": "Perceptron", "module": "m:f"}],
        ),
        "lora and freeze keep weights as they are: set from, or a module that brings its own": (
            [{"module": "m:f", "freeze": ["encoder"]}, {"from": {"uri": "s3://models/bert"}, "lora": {}}],
            [{"builtin": "Perceptron", "freeze": ["1"]}, {"builtin": "Perceptron", "lora": {}}],
        ),
        "lora trains its adapters alone; leave out freeze": (
            [{"from": {"job": "base"}, "lora": {"targets": ["query"]}, "freeze": []}],
            [{"from": {"job": "base"}, "lora": {}, "freeze": ["1"]}],
        ),
    },
    WeightsSource: {
        "set exactly one of uri, endpoint, job, tuneJob": (
            [{"uri": "s3://models/bert"}, {"endpoint": "digits"}, {"tuneJob": "search", "except": ["head"]}],
            [{}, {"except": ["head"]}, {"job": "base", "endpoint": "digits"}, {"job": "base", "tuneJob": "base"}],
        ),
        **ADDRESSES,
    },
    TrainJobSpec: {
        "set exactly one of epochs, steps": (
            [TRAIN, {name: value for name, value in TRAIN.items() if name != "epochs"} | {"steps": 5}],
            [TRAIN | {"steps": 5}, {name: value for name, value in TRAIN.items() if name != "epochs"}],
        ),
        "batchSize must be at least workers.max, so that every worker has a record": (
            [TRAIN | {"batchSize": 4, "workers": {"max": 4}}],
            [TRAIN | {"batchSize": 3, "workers": {"max": 4}}, TRAIN | {"workers": {"max": 65}}],
        ),
        "builtin LanguageModel and loss nextToken go together: set both, or neither": (
            [
                TRAIN | {"model": {"builtin": "LanguageModel"}, "loss": {"nextToken": {}}},
                TRAIN | {"model": {"module": "m:f"}, "loss": {"nextToken": {}}},
                TRAIN | {"model": {"from": {"job": "base"}}, "loss": {"nextToken": {}}},
                TRAIN | {"model": {"builtin": "TextClassifier"}},
            ],
            [
                TRAIN | {"model": {"builtin": "LanguageModel"}},
                TRAIN | {"model": {"builtin": "Perceptron"}, "loss": {"nextToken": {}}},
            ],
        ),
        "metric perplexity needs loss nextToken": (
            [WRITER | {"evaluation": {"metrics": ["loss", "perplexity"]}}, TRAIN | {"evaluation": {"metrics": ["loss", "f1"]}}],
            [TRAIN | {"evaluation": {"metrics": ["loss", "perplexity"]}}],
        ),
    },
    Range: {"low must be less than high": ([{"low": -1, "high": 0.5}], [{"low": 1, "high": 1}, {"low": 2.5, "high": 1}])},
    LogRange: {"low must be less than high": ([{"low": 0.1, "high": 1}], [{"low": 1, "high": 1}])},
    IntegerRange: {"low must be less than high": ([{"low": -1, "high": 0}], [{"low": 1, "high": 1}])},
    Dimension: {
        "set exactly one of uniform, logUniform, integer, choice": (
            [
                RATE,
                {"path": "optimizer.momentum", "uniform": {"low": 0, "high": 0.9}},
                {"path": "batchSize", "integer": {"low": 8, "high": 64, "step": 8}},
                {"path": "model.parameters.depth", "choice": {"values": [1, "two", None, True, [3], {"four": 4.5}]}},
            ],
            [{"path": "batchSize"}, RATE | {"choice": {"values": [1]}}],
        )
    },
    TuneJobSpec: {
        "search may name a path only once": (
            [SEARCH | {"search": [*SEARCH["search"], RATE]}],
            [SEARCH | {"search": [RATE, RATE]}],
        ),
        "a grid needs a choice in every dimension of search": (
            [SEARCH | {"algorithm": {"grid": {}}}],
            [SEARCH | {"algorithm": {"grid": {}}, "search": [RATE]}],
        ),
        "write rollout beside template, not inside it": (
            [SEARCH | {"rollout": {"endpoint": "digits"}}],
            [SEARCH | {"template": TRAIN | {"rollout": {"endpoint": "digits"}}}],
        ),
    },
    Replicas: {
        "replicas.min must be at most replicas.max": ([{"min": 2, "max": 2}], [{"min": 2}, {"min": 3, "max": 2}])
    },
    Canary: {
        "canary weights must rise from step to step": (
            [{}, {"steps": [{"weight": 1}, {"weight": 2}, {"weight": 99}]}],
            [{"steps": [{"weight": 50}, {"weight": 10}]}, {"steps": [{"weight": 10}, {"weight": 10}]}],
        )
    },
}  # fmt: skip


def examples(model: type[Model]) -> dict[str, tuple[list[Wire], list[Wire]]]:
    """By a rule's message, what keeps it and what breaks it; of a one-of, each choice keeps it."""
    if not issubclass(model, OneOf):
        return EXAMPLES.get(model, {})
    choices = [
        {field.alias or name: MINIMAL.get(_plain(field.annotation), {})} for name, field in model.model_fields.items()
    ]
    return {model.all_rules()[0].message: (choices, [{}, *(one | other for one, other in pairwise(choices))])}


def _plain(annotation: object) -> type[Model]:
    found = next(each for each in get_args(annotation) if each is not type(None))
    assert isinstance(found, type) and issubclass(found, Model)
    return found


def rule_cases() -> Iterator[Case]:
    """The cases of all rules: every example in the first place of a model, one of each sort in the others."""
    seen: set[type[Model]] = set()
    for place in places():
        number = 1 if place.model in seen else None
        seen.add(place.model)
        for message, (kept, broken) in examples(place.model).items():
            rule = (place.path, message)
            name = f"{place.kind}-{place.path}-{message}".replace(" ", "_")
            for index, value in enumerate(kept[:number]):
                yield Case.accepted(f"{name}-{index}", place.manifest(value), rule)
            for index, value in enumerate(broken[:number]):
                yield Case.refused(f"{name}-{index}", place.manifest(value), place.path, message, rule)
