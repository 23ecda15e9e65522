"""Numbers, dates, times and units are read to values, in whatever way they are written."""

from __future__ import annotations

import pytest

from memorag_core.text.values import lacks, read_values


def bears(evidence: str, claim: str) -> bool:
    there = read_values(evidence)
    return not lacks(there.values | there.implied, read_values(claim).values)


@pytest.mark.parametrize(
    ("evidence", "claim"),
    [
        ("nineteen", "19"),
        ("two hundred and five", "205"),
        ("nineteen sixty-three", "1963"),
        ("1 250 000", "1.25 million"),
        ("1.250,50 €", "1,250.50 euros"),
        ("half", "50 %"),
        ("two thirds of it", "2/3"),
        ("90 minutes", "1.5 hours"),
        ("4 March 1921", "1921-03-04"),
        ("4 March 1921", "in 1921"),
        ("14:30", "2:30 pm"),
        ("12.3.1", "12.3.1"),
        ("一亿二千万", "1.2亿"),
        ("晚上十点半", "22:30"),
        ("百分之十二", "12%"),
        ("三百零五", "305"),
        ("12公里", "12,000 m"),
    ],
)
def test_the_same_value_is_the_same_however_written(evidence: str, claim: str) -> None:
    assert bears(evidence, claim)


@pytest.mark.parametrize(
    ("evidence", "claim"),
    [
        ("9:15 am", "21:15"),
        ("8 April 1963", "4 August 1963"),
        ("30 metres", "30 feet"),
        ("1.5 million", "1.5 thousand"),
        ("150万", "150"),
        ("12.3.1", "12.3"),
        ("L2", "2"),
    ],
)
def test_another_value_is_another(evidence: str, claim: str) -> None:
    assert not bears(evidence, claim)
