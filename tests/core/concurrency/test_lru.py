"""What was used last is kept."""

from __future__ import annotations

from memorag_core.concurrency.lru import LRUCache


def test_the_least_recently_used_is_dropped_beyond_the_limit() -> None:
    recent: LRUCache[str, int] = LRUCache(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]


def test_writing_a_key_again_replaces_it_and_makes_it_recent() -> None:
    recent: LRUCache[str, int] = LRUCache(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.put("a", 10) == 10
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [10, None, 3]


def test_a_dropped_key_is_gone_and_a_missing_one_is_no_mistake() -> None:
    recent: LRUCache[str, int] = LRUCache(2)
    recent.put("a", 1)
    recent.drop("a")
    recent.drop("never here")
    assert recent.get("a") is None


def test_entries_are_kept_within_a_budget_of_their_sizes_and_the_latest_in_any_case() -> None:
    recent: LRUCache[str, str] = LRUCache(5, len)
    for key, value in (("a", "xx"), ("b", "xxx"), ("c", "x")):
        recent.put(key, value)
    assert (recent.values(), recent.size) == (["xxx", "x"], 4)
    recent.put("d", "x" * 9)
    assert (recent.values(), recent.size) == (["x" * 9], 9)
    recent.clear()
    assert (recent.values(), recent.size) == ([], 0)
