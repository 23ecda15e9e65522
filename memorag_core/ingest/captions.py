"""Subtitles and transcripts: who says what, without times; what one person says in turn is a paragraph."""

from __future__ import annotations

import re

from memorag_core.ingest import plain
from memorag_core.ingest.extract import Extract, extract_pages

_TIMES = re.compile(r"^[^\S\n]*+[\d:.,]++[^\S\n]++-->[^\S\n]++[\d:.,]++.*+$", re.MULTILINE)
_VOICE = re.compile(r"<v(?:\.[^ <>]*+)?\s++([^<>]++)>")
_TAG = re.compile(r"</?[a-zA-Z0-9:.][^<>]*+>|\{\\[^{}]*+\}")
_NO_CUE = re.compile(r"\A(?:WEBVTT|NOTE|STYLE|REGION)\b")


def read(data: bytes, what: str, limit: int) -> Extract:
    """Read WebVTT or SubRip."""
    extract = plain.read(data, what, limit)
    out: list[str] = []
    speaker = ""
    for block in re.split(r"\n[ \t]*\n", extract.text.replace("\r\n", "\n").removeprefix("\ufeff")):
        times = _TIMES.search(block)
        if times is None or _NO_CUE.match(block):
            continue
        words = block[times.end() :].strip()
        voice = _VOICE.search(words)
        words = " ".join(_TAG.sub("", words).split())
        if voice is None or voice.group(1) == speaker:
            out.append(words)
        else:
            speaker = voice.group(1)
            out.append(f"\n{speaker}: {words}")
    text, _ = extract_pages(["\n".join(filter(None, out))], what, limit)
    return Extract(text, notice=extract.notice)
