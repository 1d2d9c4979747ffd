"""One Google serves several platforms: what is given, what a token covers, and what ends it all."""

from datetime import timedelta

import pytest

from tidings_sandbox.google import CLIENT_ID, EMAIL, PROFILE, SCOPE

OTTILIE, BRAM = "ottilie-otterbourne", "bram-quillfeather"
LETTERS, DIARY = f"{SCOPE}letters.readonly", f"{SCOPE}diary.readonly"
DEAD = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}


async def test_a_code_brings_tokens_and_a_refresh_brings_no_refresh_token(google):
    tokens = await google.connect(OTTILIE, "openid", "email", LETTERS)
    assert tokens.keys() == {"access_token", "expires_in", "refresh_token", "scope", "token_type"}
    assert (tokens["expires_in"], tokens["token_type"]) == (3600, "Bearer")
    assert tokens["scope"].split() == ["openid", EMAIL, LETTERS]
    refreshed = (await google.refresh(tokens)).json()
    assert refreshed.keys() == {"access_token", "expires_in", "scope", "token_type"}
    assert refreshed["scope"] == tokens["scope"]
    assert (await google.get("/gmail/x", refreshed)).json() == {"of": OTTILIE}
    assert (await google.get("/gmail/x", tokens)).status_code == 200, "the old one lives on"


@pytest.mark.parametrize(
    ("asked", "comes"),
    [
        ({"access_type": "offline"}, False),
        ({"access_type": "offline", "prompt": "consent"}, True),
        ({"access_type": "offline", "prompt": "select_account consent"}, True),
        ({"access_type": "online", "prompt": "consent"}, False),
    ],
)
async def test_after_the_first_consent_a_refresh_token_must_be_asked_for(google, asked, comes):
    assert "refresh_token" in await google.connect(OTTILIE, LETTERS)
    assert ("refresh_token" in await google.connect(OTTILIE, LETTERS, **asked)) is comes
    assert "refresh_token" in await google.connect(BRAM, LETTERS), "nobody else's consent counts"


async def test_without_offline_there_is_no_refresh_token(google):
    assert "refresh_token" not in await google.connect(OTTILIE, LETTERS, access_type="")


async def test_what_was_given_before_is_included_where_that_is_asked_for(google):
    await google.connect(OTTILIE, LETTERS)
    alone = await google.connect(OTTILIE, DIARY, at="calendar", prompt="consent")
    assert alone["scope"] == DIARY
    both = await google.connect(
        OTTILIE, DIARY, at="calendar", prompt="consent", include_granted_scopes="true"
    )
    assert both["scope"].split() == [DIARY, LETTERS]
    for path in ("/gmail/x", "/calendar/x"):
        assert (await google.get(path, both)).status_code == 200
    refused = await google.get("/gmail/x", alone)
    assert refused.status_code == 403
    assert refused.json()["error"]["errors"][0]["reason"] == "insufficientPermissions"


async def test_tokens_are_good_at_every_service_and_can_be_refreshed_at_each(google):
    tokens = await google.connect(OTTILIE, LETTERS, DIARY, at="calendar")
    refreshed = (await google.refresh(tokens, at="gmail")).json()
    assert (await google.get("/calendar/x", refreshed)).json() == {"of": OTTILIE}
    assert google.accounts.consents.redemptions.total == 1


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_to_revoke_one_token_ends_all_that_the_person_gave(google, kind):
    letters = await google.connect(OTTILIE, LETTERS)
    diary = await google.connect(OTTILIE, DIARY, at="calendar", prompt="consent")
    other = await google.connect(BRAM, LETTERS)
    answer = await google.http.post("/calendar/revoke", data={"token": diary[kind]})
    assert (answer.status_code, answer.json()) == (200, {})
    for tokens, path in ((letters, "/gmail/x"), (diary, "/calendar/x")):
        assert (await google.get(path, tokens)).status_code == 401
        refused = await google.refresh(tokens)
        assert (refused.status_code, refused.json()) == (400, DEAD)
    assert (await google.get("/gmail/x", other)).status_code == 200
    again = await google.http.post("/gmail/revoke", params={"token": letters[kind]})
    assert (again.status_code, again.json()["error"]) == (400, "invalid_token")
    assert "refresh_token" in await google.connect(OTTILIE, LETTERS), "the next consent is a first one again"


