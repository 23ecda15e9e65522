"""Tiny models in the published layouts, written once a session, so that tests run the real loading code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from memorag_core import MemoRAG, Settings
from memorag_core.concurrency.device_queue import FairQueue
from memorag_core.runtime import Runtime

if TYPE_CHECKING:
    from memorag_core.models.lm.language_model import LanguageModel

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
SAMPLES = ROOT / "contexts" / "samples"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SECONDS_FOR_SLOW_TESTS = 1800
LLAMA_KEY = "sk-of-llama"
STORY = (
    "The mill stands at the head of the pond. Its gates were hung in May 1963.\n\n"
    "Amos kept the gate book every day. The horn was sounded before the water was let go.\n\n"
    "On Monday the inspector came from Ardmouth. He asked for the weights of the pins.\n"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the device of the tests be chosen."""
    chosen = os.environ.get("MEMORAG_TEST_DEVICE", "cpu")
    parser.addoption("--device", default=chosen, help="the device of the models in tests ($MEMORAG_TEST_DEVICE, cpu)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests on real models more time than the limit that holds for all others."""
    for item in items:
        if item.get_closest_marker("slow") or item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.timeout(SECONDS_FOR_SLOW_TESTS))


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """The device that models of tests are put on."""
    return str(request.config.getoption("--device"))


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `lm` (a random Llama with a chat template) and `embedder` (a random BERT with pooling)."""
    folder = tmp_path_factory.mktemp("models")
    corpus = [(SAMPLES / "harrow-sound.md").read_text(encoding="utf-8")]
    _write_lm(folder / "lm", corpus)
    _write_embedder(folder / "embedder", corpus)
    return folder


@pytest.fixture(scope="session")
def llama_address(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of llama.cpp's server of the tiny language model; its key is `LLAMA_KEY`."""
    from llama_server import llama_server, write_gguf

    from memorag_core.models.lm.language_model import LanguageModel

    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(LanguageModel.load(tiny_models / "lm", "cpu"), path)
    with llama_server(path, LLAMA_KEY) as address:
        yield address


@pytest.fixture
def llama(llama_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`openai:` leads to that server."""
    monkeypatch.setenv("OPENAI_API_KEY", LLAMA_KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", llama_address)


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the tests that are coroutines."""
    return "asyncio"


def load_exactly(folder: Path, device: str) -> LanguageModel:
    """A language model in float32 on any device, for ids that are compared with ids."""
    from memorag_core.models.lm.fp16_linear import unpack
    from memorag_core.models.lm.language_model import LanguageModel

    lm = LanguageModel.load(folder, "cpu")
    if device != "cpu":
        unpack(lm.model)
        moved: Any = lm.model
        moved.to(device)
    return lm


@pytest.fixture
def settings(tiny_models: Path, tmp_path: Path, device: str) -> Settings:
    """Settings over the tiny models and an empty store."""
    return tiny_settings(tiny_models, tmp_path, device)


def tiny_settings(tiny_models: Path, folder: Path, device: str = "cpu") -> Settings:
    """Settings over the tiny models and a store in `folder`."""
    return Settings.of(
        profile="tiny",
        device=device,
        store=folder / "store",
        models_dir=tiny_models,
        memory_model=str(tiny_models / "lm"),
        embedder=str(tiny_models / "embedder"),
    )


@pytest.fixture(scope="session")
def session_shared(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory, device: str) -> Runtime:
    """The tiny models, loaded once for all tests. Ask for `shared`, which remembers nothing of other tests."""
    return Runtime(tiny_settings(tiny_models, tmp_path_factory.mktemp("shared"), device), lambda _: None, lasting=True)


@pytest.fixture
def shared(session_shared: Runtime) -> Runtime:
    """Loaded models with an empty queue and empty caches."""
    settings = session_shared.weights.settings
    session_shared.device_queue = FairQueue(settings.queue, settings.patience)
    session_shared.encode_queue = FairQueue(settings.queue, settings.patience)
    session_shared.context_cache.clear()
    session_shared.recall_cache.clear()
    return session_shared


@pytest.fixture
def engine(settings: Settings, shared: Runtime) -> MemoRAG:
    """An engine over the tiny models and an empty store."""
    return MemoRAG(settings, shared=shared)


def _write_lm(folder: Path, corpus: list[str]) -> None:
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(corpus, vocab_size=600, special_tokens=["<|im_end|>", "<|im_start|>"], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=600,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        bos_token_id=1,
        eos_token_id=0,
        pad_token_id=0,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def _write_embedder(folder: Path, corpus: list[str]) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizer

    pieces = BertWordPieceTokenizer()
    pieces.train_from_iterator(corpus, vocab_size=800, show_progress=False)
    raw = folder.with_name("bert")
    BertTokenizer(tokenizer_object=pieces._tokenizer).save_pretrained(raw)
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=pieces.get_vocab_size(),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=256,
        )
    ).save_pretrained(raw)
    encoder = Transformer(str(raw), max_seq_length=256)
    SentenceTransformer(modules=[encoder, Pooling(32), Normalize()], device="cpu").save(str(folder))
