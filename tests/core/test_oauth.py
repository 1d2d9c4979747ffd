import base64
import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refreshes import CLIENT, OAUTH, Provider, answered, not_sent
from tidings.connecting import Answer, OAuthClient, TokenSet
from tidings.errors import NotSent, Rejected, Unavailable
from tidings.oauth import Failed, Lost, Refused, authorization_url, exchange_code, new_verifier, redeem

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = {"access_token": "a2", "expires_in": 3600, "refresh_token": "r2", "scope": "read offline"}


class Says:
    """An HTTP client that always gets this."""

    def __init__(self, outcome: Answer | Exception) -> None:
        self.outcome = outcome
        self.fields: dict[str, str] = {}
        self.headers: dict[str, str] = {}

    async def send(self, method: str, url: str, *, headers: Any = None, body: bytes = b"") -> Answer:
        assert (method, url) == ("POST", OAUTH.token_url)
        self.headers = dict(headers)
        self.fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def with_authentication(kind: str) -> Provider:
    return Provider(msgspec.structs.replace(OAUTH, client_authentication=kind))


async def redeemed(outcome: Answer | Exception, connector: Provider | None = None) -> Any:
    return await redeem(Says(outcome), connector or Provider(), CLIENT, "planted-refresh-token", now=NOW)


# --- the address to consent at ----------------------------------------------------------------------------------


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_the_browser_is_sent_with_everything_the_platform_wants():
    oauth = msgspec.structs.replace(OAUTH, parameters={"prompt": "consent"})
    url = authorization_url(
        oauth, CLIENT, redirect_uri="http://127.0.0.1:8080/cb?x=1", state="s&t", verifier="v" * 43
    )
    assert url.startswith(f"{OAUTH.authorize_url}?")
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).decode().rstrip("=")
    assert query(url) == {
        "response_type": "code",
        "client_id": "client-1",
        "redirect_uri": "http://127.0.0.1:8080/cb?x=1",
        "scope": "read offline",
        "state": "s&t",
        "prompt": "consent",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }


def test_without_a_verifier_no_challenge_is_sent():
    sent = query(authorization_url(OAUTH, CLIENT, redirect_uri="http://x/", state="s", scopes=["one"]))
    assert "code_challenge" not in sent
    assert sent["scope"] == "one"


def test_scopes_stand_in_the_parameter_that_the_platform_reads_them_from():
    oauth = msgspec.structs.replace(OAUTH, scope_parameter="user_scope", scope_separator=",")
    sent = query(authorization_url(oauth, CLIENT, redirect_uri="http://x/", state="s"))
    assert (sent["user_scope"], sent.get("scope")) == ("read,offline", None)
    assert "scope" not in query(
        authorization_url(OAUTH, CLIENT, redirect_uri="http://x/", state="s", scopes=())
    )


def test_a_verifier_is_as_long_as_the_standard_wants_and_another_each_time():
    verifiers = {new_verifier() for _ in range(50)}
    assert len(verifiers) == 50
    assert all(43 <= len(one) <= 128 for one in verifiers)


# --- the exchange of a code -------------------------------------------------------------------------------------


async def exchanged(http: Says) -> TokenSet:
    return await exchange_code(
        http, Provider(), CLIENT, code="planted-code", redirect_uri="http://x/cb", verifier="planted-verifier"
    )


async def test_a_code_is_exchanged_for_tokens():
    http = Says(answered(200, GOOD))
    assert await exchanged(http) == TokenSet("a2", "r2", 3600.0, scopes=("read", "offline"))
    assert http.fields == {
        "grant_type": "authorization_code",
        "code": "planted-code",
        "redirect_uri": "http://x/cb",
        "code_verifier": "planted-verifier",
        "client_id": "client-1",
        "client_secret": "planted-client-secret",
    }
    assert http.headers["Accept"] == "application/json"


class Named(Provider):
    """A platform that wants to know who calls."""

    @property
    def headers(self) -> dict[str, str]:
        return {"user-agent": "Someone (https://example.org, 1)", "accept": "application/vnd.other"}


async def test_who_calls_is_told_at_the_token_endpoint_too_and_nothing_else_of_the_api_s_headers():
    http = Says(answered(200, GOOD))
    await redeem(http, Named(), CLIENT, "planted-refresh-token", now=NOW)
    assert http.headers["user-agent"] == "Someone (https://example.org, 1)"
    assert {name: value for name, value in http.headers.items() if name.lower() == "accept"} == {
        "Accept": "application/json"
    }


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, "invalid_grant"), (200, "bad_verification_code"), (401, "invalid_client"), (302, "")],
)
async def test_a_code_that_is_refused_says_so(status: int, error: str):
    with pytest.raises(Rejected, match=error or "302") as caught:
        await exchanged(Says(answered(status, {"error": error} if error else b"")))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "outcome",
    [answered(500, b""), answered(429, {"error": "slow_down"}), answered(200, b"<html>"), answered(504, b"")],
)
async def test_a_code_without_a_clear_answer_can_only_be_tried_anew(outcome: Answer):
    with pytest.raises(Unavailable):
        await exchanged(Says(outcome))


async def test_no_answer_to_a_code_passes_through():
    with pytest.raises(NotSent):
        await exchanged(Says(not_sent()))


