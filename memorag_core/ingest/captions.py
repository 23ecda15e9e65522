"""Subtitles and transcripts: who says what, without times; what one person says in turn is a paragraph.

A block without times is what a blank line parted from the words before, as subtitles are often written by hand.
"""

from __future__ import annotations

import re

from memorag_core.ingest import plain
from memorag_core.ingest.extract import Counted, Extract, extract_pages

_TIMES = re.compile(r"^[^\S\n]*+[\d:.,]++[^\S\n]++-->[^\S\n]++[\d:.,]++.*+$", re.MULTILINE)
_VOICE = re.compile(r"<v(?:\.[^ <>]*+)?\s++([^<>]++)>")
_TAG = re.compile(r"</?[a-zA-Z0-9:.][^<>]*+>|\{\\[^{}]*+\}")
_NO_CUE = re.compile(r"\A(?:WEBVTT|STYLE|REGION)\b|\A\d*+\Z")
_NOTE = re.compile(r"\ANOTE\b")


def read(data: bytes, what: str, limit: int) -> Extract:
    """Read WebVTT or SubRip."""
    extract = plain.read(data, what, limit)
    out: list[str] = []
    speaker, counted = "", Counted()
    for block in re.split(r"\n[ \t]*\n", extract.text.replace("\r\n", "\n").removeprefix("\ufeff")):
        times = _TIMES.search(block)
        if _NOTE.match(block):
            counted.add("notes to editors", 1)
            continue
        if _NO_CUE.match(block.strip()):
            continue
        words = block[times.end() if times else 0 :].strip()
        voice = _VOICE.search(words)
        words = " ".join(_TAG.sub("", words).split())
        if voice is None or voice.group(1) == speaker:
            out.append(words)
        else:
            speaker = voice.group(1)
            out.append(f"\n{speaker}: {words}")
    text, _ = extract_pages(["\n".join(filter(None, out))], what, limit)
    return Extract(text, notice=" ".join(filter(None, [extract.notice, counted.notice()])))
