"""RTF: what a person sees of it, in the code pages that its fonts name; what is left out is told."""

from __future__ import annotations

import pytest

from memorag_core.errors import InputError
from memorag_core.ingest.extract import Extract
from memorag_core.ingest.rtf import read

LIMIT = 100_000
FONTS = (
    r"{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}{\f2\fcharset2 Symbol;}{\f3\fcharset128 MS Mincho;}"
    r"{\f4\fcharset238{\*\panose 02020603}Times New Roman CE{\*\falt Times};}}"
)


def read_rtf(source: str) -> Extract:
    return read(source.encode("latin-1"), "a.rtf", LIMIT)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"{\rtf1\ansi\ansicpg1252 Caf\'e9 \u8212? 10{\super 6} l\par m\super 3\nosupersub !}", "Café — 10^6 l\nm^3!"),
        (r"{\rtf1\ansi\ansicpg1251 \'cc\'ee\'eb}", "Мол"),
        (r"{\rtf1 \trowd A\cell \cell C\cell\row }", "A |  | C"),
        (r"{\rtf1 in 1931{\super 4} of H{\sub 2}O, 10{\up6 3}}", "in 1931[4] of H_2O, 10^3"),
        (rf"{{\rtf1{FONTS}\f1 \'cc\'ee\'eb{{\f0 , caf\'e9}}\par\plain\f4 \'e8aj}}", "Мол, café\nčaj"),
        (rf"{{\rtf1{FONTS}\f3 \'83\'65\'83\'58\'83\'67 {{\'96}} A}}", "テスト – A"),
        (rf"{{\rtf1{FONTS}{{\f2 a}} is 5{{\f2 \'b0}}, {{\f2\'b7}} one}}", "α is 5°, • one"),
        (r"{\rtf1\uc2 \u945\'61\'62 = \u-10179??\u-8704??, \uc0\u946 b}", "α = \U0001f600, βb"),
        (r"{\rtf1\mac caf\'8e}", "café"),
        (r"{\rtf1 a\~b\_c\-d\emdash e\tab\lquote f\rquote\'", "a\xa0b-cd—e\t‘f’"),
        ("{\\rtf1 one\\\ntwo\\line three}", "one\ntwo\nthree"),
    ],
)
def test_characters_are_those_of_their_fonts_and_code_pages(source: str, text: str) -> None:
    assert read_rtf(source).text == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            r"{\rtf1 The lock{\super\chftn}{\footnote\pard{\super\chftn} Built 1881.} held.}",
            "The lock[Built 1881.] held.",
        ),
        (
            r"{\rtf1 Here.{\*\atnid B}{\*\atnauthor Bo}{\*\annotation\pard{\*\atndate 7}Why?}\par}",
            "Here.\n[Comment by Bo: Why?]",
        ),
        (
            r"{\rtf1 A{\shp{\*\shpinst{\sp{\sn x}{\sv 7}}{\shptxt A box\par}}{\shprslt{\dptxbxtext A box}}} b.\par C}",
            "A b.\nA box\nC",
        ),
        (r"{\rtf1{\pict{\*\picprop{\sp{\sn wzDescription}{\sv The quay}}}ffd8}}", "[Image: The quay]"),
        (r"{\rtf1{\listtext\pard\plain 4.\tab}Fourth\par{\pntext 5.\tab}Fifth}", "4.\tFourth\n5.\tFifth"),
        (r"{\rtf1{\field{\*\fldinst{HYPERLINK http://a}}{\fldrslt the quay}} is open}", "the quay is open"),
        (r"{\rtf1{\object\objemb{\*\objclass X}{\*\objdata 01}{\result Seen}}}", "Seen"),
        (r"{\rtf1{\upr{Ba}{\*\ud{B\u228a}}}r}", "Bär"),
        (
            r"{\rtf1{\stylesheet{\s1 heading 1;}{\s2\outlinelevel1 Part;}}\s1 Mill\par\pard\s2 Dam\par\pard Text}",
            "# Mill\n## Dam\nText",
        ),
        (
            r"{\rtf1\trowd\intbl A\par B\cell\intbl\itap2 1\nestcell 2\nestcell{\*\nesttableprops\nestrow}"
            r"{\nonesttables\par}\cell\row C}",
            "A B | 1 | 2;\nC",
        ),
        (r"{\rtf1 a{\bin5 }}{{{b", "ab"),
        (r"{\rtf1{\*\listtable{\list{\leveltext\u8226 x;}}}{\info{\author Ann}}{\xe Index}Text}", "Text"),
    ],
)
def test_what_stands_beside_the_paragraphs_is_read_in_its_place(source: str, text: str) -> None:
    assert read_rtf(source).text == text


def test_headers_stand_once_before_the_text_and_footers_once_behind_it() -> None:
    source = r"{\rtf1{\headerl The mill\par}{\headerr The mill\par}Text.\par{\footer Page}\sect{\footer Page}More.}"
    assert read_rtf(source).text.split("\n\n")[0] == "The mill"
    assert read_rtf(source).text.endswith("More.\n\nPage")
    assert read_rtf(r"{\rtf1{\info{\title The {\b mill}}}Text}").title == "The mill"


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (r"{\rtf1 A berth costs 12.{\v Old: 9.} Pay here.}", "hidden text"),
        (r"{\rtf1 A berth costs 12.\v\f1 Old: 9.\v0  Pay here.}", "hidden text"),
        (r"{\rtf1 A berth costs 12.{\strike Old: 9.} Pay here.}", "struck text"),
        (r"{\rtf1 A berth costs 12.{\b\striked1 Old: 9.} Pay here.}", "struck text"),
        (r"{\rtf1 A berth costs 12.{\deleted\revauthdel1 Old: {\b 9}.} Pay here.}", "tracked deletions"),
        (r"{\rtf1 A berth costs 12.{\*\shppict{\pict ff}}{\nonshppict{\pict ff}} Pay here.}", "pictures"),
        (r"{\rtf1 A berth costs 12.{\object{\*\objdata 01}} Pay here.}", "embedded objects"),
    ],
)
def test_what_is_not_read_is_told(source: str, kind: str) -> None:
    extract = read_rtf(source)
    assert " ".join(extract.text.split()) == "A berth costs 12. Pay here."
    assert extract.notice == f"Left out: {kind} (1)."


@pytest.mark.parametrize("source", [r"{\rtf1", r"{\rtf1 }}}}", r"{\rtf1{\pict ff", r"{\rtf1{\*\x text}}", ""])
def test_a_file_without_text_or_end_is_told(source: str) -> None:
    with pytest.raises(InputError, match=r"is empty|is damaged"):
        read_rtf(source)


def test_deep_and_long_files_are_read_in_linear_time() -> None:
    assert read_rtf(r"{\rtf1 " + "{" * 50_000 + "deep").text == "deep"
    assert read_rtf(r"{\rtf1 a\trowd" + r"\cell" * 50_000 + " b").text.endswith("b")
    assert read_rtf(r"{\rtf1 " + r"\u97?" * 50_000).text == "a" * 50_000
