"""How Kafka's client is set up, and what its errors become."""

import pytest
from confluent_kafka import KafkaError

from headrace.api.data_pipeline import Kafka
from headrace_workers.data.stream import broker
from headrace_workers.data.stream.broker import Troubles, Unreachable, told
from headrace_workers.faults import RunFault

KAFKA = Kafka.model_validate({"brokers": ["none:9092"], "topics": ["t"]})
SASL = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "reader"}


def test_the_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what a Stream rests on is not the user's to set."""
    kafka = Kafka.model_validate(
        KAFKA.wire()
        | {"password": {"name": "login", "key": "password"}, "settings": {**SASL, "enable.auto.commit": "true"}}
    )
    seen: dict[str, object] = {}
    monkeypatch.setattr(broker, "Consumer", seen.update)
    broker.consumer(kafka, Troubles(), {"HEADRACE_KAFKA_PASSWORD": "secret"})
    assert (seen["sasl.password"], seen["sasl.username"]) == ("secret", "reader")
    assert (seen["enable.auto.commit"], seen["auto.offset.reset"]) == (False, "error")
    with pytest.raises(RunFault, match="the Secret login has no key password") as fault:
        broker.consumer(kafka, Troubles(), {})
    assert fault.value.reason == "PasswordMissing"


def test_settings_that_the_client_does_not_know_are_named() -> None:
    """Before anything is read."""
    kafka = KAFKA.model_copy(update={"settings": {"no.such.setting": "1"}})
    with pytest.raises(RunFault, match=r"no\.such\.setting") as fault:
        broker.consumer(kafka, Troubles(), {})
    assert (fault.value.reason, fault.value.retryable) == ("WrongSettings", False)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (KafkaError.SASL_AUTHENTICATION_FAILED, "BrokerRefused"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "BrokerRefused"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "SourceNotFound"),
        (KafkaError._ALL_BROKERS_DOWN, None),
        (KafkaError.LEADER_NOT_AVAILABLE, None),
    ],
)
def test_what_errors_become(code: int, reason: str | None) -> None:
    """A refusal ends the run; what may pass is waited for."""
    made = told(KafkaError(code), KAFKA)
    assert "none:9092" in str(made)
    if reason is None:
        assert isinstance(made, Unreachable)
    else:
        assert isinstance(made, RunFault)
        assert made.reason == reason


def test_a_topic_that_was_there_is_waited_for() -> None:
    """A broker that has just started may not know it yet."""
    assert isinstance(told(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), KAFKA, was_there=True), Unreachable)
