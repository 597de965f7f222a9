"""Services for the tests that need them: there, or missed out loud."""

from __future__ import annotations

import pika
import pytest

from tests import services


@pytest.fixture
def without_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(services._PROBES, "broker", lambda: "RabbitMQ is away")


@pytest.mark.usefixtures("without_broker")
def test_it_skips_a_test_whose_service_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("REQUIRE_SERVICES", raising=False)

    with pytest.raises(pytest.skip.Exception, match="RabbitMQ is away"):
        services.demand("broker")


@pytest.mark.usefixtures("without_broker")
def test_it_fails_such_a_test_where_services_are_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUIRE_SERVICES", "1")

    with pytest.raises(pytest.fail.Exception, match="RabbitMQ is away"):
        services.demand("broker")


@pytest.mark.broker
def test_it_gives_broker_tests_a_rabbitmq_that_takes_messages(amqp_url: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    channel = connection.channel()
    channel.confirm_delivery()
    queue = channel.queue_declare("", exclusive=True).method.queue

    channel.basic_publish("", queue, b"an order", mandatory=True)

    _, _, body = channel.basic_get(queue, auto_ack=False)
    assert body == b"an order"
    connection.close()
