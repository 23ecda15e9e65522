"""What may be memorized is read to the letter; what may not is refused with a message that says what to do."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from memorag_core import Document, Settings, from_path, from_text
from memorag_core.errors import InputError
from memorag_core.ingest import check_size, from_bytes, resolve_allowed
from memorag_core.ingest.plain_file import read_plain_file

LIMIT = 10_000


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize("text", ["", "  ", "\n\t\u3000"])
def test_empty_text_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"The text is empty; there is nothing to memorize"):
        from_text(text)


@pytest.mark.parametrize("text", ["one\0two", "half a pair \ud800 of surrogates"], ids=["nul", "surrogate"])
def test_text_that_no_file_can_hold_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="give plain text"):
        from_text(text)


@pytest.mark.parametrize(
    ("text", "title", "shown", "context_id"),
    [
        ("# The Mill at Harrow\n\nIt stands.", None, "The Mill at Harrow", "the-mill-at-harrow"),
        ("\n\nFirst line. More.\nSecond line.", None, "First line. More.", "first-line-more"),
        ("Some text", "A Title", "A Title", "a-title"),
        ("第一回 宴桃园\n话说天下", None, "第一回 宴桃园", "第一回-宴桃园"),
        ("***", None, "***", "document"),
        ("long " * 100, None, ("long " * 16)[:80], ("long-" * 12) + "long"),
    ],
)
def test_a_text_is_named_by_its_title_its_heading_or_its_first_line(
    text: str, title: str | None, shown: str, context_id: str
) -> None:
    document = from_text(text, title)
    assert (document.title, document.id, document.text) == (shown, context_id, text)


def test_a_file_is_named_by_its_heading_or_its_own_name(tmp_path: Path) -> None:
    plain = write(tmp_path / "Annual Report.txt", "Figures.")
    headed = write(tmp_path / "b.md", "# Minutes of May\n\nFigures.")
    assert from_path(plain, LIMIT) == [Document("annual-report", "Annual Report", "Figures.", str(plain))]
    assert from_path(headed, LIMIT)[0].title == "Minutes of May"


def test_line_ends_and_trailing_spaces_survive_to_the_letter(tmp_path: Path) -> None:
    text = "One  \r\nTwo\t\n\n\rThree \u2028 \n \n"
    assert from_path(write(tmp_path / "a.txt", text), LIMIT)[0].text == text
    assert from_text(text).text == text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_utf8_and_utf16_with_a_byte_order_mark_are_read(tmp_path: Path, encoding: str) -> None:
    text = "Café 王安石"
    mark = "\ufeff" if encoding.endswith(("-le", "-be")) else ""
    assert from_path(write(tmp_path / "a.txt", (mark + text).encode(encoding)), LIMIT)[0].text == text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Un café noir"),
        ("cp1252", "“The mill” — it’s at the head of the pond."),
        ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy. Řeka teče tiše."),
        ("cp1251", "Мельница стоит у пруда, и ворота её закрыты."),
        ("gb18030", "话说天下大势，分久必合，合久必分。"),
        ("big5", "話說天下大勢，分久必合，合久必分。"),
        ("cp932", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"),
        ("cp949", "모든 국민은 법 앞에 평등하다. 누구든지 차별을 받지 아니한다."),
        ("cp1254", "Gemi limana girdiğinde güneş batıyordu, kaptan İbrahim çok yorgundu."),
        ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy."),
        ("cp1252", "déjà vu"),
        ("cp1252", "¿Dónde está el señor? 40 m² ± 3 °C"),
        ("iso8859-2", "Žluťoučký kůň úpěl. Most byl postaven v roce 1902 inženýrem Šimkem."),
        ("iso8859-5", "Мельница сгорела весной, и никто не знал почему."),
        ("iso8859-15", "La traversée coûte 40 € à l'aller, et l'œuvre du maître fut achevée."),
        ("cp866", "Пароход пришёл в порт с опозданием, груз остался на причале до утра."),
        ("koi8-u", "Їхній корабель прибув уранці, але ґанок ще не був готовий."),
        ("cp874", "ท่าเรือปิดทุกวันจันทร์"),
        ("mac-roman", "Das Schloß wurde für „schöne“ Gäste größer gebaut, überall Türme."),
        ("cp437", "La crèche était fermée; l'été fut très chaud à l'hôtel."),
    ],
)
def test_another_encoding_is_guessed_and_the_guess_is_told(tmp_path: Path, encoding: str, text: str) -> None:
    (document,) = from_path(write(tmp_path / "old.txt", text.encode(encoding)), LIMIT)
    assert document.text == text
    assert re.search(f"read as {encoding}(hkscs)?, a guess", document.notice)
    assert from_bytes(text.encode(encoding), "Standard input", LIMIT).notice == document.notice
    assert from_path(write(tmp_path / "new.txt", text), LIMIT)[0].notice == ""


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-32", "iso2022_jp"])
@pytest.mark.parametrize("text", ["北の防波堤は一八七一年に着工された。", "The mole was begun in 1871, he said."])
def test_wide_and_escaped_texts_are_read_without_a_mark(tmp_path: Path, encoding: str, text: str) -> None:
    if encoding == "iso2022_jp" and text.isascii():
        pytest.skip("it is ASCII then")
    (document,) = from_path(write(tmp_path / "old.txt", text.encode(encoding)), LIMIT)
    assert document.text == text


def test_a_long_text_is_decoded_whole_by_the_guess_from_its_beginning(tmp_path: Path) -> None:
    text = "话说天下大势，分久必合，合久必分。\n" * 20_000
    assert from_path(write(tmp_path / "old.txt", text.encode("gb18030")), len(text))[0].text == text


def test_an_encoding_that_cannot_be_told_is_refused_with_the_command_that_converts_it(tmp_path: Path) -> None:
    path = write(tmp_path / "latin.txt", b"\xef\xbb\xbf" + "Un café noir".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.txt is not .*byte 9 is 0xe9.*iconv -f .* -t UTF-8"):
        from_path(path, LIMIT)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty; there is nothing"),
        (b" \n ", "is empty; there is nothing"),
        ("\ufeff\u200b\u200e \u2060\n".encode(), "is empty; there is nothing"),
        ("\u3164\u2800\u00ad".encode(), "is empty; there is nothing"),
        (b"\x7fELF\x02\x01\x00\x00\xff", "is a binary file, not text. Give text"),
        (b"text\0text", "is a binary file, not text. Give text, HTML, PDF"),
        (b"\x89\x01\x02text", "is a binary file, not text"),
    ],
)
def test_empty_and_binary_files_are_refused_by_name(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"odd\.txt {message}"):
        from_path(write(tmp_path / "odd.txt", data), LIMIT)


@pytest.mark.parametrize("name", ["missing.txt", "a" * 300 + ".txt", "no\0name"], ids=["missing", "too-long", "nul"])
def test_a_path_where_nothing_can_be_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"(?i)path"):
        from_path(tmp_path / name, LIMIT)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(real: Path, most: int) -> bytes:
        raise PermissionError(13, "Permission denied", str(real))

    path = write(tmp_path / "secret.txt", "text")
    monkeypatch.setattr(
        "memorag_core.ingest.documents.read_plain_file", refuse
    )  # chmod does not stop root, who runs the tests in containers
    with pytest.raises(InputError, match=r"secret\.txt cannot be read \(Permission denied\). Check its permissions"):
        from_path(path, LIMIT)


def test_a_folder_gives_its_text_files_in_order_of_their_names_with_ids_of_their_own(tmp_path: Path) -> None:
    for name in ("b.txt", "a.md", "a.txt", "sub/a.rst", "picture.png", "NOTES.TXT"):
        write(tmp_path / name, f"Text of {name}")
    documents = from_path(tmp_path, LIMIT)
    names = [Path(document.source).relative_to(tmp_path).as_posix() for document in documents]
    assert names == ["NOTES.TXT", "a.md", "a.txt", "b.txt", "sub/a.rst"]
    assert [document.id for document in documents] == ["notes", "a", "a-2", "b", "a-3"]


def test_a_folder_without_text_files_is_refused_with_the_kinds_that_are_read(tmp_path: Path) -> None:
    write(tmp_path / "picture.png", b"png")
    with pytest.raises(InputError, match=r"holds no text file \(.*\.md.*\.txt.*\)"):
        from_path(tmp_path, LIMIT)


@pytest.mark.parametrize(
    ("include", "names"),
    [
        (["*.md"], ["a.md", "sub/c.md"]),
        (["sub/*"], ["sub/b.log", "sub/c.md"]),
        (["**/b.log", "a.*"], ["a.md", "a.txt", "sub/b.log"]),
        (["**/sub/**/*.md", "**"], ["a.md", "a.txt", "sub/b.log", "sub/c.md"]),
        (["**/**/**/b*"], ["sub/b.log"]),
    ],
)
def test_patterns_choose_among_the_files_of_a_folder_and_not_outside(
    tmp_path: Path, include: list[str], names: list[str]
) -> None:
    write(tmp_path / "secret.txt", "Secret.")
    folder = tmp_path / "open"
    for name in ("a.md", "a.txt", "sub/b.log", "sub/c.md"):
        write(folder / name, f"Text of {name}")
    documents = from_path(folder, LIMIT, include)
    assert [Path(document.source).relative_to(folder).as_posix() for document in documents] == names


@pytest.mark.parametrize(
    ("include", "message"),
    [
        ("*.pdf", r"holds no file that matches \*\.pdf"),
        ("/etc/*", "is no pattern for files in a folder"),
        ("", "is no pattern"),
        ("../*.txt", "is no pattern for files in a folder"),
        ("sub/../../*.txt", "is no pattern for files in a folder"),
    ],
)
def test_patterns_that_find_nothing_or_lead_out_are_refused(tmp_path: Path, include: str, message: str) -> None:
    write(tmp_path / "secret.txt", "Secret.")
    write(tmp_path / "open" / "a.md", "Open.")
    with pytest.raises(InputError, match=message):
        from_path(tmp_path / "open", LIMIT, [include])


def test_patterns_for_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a file; patterns choose among the files of a folder"):
        from_path(write(tmp_path / "a.md", "Text."), LIMIT, ["*.md"])


def test_a_link_in_a_folder_does_not_bring_in_what_lies_outside(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.txt", "Secret.")
    write(tmp_path / "open" / "a.txt", "Open.")
    (tmp_path / "open" / "b.txt").symlink_to(secret)
    assert [document.text for document in from_path(tmp_path / "open", LIMIT)] == ["Open."]


@pytest.mark.parametrize(("size", "unit"), [(11, "11 characters"), (41, "41 bytes")])
def test_a_file_above_the_limit_is_refused_with_size_and_limit(tmp_path: Path, size: int, unit: str) -> None:
    with pytest.raises(InputError, match=rf"big\.txt has {unit}; the limit is 10 characters.*--max-characters"):
        from_path(write(tmp_path / "big.txt", "x" * size), 10)


def test_a_file_of_300_mb_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "huge.txt", "")
    os.truncate(path, 300_000_000)
    monkeypatch.delattr(Path, "read_bytes")
    with pytest.raises(InputError, match=r"has 300,000,000 bytes; the limit is 50,000,000 characters"):
        from_path(path, Settings.of().max_characters)


def test_documents_that_are_too_large_together_are_refused() -> None:
    documents = [from_text("x" * 6, "a"), from_text("y" * 6, "b")]
    check_size(documents, 12)
    with pytest.raises(InputError, match="The context has 12 characters; the limit is 11 characters"):
        check_size(documents, 11)


def test_nothing_to_memorize_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to memorize: give a text, a file or a folder"):
        check_size([], LIMIT)
    with pytest.raises(InputError, match="The document 'Blank' is empty"):
        check_size([Document("blank", "Blank", " ")], LIMIT)


def test_two_documents_of_one_id_are_refused() -> None:
    with pytest.raises(InputError, match="Two documents have the same id"):
        check_size([from_text("One.", "a"), from_text("Two.", "a")], LIMIT)


def test_a_path_inside_an_allowed_folder_is_accepted(tmp_path: Path) -> None:
    path = write(tmp_path / "docs" / "a.txt", "text")
    assert resolve_allowed(tmp_path / "docs" / "." / "a.txt", [tmp_path / "other", tmp_path / "docs"]) == path.resolve()
    assert resolve_allowed(tmp_path / "docs", [tmp_path / "docs"]) == path.parent.resolve()


@pytest.mark.parametrize("way", ["../secret.txt", "/etc/passwd", "link.txt", "folder/secret.txt"])
def test_a_path_that_leads_out_of_the_allowed_folders_is_refused(tmp_path: Path, way: str) -> None:
    write(tmp_path / "secret.txt", "secret")
    allowed = tmp_path / "docs"
    allowed.mkdir()
    (allowed / "link.txt").symlink_to(tmp_path / "secret.txt")
    (allowed / "folder").symlink_to(tmp_path)
    with pytest.raises(InputError, match=r"outside the folders this server may read \(.*docs\).*--allow"):
        resolve_allowed(allowed / way, [allowed])


@pytest.mark.parametrize("path", ["a\0b", "~no-such-user-here/a.txt"])
def test_a_path_that_cannot_be_resolved_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match="give a plain path"):
        resolve_allowed(Path(path), [tmp_path])


def test_no_path_is_allowed_where_no_folder_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"may read \(none\)"):
        resolve_allowed(tmp_path, [])


def test_an_allowed_folder_may_be_named_from_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("text", encoding="utf-8")
    assert resolve_allowed(Path("~/docs/a.txt"), [Path("~/docs")]) == (tmp_path / "docs" / "a.txt").resolve()


def test_a_folder_is_not_read_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text("word " * 10, encoding="utf-8")
    read: list[Path] = []

    def counted(path: Path, most: int) -> bytes:
        read.append(path)
        return read_plain_file(path, most)

    monkeypatch.setattr("memorag_core.ingest.documents.read_plain_file", counted)
    with pytest.raises(InputError, match="limit"):
        from_path(tmp_path, 70)
    assert len(read) <= 2
