"""The API generator against a real HTTP server: replies, streams, faults, and the key, which is never told."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Iterator

import pytest
from chat_server import ChatServer, Reply, chat_server
from waits import SECONDS

from memorag_core.concurrency.cancellation import cancellable
from memorag_core.concurrency.device_queue import FairQueue, as_client
from memorag_core.errors import Cancelled, GenerationError, InputError, MissingExtra
from memorag_core.generation import ApiGenerator
from memorag_core.models.api.chat import ChatModel
from memorag_core.models.api.server import Limits

KEY = "sk-secret-key-7f3a"
SOON = {"Retry-After": "0.001"}
BUSY = Reply(("busy",), status=503, headers=SOON)
MAY = Reply((" In", " May", " 1963. "))


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    with chat_server() as server:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.address}/v1")
        yield server


def generator(**limits: float) -> ApiGenerator:
    return ApiGenerator(ChatModel("openai:small", Limits(**limits)))  # type: ignore[arg-type]  # retries is given as int


def test_the_reply_comes_in_pieces_that_joined_are_the_text(api: ChatServer) -> None:
    api.replies = [MAY]
    pieces: list[str] = []
    assert generator().generate("When?", 16, pieces.append) == "In May 1963."
    assert pieces == ["In", " May", " 1963."]


def test_while_a_server_writes_others_have_the_models(api: ChatServer) -> None:
    api.replies = [MAY]
    queue, took = FairQueue(4, 5.0), threading.Event()

    def take() -> None:
        with as_client("other"), queue.slot():
            took.set()

    def on_text(_: str) -> None:
        if took.is_set():
            return
        other = threading.Thread(target=take)
        other.start()
        other.join(SECONDS)

    with as_client("one"), queue.slot():
        generator().generate("When?", 16, on_text)
    assert took.is_set()


def test_the_server_is_asked_for_a_stream_of_that_model_with_the_key(api: ChatServer) -> None:
    api.replies = [MAY]
    generator().generate("When?", 16)
    [asked] = api.requests
    assert (asked["path"], asked["headers"]["authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert (asked["model"], asked["stream"], asked["max_tokens"], asked["temperature"]) == ("small", True, 16, 0)
    assert asked["messages"] == [{"role": "user", "content": "When?"}]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_what_may_pass_is_tried_again(api: ChatServer, status: int) -> None:
    api.replies = [Reply(("busy",), status=status, headers=SOON), MAY]
    assert generator().generate("When?", 16) == "In May 1963."
    assert len(api.requests) == 2


def test_what_does_not_pass_is_tried_so_often_and_then_told(api: ChatServer) -> None:
    api.replies = [BUSY] * 5
    with pytest.raises(GenerationError, match="answered 503"):
        generator(retries=2).generate("When?", 16)
    assert len(api.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_will_not_pass_is_not_tried_again(api: ChatServer, status: int) -> None:
    api.replies = [Reply(("no",), status=status, headers=SOON)] * 2
    with pytest.raises(GenerationError, match=f"answered {status}"):
        generator().generate("When?", 16)
    assert len(api.requests) == 1


FAULTS = {
    "broke off in the middle of its reply": Reply(("In May",), cut=True),
    "sent no reply that can be read": Reply(raw=b"<html>hello</html>\n\n"),
    "replied with nothing,": Reply(("  ",)),
    r"replied with nothing within 16 tokens": Reply((), finish="length"),
    r"before it was whole \(content_filter\)": Reply(("In May",), finish="content_filter"),
    r"could not be reached \(Expecting value": Reply(raw=b"data: no JSON\n\n"),
    r"\(the prompt is too long\)": Reply(raw=b'data: {"error": {"message": "the prompt is too long"}}\n\n'),
    r"answered 307: it is elsewhere": Reply(status=307, headers={"Location": "/elsewhere"}),
    r"answered 401: it does not accept the key in OPENAI_API_KEY": Reply((f"wrong key {KEY[:9]}***",), status=401),
    r"answered 400 \(.*\(key\)": Reply((f"I was told {KEY}",), status=400),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_is_told_with_what_to_do_and_never_passes_for_an_answer(api: ChatServer, message: str) -> None:
    api.replies = [FAULTS[message]]
    with pytest.raises(GenerationError, match=message) as told:
        generator().generate("When?", 16)
    assert "OPENAI_BASE_URL" in str(told.value)
    assert "choose another model" in str(told.value)
    assert len(api.requests) == 1


def test_a_stream_that_ends_without_saying_so_broke_off_also_where_the_connection_was_whole(api: ChatServer) -> None:
    api.replies = [Reply(("In May",), finish=None)]
    pieces: list[str] = []
    with pytest.raises(GenerationError, match="broke off in the middle"):
        generator().generate("When?", 16, pieces.append)
    assert pieces == ["In May"]


def test_a_reply_that_reaches_its_limit_of_tokens_is_a_reply(api: ChatServer) -> None:
    api.replies = [Reply(("In May of",), finish="length")]
    assert generator().generate("When?", 16) == "In May of"


def test_a_refused_connection_is_told_with_the_address(api: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(GenerationError, match=r"127\.0\.0\.1:9.*could not be reached"):
        generator(retries=0).generate("When?", 16)


@pytest.mark.parametrize(("pieces", "when"), [((), "too long, asked"), (("In",), "too long, in the middle")])
def test_a_server_that_falls_silent_is_not_waited_for(api: ChatServer, pieces: tuple[str, ...], when: str) -> None:
    api.replies = [Reply(pieces, hangs=True)]
    with pytest.raises(GenerationError, match=when):
        generator(read=0.2, retries=0).generate("When?", 16)


def test_a_reply_that_takes_longer_than_all_may_take_is_given_up(api: ChatServer) -> None:
    api.replies = [MAY]
    with pytest.raises(GenerationError, match="took more than 0 s"):
        generator(total=0).generate("When?", 16)


def test_a_stop_is_seen_between_two_pieces(api: ChatServer) -> None:
    api.replies = [MAY]
    flag = threading.Event()
    pieces: list[str] = []

    def hear(piece: str) -> None:
        pieces.append(piece)
        flag.set()

    with cancellable(flag), pytest.raises(Cancelled):
        generator().generate("When?", 16, hear)
    assert pieces == ["In"]


def test_what_the_hearer_of_pieces_raises_is_its_own(api: ChatServer) -> None:
    api.replies = [MAY]

    def refuse(piece: str) -> None:
        raise ValueError(piece)

    with pytest.raises(ValueError, match="In"):
        generator().generate("When?", 16, refuse)


def test_a_model_that_thinks_first_is_given_room_for_it(api: ChatServer) -> None:
    api.replies = [Reply(("use max_completion_tokens instead of max_tokens",), status=400), MAY]
    assert generator().generate("When?", 16) == "In May 1963."
    assert "max_tokens" not in api.requests[1]
    assert api.requests[1]["max_completion_tokens"] > 1000


def test_the_key_is_in_no_log_no_error_and_no_representation(api: ChatServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    for reply in (*FAULTS.values(), BUSY, MAY):
        api.replies = [reply]
        asked = generator(retries=0)
        told += [repr(asked), repr(vars(asked)), repr(vars(asked.chat))]
        try:
            asked.generate("When?", 16)
        except GenerationError as error:
            told += [str(error), "".join(traceback.format_exception(error))]
    assert caplog.records
    assert KEY[:9] not in "\n".join([*told, caplog.text])


KINDS = {
    "openai:small": ("OPENAI", "/v1"),
    "deepseek:deepseek-chat": ("DEEPSEEK", ""),
    "ollama:qwen2.5:0.5b": ("OLLAMA", "/v1"),
    "lmstudio:small": ("LMSTUDIO", "/v1"),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("key", [KEY, None])
def test_each_kind_of_server_has_a_key_and_an_address_of_its_own(
    api: ChatServer, monkeypatch: pytest.MonkeyPatch, name: str, key: str | None
) -> None:
    kind, path = KINDS[name]
    for other in ("OPENAI", "DEEPSEEK", "OLLAMA", "LMSTUDIO"):
        monkeypatch.setenv(f"{other}_API_KEY", "sk-of-another")
        monkeypatch.setenv(f"{other}_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv(f"{kind}_BASE_URL", api.address + path)
    if key:
        monkeypatch.setenv(f"{kind}_API_KEY", key)
    else:
        monkeypatch.delenv(f"{kind}_API_KEY")
    api.replies = [MAY]
    if key is None and kind in {"OPENAI", "DEEPSEEK"}:
        with pytest.raises(InputError, match=f"{kind}_API_KEY is not set"):
            ChatModel(name)
        return
    assert ChatModel(name, Limits(retries=0)).generate("When?", 16) == "In May 1963."
    [asked] = api.requests
    assert asked["path"] == f"{path}/chat/completions"
    assert asked["model"] == name.partition(":")[2]
    assert asked["headers"]["authorization"] == f"Bearer {key or 'none'}"
    assert asked.get("reasoning_effort") == ("none" if kind in {"OLLAMA", "LMSTUDIO"} else None)


def test_a_server_on_this_machine_that_cannot_be_told_not_to_think_is_asked_without(
    api: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", f"{api.address}/v1")
    api.replies = [Reply(("unknown field reasoning_effort",), status=400), MAY]
    assert ChatModel("ollama:small").generate("When?", 16) == "In May 1963."
    assert "reasoning_effort" not in api.requests[1]


def test_azure_is_asked_by_deployment_with_its_own_header_and_version(
    api: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ENDPOINT": api.address, "API_KEY": KEY, "AD_TOKEN": "another"}.items():
        monkeypatch.setenv(f"AZURE_OPENAI_{name}", value)
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    api.replies = [MAY]
    assert ChatModel("azure:my-gpt").generate("When?", 16) == "In May 1963."
    [asked] = api.requests
    assert asked["path"] == "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    assert asked["headers"]["api-key"] == KEY
    assert not {"sk-of-another", "another"} & {value.split()[-1] for value in asked["headers"].values()}


def test_what_azure_lacks_is_told_by_name_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)
    message = "AZURE_OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT and OPENAI_API_VERSION are not set"
    with pytest.raises(InputError, match=message):
        ChatModel("azure:my-gpt")


@pytest.mark.parametrize("address", [f"http://user:{KEY}@host/v1", f"https://host/v1?key={KEY}", "localhost:8080"])
def test_an_address_that_holds_more_than_an_address_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(InputError, match="a key goes into OPENAI_API_KEY") as told:
        ChatModel("openai:small")
    assert KEY not in str(told.value)


def test_a_name_without_a_model_is_refused() -> None:
    with pytest.raises(InputError, match="write openai:MODEL"):
        ChatModel("openai:")


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(MissingExtra, match=r"memorag-mcp\[api\]"):
        ChatModel("openai:small")


def test_the_token_estimate_is_never_short_of_a_word_a_token() -> None:
    assert ChatModel("ollama:small").count(["one two three", "村雨城"]) == [5, 4]
