"""A local generator passes its reply on while it decodes, and it is the reply it gives at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from conftest import STORY

from memorag_core.concurrency.cancellation import cancellable
from memorag_core.errors import Cancelled
from memorag_core.generation import LocalGenerator
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.streaming import StreamedText


@pytest.fixture(scope="module")
def lm(tiny_models: Path) -> LanguageModel:
    return LanguageModel.load(tiny_models / "lm", "cpu")


@pytest.mark.parametrize("prompt", [STORY, "Why?", "村雨城"])
def test_the_pieces_joined_are_the_reply_that_is_decoded_at_once(lm: LanguageModel, prompt: str) -> None:
    pieces: list[str] = []
    reply = LocalGenerator(lm).generate(prompt, 40, pieces.append)
    assert reply == lm.generate([prompt], 40, repetition_penalty=1.1)[0]
    assert "".join(pieces) == reply
    assert len(pieces) > 3


def test_decoding_stops_after_the_piece_at_which_it_is_told_to(lm: LanguageModel) -> None:
    flag = threading.Event()
    pieces: list[str] = []

    def hear(piece: str) -> None:
        pieces.append(piece)
        flag.set()

    with cancellable(flag), pytest.raises(Cancelled):
        LocalGenerator(lm).generate(STORY, 40, hear)
    assert len(pieces) == 1


def test_an_unfinished_character_and_white_space_wait_for_what_follows() -> None:
    pieces: list[str] = []
    growing = StreamedText(pieces.append)
    for whole in ("\n", "\n村\ufffd", "\n村雨 ", "\n村雨 城\n"):
        growing.reach(whole)
    assert pieces == ["村", "雨", " 城"]
    assert growing.end("\n村雨 城\n\ufffd") == "村雨 城\n\ufffd"
    assert "".join(pieces) == "村雨 城\n\ufffd"
