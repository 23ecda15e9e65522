"""RapidOCR with the lines of a picture read side by side; needs the extra `ocr`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rapidocr import RapidOCR
from rapidocr.ch_ppocr_rec import TextRecInput, TextRecOutput

SETTINGS = {
    "Global.log_level": "error",
    "Global.use_cls": False,
    "Global.return_word_box": True,
    "Det.limit_type": "max",
    "EngineConfig.onnxruntime.enable_cpu_mem_arena": True,
}


class LineReader:
    """Reads pictures of lines, each with one thread: threads that share a line wait for each other half of the time."""

    def __init__(self, threads: int) -> None:
        self._reader = RapidOCR(params=SETTINGS | {"EngineConfig.onnxruntime.intra_op_num_threads": 1})
        self._pool = ThreadPoolExecutor(threads)

    def __call__(self, asked: TextRecInput) -> TextRecOutput:
        """Read all lines, the widest first, so that no thread is left alone with it; they come back in their order."""
        lines: list[Any] = list(asked.img or ())
        widest = sorted(range(len(lines)), key=lambda at: -lines[at].shape[1] / lines[at].shape[0])
        read: dict[int, Any] = dict(zip(widest, self._pool.map(lambda at: self._read(lines[at]), widest), strict=True))
        parts = ("txts", "scores", "word_results")
        whole: dict[str, Any] = {part: tuple(getattr(read[at], part)[0] for at in sorted(read)) for part in parts}
        return TextRecOutput(imgs=lines, **whole)

    def _read(self, line: Any) -> Any:
        return self._reader.recognize_txt([line])


def open_engine(side: int, threads: int, reader: LineReader) -> Any:
    """Open an engine that finds lines in a picture whose longer side has `side` pixels."""
    sizes = {"Det.limit_side_len": side, "EngineConfig.onnxruntime.intra_op_num_threads": threads}
    engine: Any = RapidOCR(params=SETTINGS | sizes)
    engine.text_rec = reader
    return engine
