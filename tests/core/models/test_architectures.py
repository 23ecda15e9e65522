"""Models of today as memory and generator: token for token what they are, or a message that says which kinds work."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import STORY
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from memorag_core import from_text
from memorag_core.concurrency.progress import SILENT
from memorag_core.errors import InputError
from memorag_core.memory import LongMemory
from memorag_core.models.lm.kv_compression import KVZIP
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.lm.rope import supports_shift

QUESTION = "When were the gates hung?"
NEW = 12
WINDOW = 32
SIZES = {
    "vocab_size": 600,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 12,
    "max_position_embeddings": 8192,
    "bos_token_id": 1,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}
SLIDES = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
EXPERTS = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16}
DELTA = {"layer_types": ["linear_attention", "full_attention"]} | {
    f"linear_{what}": 8 for what in ("key_head_dim", "value_head_dim", "num_key_heads", "num_value_heads")
}
ATTENDING: dict[str, dict[str, Any]] = {
    "qwen3": {},
    "gemma3_text": SLIDES,
    "granite": {},
    "smollm3": {},
    "mistral": {"sliding_window": None},
    "phi3": {},
}
MORE: dict[str, dict[str, Any]] = {
    "qwen2": {},
    "llama": {},
    "phi": {},
    "olmo3": SLIDES,
    "cohere2": SLIDES,
    "exaone4": SLIDES,
    "qwen3_moe": EXPERTS,
    "ministral3": {},
    "glm4": {},
    "apertus": {},
    "seed_oss": {},
    "starcoder2": {},
}
WITHOUT_KEYS: dict[str, dict[str, Any]] = {
    "qwen3_next": DELTA | EXPERTS,
    "qwen3_5_text": DELTA,
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"], "mamba_n_heads": 4},
    "falcon_h1": {},
    "mamba": {},
    "llama4_text": {"layer_types": ["chunked_attention", "full_attention"]},
}
ATTENDING_OTHERWISE: dict[str, dict[str, Any]] = {
    "gpt_oss": SLIDES | {"num_local_experts": 2, "num_experts_per_tok": 1, "head_dim": 16},
    "gemma2": SLIDES,
    "gemma4_text": SLIDES | {"vocab_size_per_layer_input": 600, "hidden_size_per_layer_input": 8},
    "deepseek_v3": {"kv_lora_rank": 16, "first_k_dense_replace": 2, "n_group": 1, "topk_group": 1},
    "gpt2": {},
}


def configure(kind: str, more: dict[str, Any]) -> PretrainedConfig:
    return AutoConfig.for_model(kind, **(SIZES | more))


def write(config: PretrainedConfig, tiny_models: Path, folder: Path, auto: Any = AutoModelForCausalLM) -> Path:
    """A random checkpoint with the tiny tokenizer."""
    torch.manual_seed(0)
    auto.from_config(config).save_pretrained(folder)
    for path in (tiny_models / "lm").glob("*token*"):
        shutil.copy(path, folder)
    for path in (tiny_models / "lm").glob("chat_template*"):
        shutil.copy(path, folder)
    return folder


def check(folder: Path) -> LanguageModel:
    """As memory, as generator, appended to, and on disk: what transformers itself computes."""
    lm = LanguageModel.load(folder, "cpu")
    plain = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()

    def says(text: str) -> str:
        [ids] = lm.encode([text])
        said = plain.generate(torch.tensor([ids]), max_new_tokens=NEW, do_sample=False, pad_token_id=0)
        return lm.texts([said[0, len(ids) :].tolist()])[0]

    model = LongMemory(lm)
    first, second = from_text(STORY), from_text(STORY.replace("Amos", "Ida"))
    memory = model.memorize([first], SILENT)
    assert memory.tokens > 2 * WINDOW
    expected = says(lm.chat_head + STORY + "\n\n" + QUESTION + lm.chat_tail)
    assert lm.generate([QUESTION, "Why?"], NEW, memory.state)[0] == expected
    assert lm.generate([STORY, QUESTION], NEW)[0] == says(lm.chat_head + STORY + lm.chat_tail)
    appended = model.update(memory, [first], [first, second], SILENT)
    whole = model.memorize([first, second], SILENT)
    assert model.answer(appended, QUESTION, NEW) == model.answer(whole, QUESTION, NEW)
    model.save(memory, folder)
    torch.testing.assert_close(model.load(folder).state.keys[1], memory.state.keys[1], atol=0.01, rtol=0.01)
    return lm


def compress(lm: LanguageModel) -> None:
    """Four to one where positions can be moved; the reason, and what to do, where they cannot."""
    model, text = LongMemory(lm, 4, KVZIP, 64), from_text(STORY * 3)
    if supports_shift(lm.model):
        assert model.memorize([text], SILENT).tokens < len(lm.encode([STORY * 3])[0]) / 2
        return
    with pytest.raises(InputError, match="cannot compress its memory"):
        model.memorize([text], SILENT)


@pytest.mark.parametrize("kind", ATTENDING)
def test_a_present_architecture_remembers_and_writes_what_it_is(kind: str, tiny_models: Path, tmp_path: Path) -> None:
    compress(check(write(configure(kind, ATTENDING[kind]), tiny_models, tmp_path)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", MORE)
def test_other_architectures_do_too(kind: str, tiny_models: Path, tmp_path: Path) -> None:
    compress(check(write(configure(kind, MORE[kind]), tiny_models, tmp_path)))


@pytest.mark.parametrize("kind", WITHOUT_KEYS)
def test_layers_that_keep_no_keys_are_refused_before_any_weights_are_read(kind: str, tmp_path: Path) -> None:
    configure(kind, WITHOUT_KEYS[kind]).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"long, lite, beacon or latent.*lite-api.*--generator ollama:MODEL"):
        LanguageModel.load(tmp_path, "cpu")


@pytest.mark.parametrize("kind", ATTENDING_OTHERWISE)
def test_attention_of_another_kind_is_refused(kind: str, tiny_models: Path, tmp_path: Path) -> None:
    folder = write(configure(kind, ATTENDING_OTHERWISE[kind]), tiny_models, tmp_path)
    with pytest.raises(InputError, match="long, lite, beacon or latent"):
        LanguageModel.load(folder, "cpu")


def test_the_text_part_of_a_model_that_sees_is_one_of_its_own(tiny_models: Path, tmp_path: Path) -> None:
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 28, "patch_size": 14}
    config = AutoConfig.for_model(
        "gemma3", text_config=SIZES | SLIDES, vision_config=vision, mm_tokens_per_image=4, eos_token_id=0
    )
    assert check(write(config, tiny_models, tmp_path)).window == SIZES["max_position_embeddings"]


@pytest.mark.parametrize("name", ["enable_thinking", "thinking"])
def test_a_template_that_thinks_is_told_not_to(name: str, tiny_models: Path, changed: Callable[[str], Path]) -> None:
    said = "{{ '<|im_start|>assistant\n' + ('' if " + name + "|default(true) else '<think>\n\n</think>\n\n') }}"
    folder = changed("{{ '<|im_start|>user\n' + messages[0]['content'] + '<|im_end|>\n' }}" + said)
    assert LanguageModel.load(folder, "cpu").chat_tail.endswith("<think>\n\n</think>\n\n")


@pytest.fixture
def changed(tiny_models: Path, tmp_path: Path) -> Callable[[str], Path]:
    """The tiny model with another chat template."""

    def change(template: str) -> Path:
        folder = tmp_path / "lm"
        shutil.copytree(tiny_models / "lm", folder)
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
        return folder

    return change
