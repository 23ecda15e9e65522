"""Where two statements in nearly the same words say different things: denied, opposite, other bounds, other roles."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import combinations

from memorag_core.text.terms import stems, stop_words

_MOST = (
    r"\b(?:at (?:the )?most|(?:no|not) (?:more|later|longer|higher) than|up to|maximum|under|below"
    r"|(?:less|fewer) than)\b"
    r"|最多|至多|不(?:得|能|可)?(?:超过|多于|高于)|以下|以内|不到|不足|少于|低于|未满"
)
_LEAST = (
    r"\b(?:at (?:the )?least|(?:no|not) (?:less|fewer|earlier|lower) than|minimum|over|above|more than|exceed\w*)\b"
    r"|最少|至少|不(?:得|能|可)?(?:少于|低于)|以上|超过|多于|高于|年满"
)
_BOUNDS = re.compile(rf"(?P<most>{_MOST})|(?P<least>{_LEAST})")
_NEGATION = re.compile(
    r"\b(?:not|no|never|cannot|nobody|none|nothing|nowhere|neither|nor|without|hardly)\b|n['’]t\b"
    r"|\b(?:all|every\w*|any\w*)\b[^,.;]{0,30}?\b(?:but|except)\b"
    r"|不(?![久过仅同断少锈管论然止但料禁幸妨朽])|没(?![收落])|未(?![来婚])|无(?![论锡线疑])|(?<!是)非(?![常洲凡])|莫(?!斯)|勿|别(?=再)|绝非|并非|除(?:了)?(?=[^，。]{0,40}外)"
)
_OPPOSITES = [
    (re.compile(one), re.compile(other))
    for one, other in (
        (
            r"\b(?:ris(?:e[sn]?|ing)|rose|increas\w*|gr[eo]w\w*|climb\w*|gain\w*|warm(?:ed|s|ing)|higher|improv\w*|expand\w*|doubl\w*)\b|上升|升高|上涨|涨|增[加长多大]|提高|扩大",
            r"\b(?:f[ae]ll(?:s|en|ing)?|drop\w*|decreas\w*|declin\w*|shr[aiu]nk\w*|cool(?:ed|s|ing)|lower\w*|reduc\w*|sank|sink\w*|halv\w*|worsen\w*)\b|下降|降低|下跌|跌|减[少小低]|缩小",
        ),
        (r"\b(?:b[uo]y\w*|bought)\b|购买|买[入下了]", r"\b(?:sell\w*|sold)\b|出售|卖"),
        (r"\b(?:lend\w*|lent)\b|借给|借出", r"\bborrow\w*\b|借入|向.{1,40}借"),
        (r"\b(?:won|wins?|winning)\b|获胜|赢", r"\b(?:los(?:t|es?|ing))\b|失败|落败|输"),
        (
            r"\b(?:began|begins?|begun|start\w*)\b|开始",
            r"\b(?:end(?:s|ed)?|stop\w*|finish\w*|complet\w*)\b|结束|完成|停止",
        ),
        (r"\bopen\w*\b|开放|打开", r"\bclos(?:e[sd]?|ing)\b|关闭"),
        (r"\b(?:allow\w*|permit\w*)\b|允许|准许", r"\b(?:forbid\w*|forbade|prohibit\w*|bann?ed)\b|禁止|不准"),
        (
            r"\b(?:accept\w*|approv\w*|support\w*)\b|接受|同意|支持|赞成",
            r"\b(?:reject\w*|refus\w*|oppos\w*)\b|拒绝|反对",
        ),
        (r"\bbefore\b|之前|以前", r"\bafter\b|之后|以后"),
        (r"\b(?:first|earliest)\b|最早|首", r"\b(?:last|latest)\b|最晚|最后"),
        (
            r"\b(?:largest|highest|longest|biggest|most)\b|最[大高长多]",
            r"\b(?:smallest|lowest|shortest|least)\b|最[小低短少]",
        ),
    )
]
_SEQUENCES = [
    re.compile(pattern)
    for pattern in (
        r"\bbetween (.{1,80}?) and (.+)",
        r"\bfrom (.{1,80}?) to (.+)",
        r"先(.{1,40}?)[，,]?(?:再|然后|后)(.+)",
        r"从(.{1,40}?)到(.+)",
    )
]
_WORD = re.compile(r"[㐀-鿿]|[^\W_㐀-鿿]+")
_MARKERS = frozenset(
    [
        "by",
        "to",
        "from",
        "of",
        "for",
        "with",
        "in",
        "on",
        "at",
        "into",
        "than",
        "被",
        "由",
        "把",
        "将",
        "向",
        "给",
        "对",
        "于",
        "从",
        "比",
    ]
)
_BE = frozenset(["be", "is", "are", "was", "were", "been", "being", "got"])
_PASSIVE = re.compile(r"被|由|遭|为.{1,40}所")
_VOID = frozenset("的了着在是有和也其")
_REACH = 3
_BEHIND = 4
_BEFORE = 20
SUBJECT, OBJECT, BY = "subject", "object", "by"


def contradict(claim: str, evidence: str) -> bool:
    """Whether a claim denies what the evidence says in the same words, or turns it round."""
    claim, evidence = claim.lower(), evidence.lower()
    shared = frozenset(stems(claim)) & frozenset(stems(evidence)) - stop_words()
    return (
        _denies(claim, shared) != _denies(evidence, shared)
        or _is_turned(claim, _near(shared, evidence))
        or _bounds(claim) ^ _bounds(evidence) == {"most", "least"}
    )


def denies(text: str) -> bool:
    """Whether a statement is negative; `at most` and `no more than` are bounds."""
    return len(_NEGATION.findall(_BOUNDS.sub(" ", text.lower()))) % 2 == 1


def _denies(text: str, shared: frozenset[str]) -> bool:
    """Whether one of the shared words is denied: one that stands closely behind a negation."""
    plain = _BOUNDS.sub(" ", text)
    behind = (_WORD.findall(plain, match.end())[:_BEHIND] for match in _NEGATION.finditer(plain))
    return sum(bool(shared & frozenset(stems(" ".join(words)))) for words in behind) % 2 == 1


def _near(shared: frozenset[str], evidence: str) -> str:
    """The part of the evidence from the first shared word to the last."""
    words = [word for word in _WORD.finditer(evidence) if shared & frozenset(stems(word.group()))]
    return (
        evidence[words[0].start() - _BEFORE if words[0].start() > _BEFORE else 0 : words[-1].end() + _BEFORE]
        if words
        else evidence
    )


def _bounds(text: str) -> frozenset[str]:
    return frozenset(match.lastgroup or "" for match in _BOUNDS.finditer(text))


def _is_turned(claim: str, evidence: str) -> bool:
    """Whether one says a word and the other its opposite only."""
    for pair in _OPPOSITES:
        said, there = (tuple(bool(side.search(text)) for side in pair) for text in (claim, evidence))
        if any(said) and not all(said) and said == there[::-1]:
            return True
    return False


def is_resequenced(claim: str, evidence: str) -> bool:
    """Whether `between A and B`, `first A, then B` have changed places."""
    claim, evidence = claim.lower(), evidence.lower()
    for pattern in _SEQUENCES:
        if (said := pattern.search(claim)) and (there := pattern.search(evidence)):
            (a, b), (x, y) = (tuple(frozenset(stems(part)) for part in match.groups()) for match in (said, there))
            if len(a & y) > len(a & x) and len(b & x) > len(b & y):
                return True
    return False


@dataclass(frozen=True, slots=True)
class _Token:
    """A word, with the preposition before it; `verb` where it may be one: no name, and not in a list."""

    stem: str
    marker: str = ""
    verb: bool = True
    passive: bool = False


def is_exchanged(claim: str, evidence: str) -> bool:
    """Whether two things have exchanged their parts in what one did to the other."""
    said, there = _tokens(claim, evidence), _tokens(evidence, claim)
    twice = {stem for tokens in (said, there) for stem, n in Counter(t.stem for t in tokens).items() if n > 1}
    shared = {t.stem for t in said} & {t.stem for t in there} - twice
    verbs = {t.stem for t in said if t.verb} & {t.stem for t in there if t.verb} & shared
    for verb in verbs:
        mine, others = (_parts(tokens, verb, shared) for tokens in (said, there))
        for one, other in combinations(sorted(shared - {verb}), 2):
            if mine[one] != mine[other] and (mine[one], mine[other]) == (others[other], others[one]):
                return True
    return False


def _parts(tokens: list[_Token], verb: str, shared: set[str]) -> dict[str, str]:
    """What part each thing has beside a verb."""
    at = next(number for number, token in enumerate(tokens) if token.stem == verb)
    passive = tokens[at].passive
    parts = {}
    for number, token in enumerate(tokens):
        if token.stem in shared and number != at:
            before = number < at
            plain = (OBJECT if passive else SUBJECT) if before else ("" if passive else OBJECT)
            agent = token.marker in ("by", "被", "由")
            parts[token.stem] = SUBJECT if agent else token.marker or plain
    return parts


def _tokens(text: str, other: str) -> list[_Token]:
    """The words of a text that stand for something; in Chinese, the longest runs that the other text has too."""
    words = [match.group() for match in _WORD.finditer(text)]
    passive_clause = _PASSIVE.search(text) is not None
    tokens: list[_Token] = []
    marker, since, at = "", 0, 0
    while at < len(words):
        word = words[at]
        lower = word.lower()
        if lower in _MARKERS:
            marker, since = lower, 0
        elif "㐀" <= word[0] <= "鿿":
            run = _run(words, at, other)
            if run and run not in _VOID:
                tokens.append(_Token(run, marker, passive=passive_clause))
                marker = ""
            at += max(1, len(run)) - 1
        elif lower not in _BE and (stem := "".join(stems(word))) not in stop_words():
            beside = words[max(0, at - 2) : at]
            passive = bool(_BE & {w.lower() for w in beside}) and lower.endswith(("ed", "en", "wn", "t"))
            listed = "and" in (words[at - 1 : at] + words[at + 1 : at + 2])
            tokens.append(_Token(stem, marker if since < _REACH else "", word == lower and not listed, passive))
            since += 1
        at += 1
    return tokens


def _run(words: list[str], at: int, other: str) -> str:
    run = ""
    for word in words[at:]:
        if word in _MARKERS or run + word not in other or not "㐀" <= word[0] <= "鿿":
            break
        run += word
    return run
