"""Secret arguments: the handler gets them, nobody sees them."""

import json
from typing import Annotated

import pydantic
import pytest
from furrow.errors import ArgumentError, KindError
from furrow.kinds.arguments import Arguments
from furrow.kinds.secret import MASK, Secret, mask_text, masked
from furrow.statements import Claimed
from furrow.worker.events import Events


def handler(
    url: str,
    token: Annotated[str, Secret],
    pin: Annotated[int, Secret] = 0,
    word: pydantic.SecretStr | None = None,
    keys: Annotated[dict[str, str] | None, Secret] = None,
) -> None: ...


ARGUMENTS = Arguments("k", handler)


def test_the_handler_gets_what_was_given_and_the_row_marks_it() -> None:
    given = {"url": "x", "token": "t0p", "pin": 12, "word": "s3cret", "keys": {"a": "b"}}
    text = ARGUMENTS.to_json(given)
    assert json.loads(text) == {
        "url": "x", "token": {"$secret": "t0p"}, "pin": {"$secret": 12}, "word": {"$secret": "s3cret"},
        "keys": {"$secret": {"a": "b"}},
    }  # fmt: skip
    back = ARGUMENTS.from_json(text)
    assert (back["token"], back["pin"], back["keys"]) == ("t0p", 12, {"a": "b"})
    assert back["word"].get_secret_value() == "s3cret"
    assert ARGUMENTS.secret == {"token", "pin", "word", "keys"}
    for hidden in ("t0p", "12", "s3cret", '"b"'):
        assert hidden not in mask_text(text)
    assert json.loads(mask_text(text))["token"] == MASK


def test_a_program_that_inserts_rows_need_not_know_of_the_mark() -> None:
    assert ARGUMENTS.from_json('{"url": "x", "token": "plain"}')["token"] == "plain"


def test_a_bad_secret_is_refused_without_being_shown() -> None:
    with pytest.raises(ArgumentError) as refused:
        ARGUMENTS.to_json({"url": "x", "token": ["hunter2"], "pin": "hunter3", "keys": {"hunter4": 1}})
    assert "hunter" not in str(refused.value)
    assert refused.value.fields.keys() == {"token", "pin", "keys"}


def test_a_secret_inside_of_an_argument_is_refused_at_import() -> None:
    class Login(pydantic.BaseModel):
        password: pydantic.SecretStr

    def nested(login: Login) -> None: ...
    def listed(words: list[pydantic.SecretStr]) -> None: ...

    nested.__annotations__["login"] = Login
    for bad in (nested, listed):
        with pytest.raises(KindError, match="mark the whole argument"):
            Arguments("k", bad)


def test_what_cannot_be_read_is_hidden_as_a_whole() -> None:
    assert "hunter2" not in mask_text('{"a": {"$secret": "hunter2')
    assert masked([{"$secret": 1}, {"a": {"$secret": 2, "b": 3}}]) == [MASK, {"a": MASK}]
    assert mask_text("[1]") == "[1]"


def test_flower_is_not_told() -> None:
    sent: list[bytes] = []

    class Clock:
        def forward(self) -> int:
            return 1

    class Dispatcher:
        """Stands for Celery's, and keeps what would be published."""

        enabled, clock, headers, delivery_mode = True, Clock(), dict[str, str](), 1
        exchange = producer = property(lambda self: self)
        name = "celeryev"

        def publish(self, body: bytes, **options: object) -> None:
            sent.append(body)

    events = Events("worker@here", Dispatcher)
    events.received([Claimed("0" * 8, "k", ARGUMENTS.to_json({"url": "seen", "token": "hunter2"}), 1, 0, 5)])
    events.flush()
    [body] = sent
    assert b"seen" in body
    assert b"hunter2" not in body
