"""From files to rows: plain text packed into windows, or records of context, instruction and answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memorag_core.errors import InputError
from memorag_core.ingest import FORMATS, from_path
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.training.rows import Row, TokenIds, cut
from memorag_core.types import PARAGRAPH_BREAK, Say

TEXTS_AT_ONCE = 64
FIELDS = ("context", "instruction", "answer")
OTHERS = tuple(FORMATS.keys() - {".jsonl"})


def texts_at(paths: Sequence[Path], limit: int) -> Iterator[str]:
    """The texts of files and folders, in order: `text` of each line of `.jsonl` files, and every format that is read.

    Raises:
        InputError: nothing is there, or it cannot be read or has more than `limit` characters a folder.
    """
    for path in paths:
        lines = list(_files([path], (".jsonl",))) if path.is_dir() or path.suffix == ".jsonl" else []
        yield from (row["text"] for file in lines for row in _rows(file, ("text",)))
        if not lines:
            yield from (document.text for document in from_path(path, limit))
        elif path.is_dir() and any(_files([path], OTHERS)):
            others = from_path(path, limit, [f"*{suffix}" for suffix in OTHERS])
            yield from (document.text for document in others)


def text_rows(lm: LanguageModel, texts: Iterable[str], window: int, most: int, cache: Path) -> list[Row]:
    """Rows of plain text, their first window without loss; the tokens are kept in `cache` for the next run.

    Every text ends with the end-of-text token. See `cut` for how texts become rows.
    """
    tokens, lengths = _tokens(lm, texts, cache)
    return [Row(tokens[start:end], window) for start, end in cut(lengths, window, most)]


def record_rows(lm: LanguageModel, paths: Sequence[Path], window: int, most: int, say: Say) -> list[Row]:
    """Rows of records as a memory is asked: the context, the instruction, and the answer, which alone carries loss.

    Left out, and told, are those that never fill a window, and those longer than `most` windows.

    Raises:
        InputError: a line is no such record, or none is left.
    """
    records = [record for path in _files(paths, (".jsonl",)) for record in _rows(path, FIELDS)]
    rows = [_record_row(lm, record) for record in records]
    kept = [row for row in rows if window < len(row.tokens) <= most * window]
    if len(kept) < len(rows):
        say(f"{len(rows) - len(kept)} of {len(rows)} records are not longer than a window, or than {most} of them")
    if not kept:
        raise InputError(f"No record fits {most} windows of {window} tokens. Make them with: memorag data clues")
    return kept


def _record_row(lm: LanguageModel, record: dict[str, Any]) -> Row:
    """Tokenized as `BeaconMemory` does: the context alone, then what follows it."""
    instruction = PARAGRAPH_BREAK + record["instruction"] + lm.chat_tail
    context, asked, answer = lm.encode([lm.chat_head + record["context"], instruction, record["answer"]])
    ids = [*context, *asked, *answer, lm.tokenizer.eos_token_id]
    return Row(np.array(ids, dtype=np.uint32), len(context) + len(asked))


def _tokens(lm: LanguageModel, texts: Iterable[str], cache: Path) -> tuple[TokenIds, list[int]]:
    """All tokens, and how many each text has."""
    texts = list(texts)
    digest = hashlib.sha256(f"{lm.model_id} {lm.revision}".encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    place = cache / f"tokens-{digest.hexdigest()[:16]}.npz"
    if not place.is_file():
        _write_tokens(lm, texts, place)
    with np.load(place) as kept:
        return kept["tokens"], kept["lengths"].tolist()


def _write_tokens(lm: LanguageModel, texts: Sequence[str], place: Path) -> None:
    end = [lm.tokenizer.eos_token_id]
    parts: list[TokenIds] = []
    for first in range(0, len(texts), TEXTS_AT_ONCE):
        parts += [np.array(ids + end, dtype=np.uint32) for ids in lm.encode(texts[first : first + TEXTS_AT_ONCE])]
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".{place.name}")
    with draft.open("wb") as file:
        np.savez(file, tokens=np.concatenate(parts), lengths=np.array([len(part) for part in parts]))
    draft.replace(place)


def _files(paths: Sequence[Path], suffixes: Sequence[str]) -> Iterator[Path]:
    for path in paths:
        if not path.exists():
            raise InputError(f"There is no file or folder at {path}. Check the path.")
        yield from sorted(p for p in path.rglob("*") if p.suffix in suffixes) if path.is_dir() else [path]


def _rows(path: Path, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each line's object, which has those fields."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            ok = all(isinstance(row[field], str) for field in fields)
        except (ValueError, TypeError, KeyError):
            ok = False
        if not ok:
            raise InputError(f"{path} line {number} is no object with texts as {', '.join(fields)}. Give one a line.")
        yield row
