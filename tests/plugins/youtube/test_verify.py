"""The hub's signature: any key that made it will do, and anything else is taken and thrown away."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.contracts import Keys, WebhookRequest
from tidings.errors import Rejected
from tidings_youtube.connector import YouTubeConnector
from tidings_youtube.verify import verify

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SECRET = b"s3cr3t"
BODY = b"<feed>hello</feed>"
SIGNED = "sha1=ac2649d69aacc7d0dc2f5cec50878ceaef68740f"
HEX = SIGNED.removeprefix("sha1=")
FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.xml"))


def _signed(secret: bytes, body: bytes, method: str = "sha1") -> str:
    return f"{method}={hmac.new(secret, body, method).hexdigest()}"


def _request(header: str | None, body: bytes = BODY) -> WebhookRequest:
    headers = {} if header is None else {"x-hub-signature": header}
    return WebhookRequest("POST", "/api/webhooks/youtube/x", "", headers, body)


def test_what_the_hub_signed_is_accepted(connector: YouTubeConnector) -> None:
    connector.verify(_request(SIGNED), Keys((SECRET,)), NOW)


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_every_fixture_is_signed(
    connector: YouTubeConnector, delivery: Callable[[str], WebhookRequest], fixture: Path
) -> None:
    connector.verify(delivery(fixture.stem), Keys((SECRET,)), NOW)


@pytest.mark.parametrize("method", ["sha1", "sha256", "sha384", "sha512"])
def test_every_method_of_websub_is_known(connector: YouTubeConnector, method: str) -> None:
    connector.verify(_request(_signed(SECRET, BODY, method)), Keys((SECRET,)), NOW)


@pytest.mark.parametrize("header", [f"sha1={HEX.upper()}", f"SHA1={HEX}", f" {SIGNED} "])
def test_digits_and_method_may_be_written_large(connector: YouTubeConnector, header: str) -> None:
    connector.verify(_request(header), Keys((SECRET,)), NOW)


@pytest.mark.parametrize("keys", [(SECRET, b"new"), (b"new", SECRET), (b"", SECRET), (b"a", b"b", SECRET)])
def test_any_one_of_several_keys_will_do(connector: YouTubeConnector, keys: tuple[bytes, ...]) -> None:
    connector.verify(_request(SIGNED), Keys(keys), NOW)


IGNORED: list[tuple[str, str | None, bytes, tuple[bytes, ...], str]] = [
    # case, header, body, keys, part of the reason
    ("unsigned", None, BODY, (SECRET,), "has no"),
    ("empty header", "", BODY, (SECRET,), "has no"),
    ("blank header", "  ", BODY, (SECRET,), "has no"),
    ("method alone", "sha1=", BODY, (SECRET,), "is not"),
    ("digits alone", HEX, BODY, (SECRET,), "is not"),
    ("md5", _signed(SECRET, BODY, "md5"), BODY, (SECRET,), "is not"),
    ("sha224", _signed(SECRET, BODY, "sha224"), BODY, (SECRET,), "is not"),
    ("no method", f"={HEX}", BODY, (SECRET,), "is not"),
    ("a method of another length", f"sha256={HEX}", BODY, (SECRET,), "is not"),
    ("sha256 said to be sha1", f"sha1={'0' * 64}", BODY, (SECRET,), "is not"),
    ("one digit too few", SIGNED[:-1], BODY, (SECRET,), "is not"),
    ("one digit too many", f"{SIGNED}0", BODY, (SECRET,), "is not"),
    ("colon for the equals sign", f"sha1:{HEX}", BODY, (SECRET,), "is not"),
    ("blank within", f"sha1= {HEX}", BODY, (SECRET,), "is not"),
    ("no hexadecimal", f"sha1=g{HEX[1:]}", BODY, (SECRET,), "is not"),
    ("full-width digits", "sha1=" + "\uff11" * 40, BODY, (SECRET,), "is not"),
    ("NUL behind", f"{SIGNED}\x00", BODY, (SECRET,), "is not"),
    ("line feed within", f"sha1=\n{HEX}", BODY, (SECRET,), "is not"),
    ("in quotes", f'"{SIGNED}"', BODY, (SECRET,), "is not"),
    ("a lone surrogate", f"sha1=\ud800{HEX[1:]}", BODY, (SECRET,), "is not"),
    ("very long", "sha1=" + "a" * 100_000, BODY, (SECRET,), "is not"),
    ("twice", f"{SIGNED}, {SIGNED}", BODY, (SECRET,), "more than once"),
    ("a wrong one first", f"sha1={'0' * 40}, {SIGNED}", BODY, (SECRET,), "more than once"),
    ("wrong key", _signed(b"guess", BODY), BODY, (SECRET,), "does not match"),
    ("key with a line feed", _signed(SECRET + b"\n", BODY), BODY, (SECRET,), "does not match"),
    ("empty key", _signed(b"", BODY), BODY, (SECRET,), "does not match"),
    ("plain hash", f"sha1={hashlib.sha1(BODY).hexdigest()}", BODY, (SECRET,), "does not match"),
    (
        "hash of key and body",
        f"sha1={hashlib.sha1(SECRET + BODY).hexdigest()}",
        BODY,
        (SECRET,),
        "does not match",
    ),
    ("all zeros", f"sha1={'0' * 40}", BODY, (SECRET,), "does not match"),
    ("last digit changed", f"{SIGNED[:-1]}e", BODY, (SECRET,), "does not match"),
    ("first digit changed", f"sha1=b{HEX[1:]}", BODY, (SECRET,), "does not match"),
    ("another body", SIGNED, b"<feed>hallo</feed>", (SECRET,), "does not match"),
    ("a line feed more", SIGNED, BODY + b"\n", (SECRET,), "does not match"),
    ("body cut", SIGNED, BODY[:-1], (SECRET,), "does not match"),
    ("body missing", SIGNED, b"", (SECRET,), "does not match"),
    ("wrong among several keys", SIGNED, BODY, (b"one", b"two"), "does not match"),
]
UNKEYED: list[tuple[str, str | None, tuple[bytes, ...]]] = [
    ("no keys", SIGNED, ()),
    ("an empty key", _signed(b"", BODY), (b"",)),
    ("a blank key", _signed(b" \n", BODY), (b" \n",)),
    ("no keys and unsigned", None, ()),
]


@pytest.mark.parametrize(
    ("header", "body", "keys", "reason"), [case[1:] for case in IGNORED], ids=[case[0] for case in IGNORED]
)
def test_what_is_not_signed_is_answered_2xx_and_ignored(
    connector: YouTubeConnector, header: str | None, body: bytes, keys: tuple[bytes, ...], reason: str
) -> None:
    with pytest.raises(Rejected, match=reason) as refused:
        connector.verify(_request(header, body), Keys(keys), NOW)
    assert refused.value.status == 202
    told = str(refused.value)
    assert SECRET.decode() not in told
    assert HEX[:12] not in told


@pytest.mark.parametrize(
    ("header", "keys"), [case[1:] for case in UNKEYED], ids=[case[0] for case in UNKEYED]
)
def test_without_a_key_nothing_is_accepted(
    connector: YouTubeConnector, header: str | None, keys: tuple[bytes, ...]
) -> None:
    with pytest.raises(Rejected, match="No subscription") as refused:
        connector.verify(_request(header), Keys(keys), NOW)
    assert refused.value.status == 401


def test_the_operator_configures_no_key(connector: YouTubeConnector) -> None:
    assert connector.shared_keys == Keys()


def test_every_key_is_tried_even_after_one_matched(
    connector: YouTubeConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bytes] = []

    def compare(ours: bytes, theirs: bytes) -> bool:
        compared.append(ours)
        return ours == theirs

    monkeypatch.setattr(hmac, "compare_digest", compare)
    connector.verify(_request(SIGNED), Keys((SECRET, b"two", b"three")), NOW)
    assert len(compared) == 3


def test_a_sample_is_as_the_hub_would_send_it(connector: YouTubeConnector) -> None:
    request = connector.sample(Keys((SECRET,)), NOW, "1")
    connector.verify(request, Keys((SECRET,)), NOW)
    (event,) = connector.parse(request).events
    (other,) = connector.parse(connector.sample(Keys((SECRET,)), NOW, "2")).events
    assert event.type == "com.youtube.video"
    assert event.id != other.id


@given(st.text(), st.binary(max_size=50))
def test_no_header_raises_anything_else(header: str, body: bytes) -> None:
    with pytest.raises(Rejected):
        verify(_request(header, body), Keys((SECRET,)))
