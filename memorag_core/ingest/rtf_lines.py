"""Where the words of an RTF file are gathered."""

from __future__ import annotations

from dataclasses import dataclass, field

NESTED_CELL = " | "


@dataclass(slots=True)
class Gathering:
    """Where words are gathered: lines, the cells of a row, the line that grows, and what stands behind it."""

    name: str = ""
    lines: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    line: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)

    def end_line(self, heading: int = 0) -> None:
        """End a paragraph, also of a row that has no end."""
        words = "".join(self.line).strip()
        if self.cells:
            self.end_row()
        self._add(f"{'#' * heading} {words}" if heading and words else words)
        self.line.clear()

    def end_cell(self) -> None:
        """End a cell, which is one line."""
        self.cells.append(" ".join("".join(self.line).split()))
        self.line.clear()

    def end_row(self) -> None:
        """End a row, without the empty cells at its end."""
        while self.cells and not self.cells[-1]:
            self.cells.pop()
        self._add(" | ".join(self.cells))
        self.cells.clear()

    def end_nested_row(self) -> None:
        """End a row of a table that stands in a cell."""
        while self.line and self.line[-1] in {NESTED_CELL, " "}:
            self.line.pop()
        self.line.append("; ")

    def words(self) -> str:
        """Return all that was gathered."""
        self.end_line()
        return "\n".join(self.lines).strip()

    def _add(self, line: str) -> None:
        self.lines += [line, *self.behind]
        self.behind.clear()
