"""Tables in text files: a line for each row, its cells apart as in every table that is read here."""

from __future__ import annotations

import csv
import io

from memorag_core.ingest import plain
from memorag_core.ingest.extract import Extract, extract_pages

SAMPLE = 1 << 14
DELIMITERS = ",;\t|"


def read(data: bytes, what: str, limit: int) -> Extract:
    """Read CSV or TSV, whatever its delimiter."""
    extract = plain.read(data, what, limit)
    csv.field_size_limit(max(csv.field_size_limit(), len(extract.text)))  # a cell may hold a whole text
    try:
        dialect: type[csv.Dialect] = csv.Sniffer().sniff(extract.text[:SAMPLE], DELIMITERS)
    except csv.Error:
        dialect = csv.excel_tab if "\t" in extract.text[:SAMPLE] else csv.excel
    rows = csv.reader(io.StringIO(extract.text, newline=""), dialect)
    lines = (" | ".join(" ".join(cell.split()) for cell in row) for row in rows if any(row))
    text, _ = extract_pages(["\n".join(lines)], what, limit * 3)
    return Extract(text, notice=extract.notice)
