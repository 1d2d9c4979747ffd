"""The authorization server of the sandbox behaves as the two platforms are documented to."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tidings.testing.clock import FakeClock
from tidings_sandbox.apps import App as RegisteredApp
from tidings_sandbox.consents import Consents
from tidings_sandbox.dialects import github_dialect, months_later, spotify_dialect
from tidings_sandbox.stage import HttpSend, Stage
from tidings_sandbox.tokens import Mint
from tidings_sandbox.world import World

OTTILIE, BRAM = "ottilie-otterbourne", "bram-quillfeather"


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['access_token']}"}


# --- consent ---


async def test_the_consent_page_names_the_app_the_scopes_and_the_people(spotify, http):
    answer = await http.get(
        spotify.authorize_path,
        params={
            "client_id": spotify.client_id,
            "response_type": "code",
            "redirect_uri": spotify.redirect_uri,
            "scope": "user-library-read",
        },
    )
    assert answer.status_code == 200
    assert "sandbox-spotify-1" in answer.text
    assert "user-library-read" in answer.text
    assert "Ottilie Otterbourne" in answer.text
    assert "This is not Spotify." in answer.text


async def test_what_an_app_asks_for_can_not_put_markup_into_the_page(spotify, http):
    answer = await http.get(
        spotify.authorize_path,
        params={
            "client_id": spotify.client_id,
            "response_type": "code",
            "redirect_uri": spotify.redirect_uri,
            "scope": '"><script>alert(1)</script>',
        },
    )
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text


async def test_accepting_leads_back_with_a_code_and_the_state(spotify):
    back = await spotify.consent(OTTILIE)
    assert back.keys() == {"code", "state"}
    assert back["state"] == "the-state"


async def test_denying_leads_back_with_access_denied(spotify, http):
    answer = await http.post(
        spotify.authorize_path,
        params={
            "client_id": spotify.client_id,
            "response_type": "code",
            "redirect_uri": spotify.redirect_uri,
            "state": "x",
        },
        data={"person": OTTILIE, "decision": "deny"},
    )
    location = httpx.URL(answer.headers["location"])
    assert (answer.status_code, location.params["error"], location.params["state"]) == (
        302,
        "access_denied",
        "x",
    )


async def test_a_scope_that_was_unticked_is_not_granted(spotify, http):
    answer = await http.post(
        spotify.authorize_path,
        params={
            "client_id": spotify.client_id,
            "response_type": "code",
            "redirect_uri": spotify.redirect_uri,
            "scope": "user-library-read user-read-playback-state",
        },
        data={
            "person": OTTILIE,
            "decision": "accept",
            "scope:user-library-read": "off",
            "scope:user-read-playback-state": ["off", "on"],
        },
    )
    code = httpx.URL(answer.headers["location"]).params["code"]
    assert (await spotify.exchange(code)).json()["scope"] == "user-read-playback-state"


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8080/api/oauth/spotify/callback/",
        "http://127.0.0.1:8080/api/oauth/spotify/callback?x=1",
        "http://127.0.0.1.example.org/api/oauth/spotify/callback",
        "https://127.0.0.1:8080/api/oauth/spotify/callback",
        "http://evil.example/api/oauth/spotify/callback",
        "http://[",
        "",
    ],
)
async def test_an_address_that_is_not_registered_gets_no_redirect(address, spotify, http):
    parameters = {"client_id": spotify.client_id, "response_type": "code", "redirect_uri": address}
    for method in ("GET", "POST"):
        answer = await http.request(
            method, spotify.authorize_path, params=parameters, data={"person": OTTILIE, "decision": "accept"}
        )
        assert answer.status_code == 400
        assert "location" not in answer.headers


async def test_a_loopback_address_may_have_another_port(spotify):
    answer = await spotify.consent(OTTILIE, redirect_uri="http://127.0.0.1:9999/api/oauth/spotify/callback")
    assert "code" in answer


async def test_spotify_refuses_localhost(world, http):
    address = "http://localhost:8080/callback"
    world.spotify.consents.register("mine", address)
    parameters = {"client_id": "mine", "response_type": "code", "redirect_uri": address}
    answer = await http.get("/sandbox/spotify/authorize", params=parameters)
    assert answer.status_code == 400
    assert "Insecure redirect URI" in answer.text


async def test_an_unknown_app_is_refused(spotify, http):
    answer = await http.get(spotify.authorize_path, params={"client_id": "nobody"})
    assert answer.status_code == 400
    assert "INVALID_CLIENT" in answer.text


async def test_a_person_set_beforehand_agrees_without_being_asked(world, spotify, http):
    world.spotify.oauth.auto_accept = BRAM
    answer = await http.get(
        spotify.authorize_path,
        params={
            "client_id": spotify.client_id,
            "response_type": "code",
            "redirect_uri": spotify.redirect_uri,
        },
    )
    tokens = (await spotify.exchange(httpx.URL(answer.headers["location"]).params["code"])).json()
    me = await http.get("/sandbox/spotify/v1/me", headers=bearer(tokens))
    assert me.json()["display_name"] == "Bram Quillfeather"


# --- codes ---


async def test_a_code_is_good_once(spotify):
    code = (await spotify.consent(OTTILIE))["code"]
    assert (await spotify.exchange(code)).status_code == 200
    again = await spotify.exchange(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


async def test_a_code_is_good_for_ten_minutes(spotify, clock):
    early, late = await spotify.consent(OTTILIE), await spotify.consent(BRAM)
    await clock.advance(599)
    assert (await spotify.exchange(early["code"])).status_code == 200
    await clock.advance(1)
    assert (await spotify.exchange(late["code"])).status_code == 400


async def test_a_code_is_exchanged_only_with_the_address_it_was_sent_to(spotify):
    code = (await spotify.consent(OTTILIE))["code"]
    answer = await spotify.ask(
        grant_type="authorization_code",
        code=code,
        redirect_uri="http://127.0.0.1:1/api/oauth/spotify/callback",
    )
    assert (answer.status_code, answer.json()["error_description"]) == (400, "Invalid redirect URI")


async def test_a_code_is_exchanged_only_by_the_app_it_was_made_for(world, spotify, http):
    code = (await spotify.consent(OTTILIE))["code"]
    other = world.spotify.consents.app("sandbox-spotify-2")
    answer = await http.post(
        spotify.token_path,
        data={"grant_type": "authorization_code", "code": code, "redirect_uri": spotify.redirect_uri},
        auth=(other.client_id, other.client_secret),
    )
    assert answer.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("platform", ["spotify", "github"])
async def test_the_verifier_must_fit_the_challenge(platform, apps, pkce):
    app = apps[platform]
    verifier, challenge = pkce
    for wrong in ("", verifier[:-1] + "!", verifier[:42], challenge):
        back = await app.consent(OTTILIE, code_challenge=challenge, code_challenge_method="S256")
        answer = (await app.exchange(back["code"], code_verifier=wrong)).json()
        assert "access_token" not in answer
        assert answer["error"] in {"invalid_grant", "bad_verification_code"}
    back = await app.consent(OTTILIE, code_challenge=challenge, code_challenge_method="S256")
    assert "access_token" in (await app.exchange(back["code"], code_verifier=verifier)).json()


async def test_the_plain_challenge_method_is_refused(spotify):
    back = await spotify.consent(OTTILIE, code_challenge="x" * 43, code_challenge_method="plain")
    assert back["error"] == "invalid_request"


async def test_spotify_needs_no_secret_of_an_app_that_uses_pkce(spotify, pkce):
    verifier, challenge = pkce
    back = await spotify.consent(OTTILIE, code_challenge=challenge, code_challenge_method="S256")
    answer = await spotify.ask(
        with_secret=False,
        grant_type="authorization_code",
        code=back["code"],
        redirect_uri=spotify.redirect_uri,
        code_verifier=verifier,
    )
    refreshed = await spotify.refresh(answer.json()["refresh_token"], with_secret=False)
    assert refreshed.status_code == 200


async def test_spotify_needs_the_secret_of_an_app_that_does_not_use_pkce(spotify):
    tokens = await spotify.connect()
    answer = await spotify.refresh(tokens["refresh_token"], with_secret=False)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")


async def test_github_always_needs_the_secret(github, pkce):
    verifier, challenge = pkce
    back = await github.consent(OTTILIE, code_challenge=challenge, code_challenge_method="S256")
    answer = await github.ask(with_secret=False, code=back["code"], code_verifier=verifier)
    assert (answer.status_code, answer.json()["error"]) == (200, "incorrect_client_credentials")


@pytest.mark.parametrize(
    ("platform", "error"), [("spotify", "invalid_client"), ("github", "incorrect_client_credentials")]
)
async def test_a_wrong_secret_is_refused(platform, error, apps):
    app = apps[platform]
    code = (await app.consent(OTTILIE))["code"]
    app.secret = "wrong"
    assert (await app.exchange(code)).json()["error"] == error


async def test_a_refresh_token_is_redeemed_only_by_the_app_it_was_given_to(world, spotify):
    tokens = await spotify.connect()
    spotify.client_id = "sandbox-spotify-2"
    spotify.secret = world.spotify.consents.app(spotify.client_id).client_secret
    answer = await spotify.refresh(tokens["refresh_token"])
    assert (answer.status_code, answer.json()["error_description"]) == (400, "Invalid refresh token")


# --- GitHub's dialect ---


async def test_github_answers_a_form_unless_json_is_asked_for(github, http):
    code = (await github.consent(OTTILIE, "repo notifications"))["code"]
    form = {"client_id": github.client_id, "client_secret": github.secret, "code": code}
    answer = await http.post(github.token_path, data=form)
    assert answer.headers["content-type"].startswith("application/x-www-form-urlencoded")
    fields = parse_qs(answer.text)
    assert fields["scope"] == ["repo,notifications"]
    assert fields["token_type"] == ["bearer"]
    assert fields["expires_in"] == ["28800"]
    assert fields["refresh_token_expires_in"] == ["15897600"]
    assert fields["access_token"][0].startswith("gho_")
    assert fields["refresh_token"][0].startswith("ghr_")


async def test_github_leaves_out_scopes_that_another_one_implies(github):
    tokens = await github.connect(scope="public_repo repo read:user user write:repo_hook admin:repo_hook")
    assert tokens["scope"] == "repo,user,admin:repo_hook"


async def test_github_says_errors_with_200(github):
    answer = await github.exchange("wrong")
    assert (answer.status_code, answer.json()["error"]) == (200, "bad_verification_code")
    answer = await github.refresh("ghr_wrong")
    assert (answer.status_code, answer.json()["error"]) == (200, "bad_refresh_token")


async def test_github_refresh_tokens_and_access_tokens_die_at_the_refresh(github, world):
    first = await github.connect()
    second = (await github.refresh(first["refresh_token"])).json()
    assert world.github.consents.check(first["access_token"]) is None
    assert world.github.consents.check(second["access_token"]) is not None
    assert (await github.refresh(first["refresh_token"])).json()["error"] == "bad_refresh_token"
    assert "access_token" in (await github.refresh(second["refresh_token"])).json()


async def test_github_tokens_without_expiry_come_without_a_refresh_token(github, world, clock):
    world.github.consents.dialect.expires = "offline_access"
    tokens = await github.connect(scope="repo")
    assert tokens.keys() == {"access_token", "scope", "token_type"}
    await clock.advance(366 * 86_400)
    assert world.github.consents.check(tokens["access_token"]) is not None
    lasting = await github.connect(scope="repo offline_access")
    assert (lasting["scope"], lasting["expires_in"]) == ("repo", 28_800)
    assert "refresh_token" in lasting


async def test_the_eleventh_consent_of_a_kind_ends_the_oldest_at_github(github, world):
    tokens = [await github.connect(scope="repo") for _ in range(10)]
    other = await github.connect(scope="notifications")
    assert world.github.consents.check(tokens[0]["access_token"]) is not None
    tokens.append(await github.connect(scope="repo"))
    alive = [world.github.consents.check(each["access_token"]) is not None for each in tokens]
    assert alive == [False] + [True] * 10
    assert world.github.consents.check(other["access_token"]) is not None


async def test_a_github_refresh_token_dies_after_184_days_without_use(github, clock):
    tokens = await github.connect()
    await clock.advance(15_897_599)
    tokens = (await github.refresh(tokens["refresh_token"])).json()
    assert "access_token" in tokens
    await clock.advance(15_897_600)
    assert (await github.refresh(tokens["refresh_token"])).json()["error"] == "bad_refresh_token"


# --- Spotify's dialect ---


async def test_spotify_brings_no_new_refresh_token_and_old_access_tokens_live_on(spotify, world, clock):
    first = await spotify.connect(scope="user-library-read")
    assert (first["expires_in"], first["token_type"], first["scope"]) == (3600, "Bearer", "user-library-read")
    refreshed = await spotify.refresh(first["refresh_token"])
    assert "refresh_token" not in refreshed.json()
    assert world.spotify.consents.check(first["access_token"]) is not None
    await clock.advance(3600)
    assert world.spotify.consents.check(first["access_token"]) is None
    assert (await spotify.refresh(first["refresh_token"])).status_code == 200


async def test_a_spotify_consent_ends_six_months_after_it_was_given_however_often_it_was_refreshed(
    spotify, clock
):
    tokens = await spotify.connect()  # on 1 January at noon
    end = months_later(clock.now(), 6) - clock.now()
    await clock.advance(end.total_seconds() - 1)
    assert (await spotify.refresh(tokens["refresh_token"])).status_code == 200
    await clock.advance(1)
    answer = await spotify.refresh(tokens["refresh_token"])
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_grant", "error_description": "Refresh token revoked"}


async def test_after_revoking_spotify_access_tokens_live_on_until_they_expire(spotify, world, clock):
    tokens = await spotify.connect()
    assert world.spotify.consents.revoke(person=OTTILIE) == 1
    assert (await spotify.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert world.spotify.consents.check(tokens["access_token"]) is not None
    await clock.advance(3600)
    assert world.spotify.consents.check(tokens["access_token"]) is None


async def test_revoking_at_github_ends_everything_at_once(github, world):
    mine, theirs = await github.connect(OTTILIE), await github.connect(BRAM)
    assert world.github.consents.revoke(person=OTTILIE) == 1
    assert world.github.consents.check(mine["access_token"]) is None
    assert "error" in (await github.refresh(mine["refresh_token"])).json()
    assert world.github.consents.check(theirs["access_token"]) is not None
    assert world.github.consents.revoke_token(theirs["access_token"])
    assert not world.github.consents.revoke_token(theirs["access_token"])


# --- rotation, as one wants it ---


async def test_where_rotation_is_always_old_refresh_tokens_live_on(spotify, world):
    world.spotify.consents.dialect.rotation = "always"
    first = await spotify.connect()
    second = (await spotify.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert (await spotify.refresh(first["refresh_token"])).status_code == 200
    assert (await spotify.refresh(second["refresh_token"])).status_code == 200


async def test_within_the_grace_a_spent_token_gets_the_very_same_pair(github, world, clock):
    world.github.consents.dialect.grace_seconds = 60
    first = await github.connect()
    second = (await github.refresh(first["refresh_token"])).json()
    await clock.advance(59)
    assert (await github.refresh(first["refresh_token"])).json() == second
    await clock.advance(1)
    assert (await github.refresh(first["refresh_token"])).json()["error"] == "bad_refresh_token"


async def test_tokens_end_when_they_are_told_to(github, world):
    tokens = await github.connect()
    world.github.consents.expire_access(OTTILIE)
    assert world.github.consents.check(tokens["access_token"]) is None
    fresh = (await github.refresh(tokens["refresh_token"])).json()
    assert world.github.consents.check(fresh["access_token"]) is not None
    world.github.consents.expire_refresh()
    assert "error" in (await github.refresh(fresh["refresh_token"])).json()


async def test_a_token_survives_a_restart_of_the_emulator(github, world, clock, http):
    tokens = await github.connect(scope="repo")
    await clock.advance(5)
    reborn = World(clock, seed=7, people=12)
    access = reborn.github.consents.check(tokens["access_token"])
    assert access is not None
    assert (access.person.key, access.scopes) == (OTTILIE, {"repo"})
    app = reborn.github.consents.app("sandbox-github")
    answer = reborn.github.consents.redeem(tokens["refresh_token"], app, has_secret=True)
    assert isinstance(answer, dict)
    assert reborn.github.consents.check(tokens["access_token"]) is None
    assert reborn.github.consents.redeem(tokens["refresh_token"], app, has_secret=True) == "revoked"


async def test_a_token_of_another_seed_platform_or_kind_opens_nothing(github, spotify, world, clock):
    tokens = await github.connect()
    other = World(clock, seed=8, people=12)
    assert other.github.consents.check(tokens["access_token"]) is None
    assert world.spotify.consents.check(tokens["access_token"]) is None
    assert world.github.consents.check(tokens["refresh_token"]) is None
    assert "error" in (await github.refresh(tokens["access_token"])).json()


@pytest.mark.parametrize("text", ["", "gho_", "gho_!!!", "gho_AAAA", "gho_ü", "gho_" + "A" * 300])
def test_nonsense_is_no_token(text):
    assert Mint(1, "GitHub").read(text, "gho_") is None


# --- the count of redemptions ---


async def test_a_token_that_comes_again_after_its_answer_was_sent_is_counted(github, world):
    redemptions = world.github.consents.redemptions
    first = await github.connect()
    await github.refresh(first["refresh_token"])
    assert (redemptions.total, redemptions.accepted_twice, redemptions.after_answer) == (1, 0, 0)
    await github.refresh(first["refresh_token"])
    assert (redemptions.total, redemptions.accepted_twice, redemptions.after_answer) == (2, 0, 1)
    assert [one.accepted for one in redemptions] == [True, False]


async def test_a_token_that_is_accepted_twice_is_counted(github, world):
    world.github.consents.dialect.grace_seconds = 60
    first = await github.connect()
    await github.refresh(first["refresh_token"])
    await github.refresh(first["refresh_token"])
    assert world.github.consents.redemptions.accepted_twice == 1


async def test_a_token_that_never_rotates_may_come_as_often_as_it_likes(spotify, world):
    tokens = await spotify.connect()
    for _ in range(3):
        await spotify.refresh(tokens["refresh_token"])
    redemptions = world.spotify.consents.redemptions
    assert (redemptions.total, redemptions.accepted_twice, redemptions.after_answer) == (3, 0, 0)


@pytest.mark.parametrize(
    ("start", "end"),
    [("2026-01-31", "2026-07-31"), ("2026-08-31", "2027-02-28"), ("2027-08-29", "2028-02-29")],
)
def test_six_months_later_is_the_same_day_or_the_last_one(start, end):
    instant = datetime.fromisoformat(f"{start}T12:00:00+00:00")
    assert f"{months_later(instant, 6):%Y-%m-%d}" == end


class SingleUse(RuleBasedStateMachine):
    """Whatever happens, at most one refresh token of a consent lives, and only the newest access token opens."""

    @initialize(grace=st.sampled_from([0.0, 30.0]))
    def begin(self, grace: float) -> None:
        self.clock = FakeClock()
        stage = Stage(
            self.clock,
            seed=1,
            public_url="http://127.0.0.1",
            send=HttpSend("http://127.0.0.1"),
            ask=HttpSend("http://127.0.0.1").ask,
            people=3,
            keep_happenings=None,
        )
        dialect = github_dialect()
        dialect.grace_seconds = grace
        self.consents = Consents(stage, dialect, lambda: self.clock.now() + self.passed)
        self.passed = timedelta()
        self.app: RegisteredApp = self.consents.register("app", "http://127.0.0.1/back")
        person = stage.people.get(OTTILIE)
        assert person is not None
        code = self.consents.take_code(
            self.consents.grant_code(self.app, person, ["repo"], "http://127.0.0.1/back")
        )
        assert code is not None
        self.pairs = [self.consents.open(code)]
        self.rotated_at = timedelta()
        self.revoked = False

    @rule(back=st.integers(0, 3))
    def redeem(self, back: int) -> None:
        index = max(0, len(self.pairs) - 1 - back)
        text = str(self.pairs[index]["refresh_token"])
        outcome = self.consents.redeem(text, self.app, has_secret=True)
        grace = self.passed - self.rotated_at < timedelta(seconds=self.consents.dialect.grace_seconds)
        if self.revoked:
            assert outcome == "revoked"
        elif index == len(self.pairs) - 1:
            assert isinstance(outcome, dict)
            self.pairs.append(outcome)
            self.rotated_at = self.passed
        else:
            is_last_spent = index == len(self.pairs) - 2
            assert outcome == (self.pairs[-1] if is_last_spent and grace else "revoked")

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.passed += timedelta(seconds=seconds)

    @rule()
    def revoke(self) -> None:
        if len(self.pairs) > 5:
            self.consents.revoke(person=OTTILIE)
            self.revoked = True

    @invariant()
    def the_newest_opens(self) -> None:
        if not hasattr(self, "pairs"):
            return
        opened = [self.consents.check(str(pair["access_token"])) is not None for pair in self.pairs]
        assert opened == [False] * (len(self.pairs) - 1) + [not self.revoked]


SingleUse.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestSingleUse = SingleUse.TestCase


def test_the_dialects_differ_where_the_platforms_do():
    github, spotify = github_dialect(), spotify_dialect()
    assert (github.rotation, spotify.rotation) == ("single_use", "never")
    assert github.errors.keys() == spotify.errors.keys()
