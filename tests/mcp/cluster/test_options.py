"""How many replicas a cluster may have: none that is lost finds its place taken by the other kind."""

from __future__ import annotations

import pytest

from memorag_mcp.cluster.options import ClusterOptions, replicas_for

CLUSTERS: list[dict[str, float]] = [
    {"CPU": 1},
    {"CPU": 2},
    {"CPU": 64},
    {"CPU": 0.5},
    {"CPU": 16, "GPU": 1},
    {"CPU": 32, "GPU": 2},
    {"CPU": 64, "GPU": 8},
]


@pytest.mark.parametrize("resources", CLUSTERS)
def test_either_kind_may_be_full_and_the_other_has_a_place(resources: dict[str, float]) -> None:
    options = ClusterOptions.model_validate(replicas_for(resources))
    for most in (options.most_replicas, options.most_writers):
        assert most >= 1
        assert (most + 1) * options.cpus <= resources["CPU"]
        assert (most + 1) * options.gpus <= resources.get("GPU", 0)


def test_every_gpu_is_used() -> None:
    for gpus in (1, 2, 8):
        chosen = replicas_for({"CPU": 64, "GPU": gpus})
        assert (chosen["most_replicas"] + chosen["most_writers"]) * chosen["gpus"] == gpus
