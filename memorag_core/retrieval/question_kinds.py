"""Tell whether a question asks for a detail, which one place says, or for what was said over a long stretch.

The nearest of some example questions decides, as the retriever finds them: there is no rule of one language and no
threshold. An embedder of many languages needs few of these examples; others find the ones in their own languages.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from memorag_core.concurrency.progress import SILENT
from memorag_core.retrieval.base import Index, Retriever

BROAD = """
Summarize the discussion.
What did they think about it?
What was said about it?
What was decided in the end?
Why did they disagree?
What problems were talked about?
How did they explain it?
What were the reasons for the plan?
Fasse die Diskussion zusammen.
Was hielten sie davon?
Was wurde darüber gesagt?
Was wurde am Ende beschlossen?
Warum waren sie sich nicht einig?
Über welche Probleme wurde gesprochen?
Resume la discusión.
¿Qué opinaban al respecto?
¿Qué se dijo sobre eso?
¿Qué se decidió al final?
¿Por qué no estaban de acuerdo?
¿De qué problemas se habló?
Résume la discussion.
Qu'en pensaient-ils ?
Qu'a-t-on dit à ce sujet ?
Qu'a-t-on décidé à la fin ?
Pourquoi n'étaient-ils pas d'accord ?
De quels problèmes a-t-on parlé ?
总结一下讨论的内容。
他们对此有什么看法？
关于这件事说了些什么？
最后决定了什么？
他们为什么意见不一？
讨论了哪些问题？
總結一下討論的內容。
他們對此有什麼看法？
關於這件事說了些什麼？
最後決定了什麼？
議論の内容を要約してください。
彼らはそれについてどう思いましたか？
それについて何が話されましたか？
最終的に何が決まりましたか？
なぜ意見が分かれたのですか？
どんな問題が話し合われましたか？
논의 내용을 요약해 주세요.
그들은 그것에 대해 어떻게 생각했나요?
그것에 대해 무슨 이야기가 나왔나요?
결국 무엇이 결정되었나요?
왜 의견이 달랐나요?
어떤 문제가 논의되었나요?
لخّص النقاش.
ما رأيهم في ذلك؟
ماذا قيل عن ذلك؟
ماذا تقرر في النهاية؟
لماذا اختلفوا؟
ما المشكلات التي نوقشت؟
"""
DETAILED = """
When did it happen?
Who was it?
How many were there?
Where was it?
What is it called?
Which one did she buy?
What does he like to do?
How long did it take?
Wann ist es geschehen?
Wer war es?
Wie viele waren es?
Wo war es?
Wie heißt es?
Welches hat sie gekauft?
¿Cuándo ocurrió?
¿Quién fue?
¿Cuántos había?
¿Dónde fue?
¿Cómo se llama?
¿Cuál compró ella?
Quand est-ce arrivé ?
Qui était-ce ?
Combien y en avait-il ?
Où était-ce ?
Comment cela s'appelle-t-il ?
Lequel a-t-elle acheté ?
这是什么时候发生的？
是谁？
有多少个？
在哪里？
叫什么名字？
她买了哪一个？
這是什麼時候發生的？
有多少個？
在哪裡？
叫什麼名字？
いつ起きましたか？
誰でしたか？
いくつありましたか？
どこでしたか？
何という名前ですか？
彼女はどれを買いましたか？
언제 일어났나요?
누구였나요?
몇 개였나요?
어디였나요?
이름이 무엇인가요?
그녀는 어느 것을 샀나요?
متى حدث ذلك؟
من كان؟
كم كان عددها؟
أين كان ذلك؟
ما اسمه؟
أيها اشترت؟
"""


class QuestionKinds:
    """The example questions of both kinds, indexed by a retriever when the first question is told."""

    def __init__(self, retriever: Retriever[Any]) -> None:
        self._retriever = retriever

    def is_broad(self, question: str) -> bool:
        """Whether a question asks for what was said over a long stretch, rather than for a detail."""
        [hits] = self._examples.search([question], 1)
        return bool(hits) and hits[0].chunk < len(_lines(BROAD))

    @cached_property
    def _examples(self) -> Index:
        index: Index = self._retriever.index([*_lines(BROAD), *_lines(DETAILED)], SILENT)
        return index


def _lines(examples: str) -> list[str]:
    return examples.strip().splitlines()