@pytest.mark.parametrize("token", ["", "ya29.x", "1//0sAnDbOxAAAA", "é"])
async def test_a_token_that_never_was_can_not_be_revoked(google, token):
    assert (await google.http.post("/gmail/revoke", data={"token": token})).status_code == 400


async def test_a_project_in_testing_loses_each_consent_seven_days_after_it_was_given(google, clock):
    google.accounts.testing = True
    tokens = await google.connect(OTTILIE, LETTERS)
    assert "refresh_token_expires_in" not in tokens
    await clock.advance(timedelta(days=7).total_seconds() - 1)
    assert (await google.refresh(tokens)).status_code == 200
    await clock.advance(1)
    assert (await google.refresh(tokens)).json() == DEAD
    newer = await google.connect(OTTILIE, DIARY, include_granted_scopes="true")
    assert newer["scope"] == DIARY, "what has ended is not included"
    google.accounts.testing = False
    assert (await google.refresh(tokens)).status_code == 200


async def test_a_consent_that_the_person_limited_says_when_it_ends(google):
    google.accounts.consents.dialect.refresh_seconds = 86_400
    assert (await google.connect(OTTILIE, LETTERS))["refresh_token_expires_in"] == 86_400


async def test_of_a_hundred_and_one_refresh_tokens_the_oldest_dies_without_a_word(google):
    tokens = [await google.connect(OTTILIE, LETTERS, prompt="consent") for _ in range(101)]
    assert (await google.refresh(tokens[0])).json() == DEAD
    assert (await google.refresh(tokens[1])).status_code == 200


async def test_the_secret_is_needed(google):
    back = await google.consent(OTTILIE, LETTERS)
    form = {"client_id": CLIENT_ID, "grant_type": "authorization_code", "code": back["code"]}
    answer = await google.http.post("/gmail/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")
    wrong = await google.ask(grant_type="authorization_code", code="x", redirect_uri=back.get("x", ""))
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")


async def test_each_service_lists_its_own_consents(google):
    await google.connect(OTTILIE, LETTERS)
    await google.connect(BRAM, DIARY, at="calendar")
    agreed = {name: [one.person for one in service.agreed()] for name, service in google.services.items()}
    assert agreed == {"gmail": [OTTILIE], "calendar": [BRAM]}


async def test_who_somebody_is(google):
    tokens = await google.connect(OTTILIE, "openid", EMAIL, PROFILE, LETTERS)
    assert (await google.get("/gmail/v1/userinfo", tokens)).json() == {
        "sub": "100000000000000000000",
        "name": "Ottilie Otterbourne",
        "given_name": "Ottilie",
        "family_name": "Otterbourne",
        "picture": "http://127.0.0.1:8080/sandbox/static/face-0.svg",
        "email": "ottilie.otterbourne@gmail.example",
        "email_verified": True,
    }
    sparse = await google.connect(OTTILIE, "openid")
    assert (await google.get("/gmail/v1/userinfo", sparse)).json() == {"sub": "100000000000000000000"}
    without = await google.connect(OTTILIE, LETTERS)
    refused = await google.get("/gmail/v1/userinfo", without)
    assert refused.status_code == 401
    assert refused.json()["error"]["errors"][0]["reason"] == "authError"


async def test_a_world_that_begins_anew_forgets_and_recognises_as_after_a_restart(google):
    tokens = await google.connect(OTTILIE, LETTERS)
    before = google.accounts
    google.stage.clear()
    assert google.accounts is not before
    assert google.accounts.consents.check(tokens["access_token"]) is not None
