"""Calls of tools whose work is a job: typed arguments, kept on disk until it is done, from which it can be resumed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Call(BaseModel, ABC):
    """The arguments of one tool. A subclass for each tool names it, and `Jobs.register` says what its jobs do.

    Where `recorded` is false, who began the job alone knows of it: nothing is on disk, and it ends with its server.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: ClassVar[str]
    recorded: ClassVar[bool] = True

    @property
    @abstractmethod
    def what(self) -> str:
        """What is asked for, in a few words for people."""


class KeptCall(BaseModel):
    """A call as it lies on disk: the arguments are read by the tool's own `Call`."""

    tool: str
    arguments: dict[str, Any]
