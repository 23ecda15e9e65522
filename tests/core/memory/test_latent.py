"""Latent memory computes what the original computes, and a folder that is none of its kind is told what it lacks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import STORY, tiny_settings
from latent_checkpoints import load, tokenizer, write
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from benchmarks.latent_parity import compare, main
from memorag_core import MemoRAG
from memorag_core.concurrency.progress import SILENT
from memorag_core.config import PROFILES, Settings
from memorag_core.errors import InputError, ModelUnavailable
from memorag_core.memory import LatentMemory
from memorag_core.models.profiles import choose_profile
from memorag_core.models.weights import Weights
from memorag_core.types import Attended, Document, Place, Scope

CASES = Path(__file__).parent / "latent_cases"
LOG = (
    "The wind went round to the west at noon on Tuesday, and then it rained.\n\n"
    "The ferry lay at the pier all that night and did not sail. Nobody wrote down why.\n"
)
SIZES = {"ratio4": (4, 32, 5), "ratio16": (16, 1024, 6)}


def documents(*texts: str) -> list[Document]:
    return [Document(str(number), str(number), text) for number, text in enumerate(texts)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("latent"))


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> LatentMemory:
    return load(checkpoint)


@pytest.mark.parametrize("name", SIZES)
def test_every_case_agrees_with_the_original(name: str, tmp_path: Path) -> None:
    model = load(write(tmp_path / name, *SIZES[name]))
    outcomes = [compare(model, path) for path in sorted((CASES / name).glob("case*.safetensors"))]
    assert len(outcomes) == 3
    assert [outcome for outcome in outcomes if not outcome.agrees] == []


def test_the_parity_benchmark_fails_where_a_number_or_an_id_differs(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "a")
    assert main([str(folder)]) == 1, "no case says nothing"
    path = folder / "case0.safetensors"
    shutil.copy(CASES / "ratio4" / path.name, path)
    assert main([str(folder)]) == 0
    case = load_file(path)
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    for name, changed in {"logits": case["logits"] + 2e-4, "greedy_ids": (case["greedy_ids"] + 1) % 200}.items():
        path.unlink()
        save_file(case | {name: changed}, path, about)
        assert main([str(folder)]) == 1
    assert "OTHER" in capsys.readouterr().out


def test_a_memory_saved_and_loaded_answers_the_same(model: LatentMemory, tmp_path: Path) -> None:
    memory = model.memorize(documents(STORY, STORY[::-1]), SILENT)
    model.save(memory, tmp_path)
    loaded = model.load(tmp_path)
    assert loaded.notes == memory.notes
    questions = ["Who kept the book?", "Why?"]
    assert model.ask(loaded, questions, 8) == model.ask(memory, questions, 8)
    assert memory.tokens < len(STORY) * 2 / 4 + 40


def test_windows_encoded_together_are_what_each_is_alone(model: LatentMemory) -> None:
    windows = [list(range(3, 35)), [9], list(range(50, 67))]
    alone = [model.encoder.encode([window])[0] for window in windows]
    torch.testing.assert_close(model.encoder.encode(windows), alone, atol=1e-5, rtol=0)
    assert [len(latents) for latents in alone] == [8, 1, 5]


def test_windows_are_encoded_in_halves_where_memory_runs_out(
    model: LatentMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, encode = model.memorize(documents(STORY[:60]), SILENT), model.encoder.encode

    def encode_one(windows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        if len(windows) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return encode(windows)

    monkeypatch.setattr(model.encoder, "encode", encode_one)
    memory = model.memorize(documents(STORY[:60]), SILENT)
    torch.testing.assert_close(memory.state.keys, expected.state.keys, atol=1e-4, rtol=0)


def test_every_latent_says_where_its_text_begins(model: LatentMemory) -> None:
    text = "Ærø – 3 °C. " * 9
    [starts] = model.memorize(documents(text), SILENT).notes["starts"]
    at = [len(text.encode()[: 4 * n].decode(errors="ignore")) for n in range(len(starts))]
    assert starts == at


def test_what_a_question_attends_to_is_what_the_decoder_s_own_attention_weighs(
    model: LatentMemory, checkpoint: Path
) -> None:
    texts, question = documents(STORY, STORY[:90]), "Who kept the book?"
    memory = model.memorize(texts, SILENT)
    found = model.attend(memory, question)
    decoder = AutoModelForCausalLM.from_pretrained(checkpoint / "decoder", attn_implementation="eager")
    text = model.lay_out(texts)
    latents = [entry for entry, number in enumerate(text.ids) if number < 0]

    def attention(question: str) -> torch.Tensor:
        """By layer and head, in equal shares."""
        [asked] = model.lm.encode(["\n\n" + question])
        embedded = decoder.get_input_embeddings()(torch.tensor([*text.ids, *asked]).clamp(min=0))
        embedded[latents] = torch.cat(model.encoder.encode(text.windows))
        layers = decoder(inputs_embeds=embedded[None], output_attentions=True).attentions
        shares = torch.stack([layer[0, :, len(text.ids) :][..., latents] for layer in layers]).detach()
        return (shares / shares.sum(-1, keepdim=True)).mean(2) * len(latents)

    squares = (attention(question) - attention("N/A")).clamp(min=0).square()
    weights = torch.tensor([weight for one in found for weight in one.weights])
    torch.testing.assert_close(weights, squares.mean((0, 1)), atol=1e-4, rtol=1e-4)
    assert [one.starts for one in found] == text.starts
    known = LatentMemory(model.lm, model.encoder, [(0, 3), (0, 1), (1, 2)]).attend(memory, question)
    weights = torch.tensor([weight for one in known for weight in one.weights])
    expected = (squares[0, 3] + squares[0, 1] + squares[1, 2]) / 3
    torch.testing.assert_close(weights, expected, atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match="has no head 2:0"):
        LatentMemory(model.lm, model.encoder, [(2, 0)])


def test_a_folder_in_the_published_layout_names_the_kind_and_its_decoder_generates(
    checkpoint: Path, tmp_path: Path
) -> None:
    profile = choose_profile(Settings.of(profile="full", device="cpu", memory_model=str(checkpoint)))
    assert (profile.memory, profile.generator_model) == ("latent", str(checkpoint))
    weights = Weights(Settings.of(device="cpu", models_dir=tmp_path), lambda _: None)
    model = LatentMemory.open(profile, weights)
    assert weights.language_model(profile.generator_model) is model.lm
    assert model.settings() == {"ratio": 4, "window": 32}
    assert model.identity()["revision"] == weights.revision(str(checkpoint)) != ""


def test_a_text_that_is_too_long_is_refused_with_what_there_is_room_for(tmp_path: Path) -> None:
    model = load(write(tmp_path, max_position_embeddings=128))
    with pytest.raises(InputError, match=r"of which 4 to 1 make .* room for 96"):
        model.memorize(documents(STORY * 2), SILENT)


def lose(part: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / part).unlink()


def configure(**values: Any) -> Callable[[Path], Any]:
    def rewrite(folder: Path) -> None:
        config = json.loads((folder / "model_config.json").read_text(encoding="utf-8"))
        (folder / "model_config.json").write_text(json.dumps(config | values), encoding="utf-8")

    return rewrite


def adapt(**shapes: tuple[int, ...]) -> Callable[[Path], Any]:
    """Another adapter, of these shapes."""

    def rewrite(folder: Path) -> None:
        tensors = {name.replace("__", "."): torch.zeros(shape) for name, shape in shapes.items()}
        save_file(tensors, folder / "adapter" / "adapter.safetensors")

    return rewrite


def other_width(inner: int, outer: int) -> Callable[[Path], Any]:
    return adapt(
        norm__weight=(inner,),
        fc1__weight=(outer, inner),
        fc1__bias=(outer,),
        fc2__weight=(outer, outer),
        fc2__bias=(outer,),
    )


def forget_marks(folder: Path) -> None:
    tokenizer(["<|im_end|>"]).save_pretrained(folder / "decoder")


WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no configuration": (lose("model_config.json"), "no latent context model .* has no model_config.json"),
    "no adapter": (lose("adapter/adapter.safetensors"), "has no adapter/adapter.safetensors"),
    "no encoder": (lose("encoder/config.json"), "has no encoder/config.json"),
    "no decoder": (lose("decoder/config.json"), "has no decoder/config.json"),
    "no weights": (lose("encoder/model.safetensors"), "encoder' could not be loaded"),
    "another pooling": (configure(pooling="eos"), "of another kind .*'pooling': 'eos'"),
    "another adapter": (configure(adapter_type="mlp_attn"), "of another kind .*mlp_attn"),
    "no ratio": (configure(compression_ratio=None), "compression_ratio None"),
    "a window that is no multiple": (configure(encoder_window_size=30), "multiple of the ratio"),
    "half an adapter": (adapt(fc1__weight=(32, 24)), "does not hold an adapter of norm, fc1 and fc2"),
    "another encoder": (other_width(16, 32), "takes 16 numbers, its encoder gives 24"),
    "another decoder": (other_width(24, 16), "latents of 16 numbers, its decoder reads embeddings of 32"),
    "another tokenizer": (forget_marks, r"no token <\|memory_start\|> and <\|memory_end\|>"),
}


@pytest.mark.parametrize(("spoil", "message"), WRONG.values(), ids=WRONG)
def test_what_is_no_checkpoint_of_this_kind_is_refused_with_what_is_wrong(
    checkpoint: Path, tmp_path: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "spoiled")
    spoil(folder)
    with pytest.raises(ModelUnavailable, match=message):
        load(folder)


@pytest.fixture(scope="module")
def engine(checkpoint: Path, tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> MemoRAG:
    """Two contexts over a latent memory whose heads are known; recall is `attended`."""
    settings = tiny_settings(tiny_models, tmp_path_factory.mktemp("store"))
    engine = MemoRAG(settings.model_copy(update={"memory_model": str(checkpoint), "heads": "0:1,1:2"}))
    engine.memorize([Document("mill", "Mill", STORY * 2), Document("log", "Log", LOG)], name="one")
    engine.memorize([Document("log", "Log", LOG + "The pilot left at dawn.")], name="two")
    return engine


def test_latents_that_a_question_attends_to_are_opened_into_their_text_as_evidence(
    engine: MemoRAG, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, question = LatentMemory, "What did the boats do?"
    monkeypatch.setattr(kind, "recall", lambda *_: pytest.fail("a clue is generated"))
    clues = engine.recall("one", question)
    assert clues
    assert engine.context("one").attention is None, "its heads need no other keys"
    assert all(clue.kind == "attended" and clue.place for clue in clues)
    whole, ferry = len(LOG), LOG.index("The ferry")
    seen = [Attended(), Attended(range(0, whole, 8), [9.0 * (0 <= at - ferry < 40) for at in range(0, whole, 8)])]
    monkeypatch.setattr(kind, "attend", lambda *_: seen)
    [first, *_] = engine.recall("one", question + "!")
    assert first.text == "The ferry lay at the pier all that night and did not sail."
    assert first.place == Place("log", ferry, ferry + len(first.text))
    assert any(first.text in passage.found_by for passage in engine.retrieve("one", question, [first]))


def test_latents_of_several_contexts_are_opened_together_and_only_those_of_the_part_that_is_asked(
    engine: MemoRAG,
) -> None:
    places = [clue.place for clue in engine.recall(["one", "two"], "Who left?")]
    assert {place.document_id for place in places if place} >= {"one/mill", "two/log"}
    inside = engine.recall("one", "Who left?", scope=Scope(documents=("log",)))
    assert {clue.place.document_id for clue in inside if clue.place} == {"log"}


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"nowhere' could not be loaded .* Give a folder that holds it"):
        load(tmp_path / "nowhere")
    with pytest.raises(ModelUnavailable, match="nowhere' could not be loaded"):
        Weights(Settings.of(device="cpu"), lambda _: None).language_model(str(tmp_path / "nowhere"))


def test_profiles_of_other_kinds_keep_theirs(tiny_models: Path) -> None:
    chosen = choose_profile(Settings.of(profile="tiny", device="cpu", memory_model=str(tiny_models / "lm")))
    assert chosen.memory == PROFILES["tiny"].memory
