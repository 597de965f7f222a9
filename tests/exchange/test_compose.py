"""docker-compose.yml says what it should; nothing is started."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from exchange.celery import app
from exchange.management.commands.run_exchange import services

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# Who speaks to the chain.
TALKERS = {"web", "wallets"}


def nodes() -> dict[str, dict[str, Any]]:
    """Return the nodes, each without the helper that makes its wallet."""
    return {
        name: service
        for name, service in SERVICES.items()
        if str(service.get("image", "")).startswith("bitcoin/")
        and not name.endswith("-wallet")
    }


def volumes(service: dict[str, Any]) -> set[str]:
    return {str(each).partition(":")[0] for each in service.get("volumes", ())}


@pytest.mark.promise("W-9")
def test_each_node_has_a_volume_and_a_network_to_itself() -> None:
    assert nodes()
    for name, node in nodes().items():
        others = {
            k: v for k, v in SERVICES.items() if k not in {name, f"{name}-wallet"}
        }
        (network,) = node["networks"]
        (volume,) = volumes(node)
        assert "ports" not in node
        assert network != "default"
        for other, service in others.items():
            assert volume not in volumes(service), other
            is_near = network in service.get("networks", ["default"])
            assert is_near == (other in TALKERS), other


@pytest.mark.promise("W-8")
def test_the_limits_of_the_hot_wallet_reach_every_process() -> None:
    environment = COMPOSE["x-exchange"]["environment"]
    for name in ("OUT_PER_HOUR", "OUT_PER_DAY", "SHARE_PER_HOUR"):
        assert f"HOT_WALLET_{name}" in environment


def test_every_queue_of_jobs_has_a_worker() -> None:
    queues = {queue.alias for queue in app.conf.task_queues}
    composed = " ".join(str(service.get("command")) for service in SERVICES.values())
    embedded = " ".join(part for each in services() for part in each.command)

    for commands in (composed, embedded):
        assert set(re.findall(r"--queues[= ](\w+)", commands)) == queues


def test_jobs_that_ask_nodes_have_a_queue_of_their_own() -> None:
    app.loader.import_default_modules()
    names = {name for name in app.tasks if not name.startswith("celery.")}
    assert names

    for name in names:
        queue = app.amqp.router.route({}, name)["queue"].alias
        assert (queue == "wallets") == name.startswith("wallets."), name
