"""Settings and profiles: what to run, with which models, where the contexts live. Read once, never changed."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from memorag_core.errors import InputError

APP = "memorag"
WORK, OWNERS = ".work", ".owners"
"""What every store holds beside its contexts: work under way, and the stores of the owners over HTTP."""
MANIFEST, DOCUMENTS, ORIGINALS = "manifest.json", "documents", "originals"
"""What every context holds."""
MAX_LABEL = 10_000
"""The most characters of a title, of where a document comes from, and of its notice."""
MAX_HITS = 1000
MAX_EVIDENCE_TOKENS = 100_000

Storage = Literal["half", "int8", "int4"]
Recall = Literal["both", "attended"]
Prefill = Literal["dense", "minference"]
CompressionMethod = Literal["expected_attention", "kvzip"]
Precision = Literal["full", "4bit"]


Head = tuple[int, int]
"""A layer and one of its attention heads, both from 0."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A set of models that fit each other and a kind of machine.

    `gist_chunk` and `gist` are the tokens of text that Lite memory reads at once and of the gist it writes;
    `budget` is the most tokens of gists it keeps; `chunk` the most tokens of a retrieval chunk. `beacon_ratio` is
    how many tokens of text a beacon stands for, 2 to 32 (0: no beacons); None is the checkpoint's own choice.
    `compression` is the least ratio that long-LLM memory compresses by (1: none while the text fits into the window),
    `compression_method` what it keeps then,
    `prefill` how it reads what it does not compress; `storage` how any memory is kept on disk. `heads` are the heads of
    the memory model that look at what answers a question (`memorag heads` finds them); without any, recall is
    generated only. `recall` says whether clues are generated beside those that the heads find. `reranker` is a
    cross-encoder that reads the first candidates again, `entailment` a model that judges claims; none is fine.
    """

    name: str
    fits: str
    memory: str
    memory_model: str
    embedder: str
    generator: str
    retriever: str = "hybrid"
    reranker: str | None = None
    entailment: str | None = None
    gist_chunk: int = 4096
    gist: int = 256
    budget: int = 8192
    chunk: int = 512
    answer: int = 256
    beacon_ratio: int | None = None
    heads: tuple[Head, ...] = ()
    recall: Recall = "both"
    compression: int = 1
    compression_method: CompressionMethod = "expected_attention"
    prefill: Prefill = "dense"
    storage: Storage = "half"

    @property
    def generator_model(self) -> str:
        """The model that writes; the generator `memory` is the memory model itself."""
        return self.memory_model if self.generator == "memory" else self.generator

    @property
    def extracts(self) -> bool:
        """Whether the generator is too small to write: its answers and summaries are sentences of the text."""
        return self.generator_model in TOO_SMALL_TO_WRITE


REMOTE_MEMORY = "lite-api"
NO_MEMORY = "none"
BEACON_MEMORY = "beacon"
LATENT_MEMORY = "latent"
TINY_LM = "smollm2-135m-instruct"
TOO_SMALL_TO_WRITE = frozenset({TINY_LM})
TINY_EMBEDDER = "all-minilm-l6-v2"
SMALL_QWEN = "Qwen/Qwen3-1.7B"
QWEN_EMBEDDER = "Qwen/Qwen3-Embedding-0.6B"

TINY = Profile(
    name="tiny",
    fits="any machine, no GPU, offline after set-up (English)",
    memory="lite",
    memory_model=TINY_LM,
    embedder=TINY_EMBEDDER,
    generator="memory",
    gist_chunk=1024,
    gist=72,
    budget=2048,
    chunk=160,
    heads=((17, 3), (18, 6), (18, 7)),
    recall="attended",
    answer=48,
)
PROFILES = {
    profile.name: profile
    for profile in (
        TINY,
        Profile(
            name="lite",
            fits="a GPU of 8 GiB or more, or a patient CPU",
            memory="lite",
            memory_model=SMALL_QWEN,
            embedder=QWEN_EMBEDDER,
            generator="memory",
        ),
        Profile(
            name="zh",
            fits="Chinese text; a GPU of 8 GiB or more, or a patient CPU",
            memory="lite",
            memory_model=SMALL_QWEN,
            embedder=QWEN_EMBEDDER,
            generator="memory",
            chunk=384,
        ),
        Profile(
            name="full",
            fits="a GPU of 24 GiB or more",
            memory=LATENT_MEMORY,
            memory_model="latent-context/0.6b-4b-LCLM-4x",
            embedder=QWEN_EMBEDDER,
            generator="memory",
        ),
        Profile(
            name="long",
            fits="a GPU of 24 GiB or more; --memory-model takes any language model, its window is the memory",
            memory="long",
            memory_model="Qwen/Qwen3-4B-Instruct-2507",
            embedder=QWEN_EMBEDDER,
            generator="memory",
            compression=4,
            compression_method="kvzip",
        ),
        Profile(
            name="beacon",
            fits="a GPU of 24 GiB or more; the models of the MemoRAG paper",
            memory=BEACON_MEMORY,
            memory_model="TommyChien/memorag-qwen2-7b-inst",
            embedder="BAAI/bge-m3",
            generator="memory",
        ),
        replace(
            TINY,
            name="api",
            fits="any machine; memory and evidence here, answers by an API (OPENAI_API_KEY, OPENAI_BASE_URL)",
            generator="openai:gpt-4o-mini",
            answer=512,
        ),
    )
}


def default_store() -> Path:
    """`$MEMORAG_STORE`, else `contexts/` of a checkout, else the platform's folder for user data."""
    if named := os.environ.get("MEMORAG_STORE"):
        return Path(named)
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / "pyproject.toml").is_file() and (checkout / "contexts").is_dir():
        return checkout / "contexts"
    return Path(platformdirs.user_data_dir(APP, appauthor=False)) / "contexts"


