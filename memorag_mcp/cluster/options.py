"""What a cluster consists of, and how much of it has room."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ClusterOptions(BaseModel):
    """What a cluster consists of. `gpus` and `cpus` are what each replica with models takes of its machine."""

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any] = Field(default_factory=dict, description="the engine's, with `shared`")
    fronts: int = Field(default=2, ge=1)
    replicas: int = Field(default=1, ge=1, description="the fewest replicas that answer")
    most_replicas: int = Field(default=4, ge=1)
    writers: int = Field(default=1, ge=1, description="the fewest replicas that memorize")
    most_writers: int = Field(default=2, ge=1)
    gpus: float = Field(default=0.0, ge=0)
    cpus: float = Field(default=0.5, ge=0)
    ongoing: int = Field(default=8, ge=1, description="requests that one replica has at once, in its queue or at work")
    host: str = "127.0.0.1"
    port: int = 8365
    allowed_hosts: list[str] = Field(default_factory=list, description="Host headers to accept, as in clients' URLs")


def replicas_for(resources: dict[str, float]) -> dict[str, Any]:
    """Choose how many replicas a cluster with these resources may have: no kind can take the other one's last place.

    Where there are GPUs each replica has one, or half of it where there is one in all. A replica that is lost is
    started again only if there is room; a cluster filled by those that answer could not memorize any more. Fronts take
    no room.
    """
    gpus = int(resources.get("GPU", 0))
    if gpus:
        places = max(gpus, 2)
        return {"gpus": min(gpus / 2, 1.0), "most_replicas": places - 1, "most_writers": 1}
    cpus = resources.get("CPU", 1.0)
    share = min(0.5, cpus / 2)
    places = int(cpus / share)
    return {"cpus": share, "most_replicas": min(places - 1, 4), "most_writers": min(places - 1, 2)}