# --- the redemption of a refresh token ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "secret", "fields", "header"),
    [
        ("body", "s", {"client_id": "c", "client_secret": "s"}, None),
        ("basic", "s", {}, "Basic " + base64.b64encode(b"c:s").decode()),
        ("none", "s", {"client_id": "c"}, None),
        ("basic", "", {"client_id": "c"}, None),  # a public client has nothing to prove itself with
    ],
)
async def test_a_client_proves_itself_as_the_platform_wants(
    kind: str, secret: str, fields: dict[str, str], header: str | None
):
    http = Says(answered(200, GOOD))
    await redeem(http, with_authentication(kind), OAuthClient("c", secret), "r1", now=NOW)
    assert http.fields == {"grant_type": "refresh_token", "refresh_token": "r1", **fields}
    assert http.headers.get("Authorization") == header


async def test_a_name_and_a_secret_in_the_header_are_encoded_as_a_form_would_have_them():
    http = Says(answered(200, GOOD))
    await redeem(http, with_authentication("basic"), OAuthClient("c:1", "a+b %é"), "r1", now=NOW)
    shown = base64.b64decode(http.headers["Authorization"].removeprefix("Basic ")).decode()
    assert shown == "c%3A1:a%2Bb+%25%C3%A9"  # RFC 6749, section 2.3.1


async def test_an_answer_without_a_refresh_token_is_good():
    assert await redeemed(answered(200, {"access_token": "a2"})) == TokenSet("a2")


@pytest.mark.parametrize(
    "fields",
    [
        {"error": "invalid_grant"},
        {"error": "invalid_grant", "error_description": "Token has been\nexpired or revoked."},
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401, 403])
async def test_a_dead_token_is_refused(status: int, fields: dict[str, str]):
    assert isinstance(await redeemed(answered(status, fields)), Refused)


async def test_a_platforms_own_word_for_a_dead_token_is_asked_for():
    class GitHubLike(Provider):
        def is_permanent(self, status: int, error: str) -> bool:
            return error == "bad_refresh_token"

    assert isinstance(await redeemed(answered(200, {"error": "bad_refresh_token"}), GitHubLike()), Refused)
    assert isinstance(await redeemed(answered(200, {"error": "bad_refresh_token"})), Failed)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520])
async def test_who_is_overloaded_or_broken_can_kill_no_token(status: int):
    outcome = await redeemed(answered(status, {"error": "invalid_grant"}))
    assert isinstance(outcome, Failed)
    assert not outcome.is_operators


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client", "incorrect_client_credentials"])
async def test_what_is_wrong_with_the_client_is_the_operators_to_mend(error: str):
    outcome = await redeemed(answered(401, {"error": error}))
    assert isinstance(outcome, Failed)
    assert outcome.is_operators
    assert "config.yaml" in outcome.reason


async def test_a_redirecting_endpoint_is_the_operators_to_mend():
    assert (await redeemed(answered(302, b"", location="https://x/"))).is_operators


@pytest.mark.parametrize(("status", "wait"), [(429, 7.0), (503, 7.0), (400, 7.0)])
async def test_how_long_to_wait_is_the_platforms_word(status: int, wait: float):
    assert (await redeemed(answered(status, b"", retry_after="7"))).retry_after_seconds == wait
    assert (await redeemed(answered(status, b""))).retry_after_seconds is None


@pytest.mark.parametrize(
    "outcome",
    [
        Unavailable("The answer broke off."),
        answered(200, b"<html>welcome to the hotel</html>"),
        answered(200, {}),
        answered(200, {"access_token": ""}),
        answered(200, {"access_token": None}),
        answered(200, {"access_token": 5}),
        answered(200, b"[1]"),
        answered(204, b""),
        answered(502, b""),
        answered(504, b"<html>"),
    ],
)
async def test_an_answer_that_tells_nothing_leaves_it_unknown(outcome: Answer | Exception):
    assert isinstance(await redeemed(outcome), Lost)


async def test_a_request_that_never_left_has_failed_and_is_not_lost():
    assert isinstance(await redeemed(not_sent()), Failed)


async def test_a_connector_that_trips_over_an_answer_leaves_it_unknown():
    class Trips(Provider):
        def read_tokens(self, answer: Any) -> TokenSet:
            raise ZeroDivisionError

    assert isinstance(await redeemed(answered(200, GOOD), Trips()), Lost)


@given(
    status=st.integers(200, 599),
    body=st.binary(max_size=50)
    | st.dictionaries(
        st.sampled_from(
            ["error", "error_description", "access_token", "expires_in", "scope", "refresh_token"]
        ),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=20)
        | st.lists(st.text(max_size=3), max_size=2),
    ).map(msgspec.json.encode),
    headers=st.fixed_dictionaries({}, optional={"retry-after": st.text(max_size=12)}),
)
async def test_no_answer_whatever_breaks_the_reading(status: int, body: bytes, headers: dict[str, str]):
    outcome = await redeemed(Answer(status, headers, body))
    assert isinstance(outcome, TokenSet | Refused | Failed | Lost)
    if isinstance(outcome, TokenSet):
        assert status < 300
        assert outcome.access_token
    if isinstance(outcome, Refused):
        assert status < 500


@given(said=st.text(max_size=40), place=st.sampled_from(["error", "error_description"]))
async def test_no_secret_is_repeated(said: str, place: str):
    echo = f"{said} planted-refresh-token planted-client-secret"
    outcome = await redeemed(answered(400, {"error": "x", place: echo}))
    assert "planted" not in outcome.reason
    assert outcome.reason.isprintable()