def default_models_dir() -> Path:
    """`$MEMORAG_MODELS`, else the platform's folder for user caches."""
    if named := os.environ.get("MEMORAG_MODELS"):
        return Path(named)
    return Path(platformdirs.user_cache_dir(APP, appauthor=False)) / "models"


class Settings(BaseModel):
    """Everything a user can choose. An unknown option or a value out of range is an `InputError`.

    `memory_model`, `embedder`, `reranker`, `entailment` and `generator` override the profile's: an id on the hub or a
    folder. The generator `memory` is the memory model itself. Memory model, embedder and generator may be behind an
    API: `openai:MODEL`, or another kind of `models.api.endpoints`.
    `memory` as a kind, `heads`, `beacon_ratio`, `compression`, `prefill` and `storage` override the profile's too;
    `weights` holds for every language model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    profile: str = Field("auto", description="auto, or one of the profiles")
    store: Path = Field(default_factory=default_store)
    shared: str | None = Field(None, description="a bucket that machines share, s3://BUCKET/FOLDER and the like")
    models_dir: Path = Field(default_factory=default_models_dir)
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    memory: str | None = None
    memory_model: str | None = None
    embedder: str | None = None
    generator: str | None = None
    retriever: str | None = Field(None, description="hybrid, dense, bge-m3 or bm25")
    reranker: str | None = Field(None, description="a cross-encoder to read the first candidates again; none without")
    entailment: str | None = Field(None, description="a model that judges claims beside the rules; none without")
    prompts: Path | None = Field(None, description="a folder of templates that replace the built-in ones")
    recall: Recall | None = Field(None, description="both, or attended: no clue is generated where heads find some")
    heads: str | None = Field(None, pattern=r"^\d+:\d+(,\d+:\d+)*$", description="LAYER:HEAD of the memory model, …")
    beacon_ratio: int | None = Field(None, ge=0, le=32, description="tokens a beacon stands for; 0 for no beacons")
    compression: int | None = Field(None, ge=1, le=64)
    compression_method: CompressionMethod | None = None
    prefill: Prefill | None = None
    storage: Storage | None = None
    weights: Precision = "full"
    hits: int = Field(40, ge=1, le=MAX_HITS, description="hits per query before fusion")
    evidence_tokens: int = Field(700, ge=16, le=MAX_EVIDENCE_TOKENS, description="evidence shown to the generator")
    max_characters: int = Field(50_000_000, ge=1, description="the largest context accepted, in characters")
    allow_url: bool = Field(False, description="documents may be fetched from public web servers")
    warm_mib: int = Field(2048, ge=1, description="memory for contexts kept loaded, least recently used dropped first")
    queue: int = Field(64, ge=1, description="questions that may wait for the models; more are told that they are busy")
    patience: float = Field(45.0, gt=0, description="seconds a question waits before it is told so")

    @field_validator("store", "models_dir", "prompts", mode="after")
    @classmethod
    def _at_home(cls, path: Path | None) -> Path | None:
        """A client's configuration file has no shell to expand the tilde."""
        return path and path.expanduser()

    @field_validator("memory_model", "embedder", "reranker", "entailment", "generator", mode="after")
    @classmethod
    def _from_the_root(cls, name: str | None) -> str | None:
        """A folder given by its path is the same wherever another process has its current folder."""
        return str(Path(name).expanduser().absolute()) if name and name.startswith((".", "~")) else name

    @classmethod
    def of(cls, **chosen: object) -> Settings:
        """Validated settings from options; what is None keeps its default.

        Raises:
            InputError: an option that does not exist, or a value out of range, named.
        """
        try:
            return cls.model_validate({name: value for name, value in chosen.items() if value is not None})
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise InputError(f"These settings cannot be used: {problems}") from error
