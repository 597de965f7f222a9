"""docker-compose.yml says what it should; nothing is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# Who speaks to the chain.
TALKERS = {"web", "jobs"}


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
