"""What is opened when: the retriever at once, a language model when it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

from memorag_core import MemoRAG, from_text
from memorag_core.components import Components
from memorag_core.config import Settings
from memorag_core.models.profiles import choose_profile
from memorag_core.models.weights import Weights
from memorag_core.text.prompts import BUILT_IN

DESCRIBE = """
import json, sys
from memorag_core import MemoRAG, Settings
recipe = MemoRAG(Settings.model_validate_json(sys.argv[1])).shared.components.recipe
print(json.dumps([recipe, sorted({"torch", "transformers"} & sys.modules.keys())]))
"""


def open_components(settings: Settings) -> tuple[Components, Weights]:
    weights = Weights(settings, lambda _: None)
    return Components(choose_profile(settings), weights, BUILT_IN), weights


def test_a_recipe_that_is_known_needs_neither_torch_nor_a_language_model(settings: Settings) -> None:
    known, _ = open_components(settings)
    again, weights = open_components(settings)
    assert again.recipe == known.recipe
    assert weights._loaded == {}
    line = [sys.executable, "-c", DESCRIBE, settings.model_dump_json()]
    described = subprocess.run(line, capture_output=True, check=True, timeout=60).stdout
    assert json.loads(described) == [json.loads(json.dumps(known.recipe)), []]


def test_a_recipe_is_not_taken_for_that_of_other_choices(settings: Settings) -> None:
    known, _ = open_components(settings)
    other, _ = open_components(settings.model_copy(update={"storage": "int8"}))
    assert other.recipe["memory"] == known.recipe["memory"] | {"storage": "int8"}


def test_what_is_opened_later_is_what_the_recipe_says(settings: Settings) -> None:
    open_components(settings)
    again, _ = open_components(settings)
    memory = again.memory
    assert again.recipe["memory"] == {"kind": memory.kind} | memory.identity() | memory.settings()


def test_a_changed_context_can_be_asked_before_a_language_model_is_loaded(settings: Settings) -> None:
    document = from_text("The mill stands at the head of the pond.", "mill")
    held = MemoRAG(settings).memorize([document])
    later, loaded = MemoRAG(settings), []
    info = later.add(
        held.id,
        [from_text("Amos kept the gate book.", "book")],
        on_ready=lambda ready: loaded.append((ready.ready, len(later.shared.weights._loaded))),
    )
    assert loaded == [("evidence", 0)]
    assert info.ready == "memory"
    passages = later.retrieve(held.id, "Who kept the gate book?")
    assert "Amos kept the gate book." in {passage.chunk.text for passage in passages}
