"""Text to words in any script: `terms` as they are written, `stems` for what may be inflected otherwise."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import regex

from memorag_core.text.normal import normalize

HAN = re.compile(r"[\u3400-\u9fff]")
"""A Chinese character."""

_TERM = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(
    rf"(?V1)(?P<unspaced>[{_UNSPACED}][{_UNSPACED}\p{{M}}]*)|[[\p{{L}}\p{{N}}]--[{_UNSPACED}]][[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]*"
)
_ACCENT = regex.compile(r"(?<!и)\u0306|[\u0300-\u0305\u0307-\u036f\u0591-\u05c7\u0640\u064b-\u065f\u0670]")
"""What may be written or not: accents, vowels of Hebrew and Arabic; й is a letter of its own."""
_FOREIGN_DIGIT = regex.compile(r"(?![0-9])\p{Nd}")
_UNSEEN = re.compile("[\u00ad\u034f\u061c\u200b-\u200f\u2060-\u2064\ufeff]")
_EXACT = regex.compile(r"(?<![\p{L}\p{N}])[\p{L}\p{N}]++(?:[._/:#-][\p{L}\p{N}]++)++")
_MARKED = regex.compile(r"[\p{N}_]")
_FUNCTION_WORDS = """
a an the of in on at to for and or but not is are was were be by with from as that this it its s t
who what when where which how do does did has have had
"""


def terms(text: str) -> list[str]:
    """Lower-case words; every Han character and kana is one, so that scripts without spaces count alike."""
    return _TERM.findall(normalize("NFKC", _UNSEEN.sub("", text)).lower())


def stems(text: str) -> list[str]:
    """Stems of lower-case words without accents; of scripts without spaces (and Korean), characters and their pairs."""
    return list(_stems(_plain(text)))


def index_terms(text: str) -> list[str]:
    """The stems, and each exact string as a word beside its parts: `12.3`, `11/03/2023`, `KX-4471`, `v2.10`."""
    plain = _plain(text)
    exact = (match.group() for match in _EXACT.finditer(plain))
    return [*_stems(plain), *(word for word in exact if _MARKED.search(word))]


def content_stems(text: str) -> frozenset[str]:
    """The stems of a text that are not in every text."""
    return frozenset(stems(text)) - stop_words()


@lru_cache(maxsize=1)
def stop_words() -> frozenset[str]:
    """Stems of English words that are in every text."""
    return frozenset(stems(_FUNCTION_WORDS))


def _plain(text: str) -> str:
    """A text as it is compared: without case, accents, and characters that are not seen; digits are 0 to 9."""
    plain = normalize("NFC", _ACCENT.sub("", normalize("NFKD", _UNSEEN.sub("", text)).casefold()))
    return str(_FOREIGN_DIGIT.sub(lambda match: str(unicodedata.digit(match.group())), plain))


def _stems(text: str) -> Iterator[str]:
    for match in _WORD.finditer(text):
        word = match.group()
        if match["unspaced"]:
            yield from word
            yield from (word[at : at + 2] for at in range(len(word) - 1))
        else:
            yield _stem(word)


@lru_cache(maxsize=1 << 17)
def _stem(word: str) -> str:
    """Snowball's stem, in the language that a word's script stands for; threads do not share a stemmer."""
    return str(_stemmer(unicodedata.name(word[0], "").partition(" ")[0]).stemWord(word))


def _stemmer(script: str) -> Any:
    """Open a stemmer, which holds the word it works on."""
    from snowballstemmer.arabic_stemmer import ArabicStemmer
    from snowballstemmer.english_stemmer import EnglishStemmer
    from snowballstemmer.greek_stemmer import GreekStemmer
    from snowballstemmer.russian_stemmer import RussianStemmer

    stemmers = {"ARABIC": ArabicStemmer, "CYRILLIC": RussianStemmer, "GREEK": GreekStemmer}
    return stemmers.get(script, EnglishStemmer)()
