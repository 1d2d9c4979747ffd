"""What Google signs can be verified with what it publishes, also after it took another key."""

from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError
from joserfc.jwk import KeySet

AUDIENCE, PUSHER = "http://127.0.0.1:8080/api/webhooks/gmail", "push@sandbox.example"


async def published(google) -> KeySet:
    answer = await google.http.get("/calendar/oauth2/v3/certs")
    assert answer.headers["cache-control"].startswith("public, max-age=")
    keys = answer.json()
    assert all("d" not in key for key in keys["keys"]), "nothing private is published"
    return KeySet.import_key_set(keys)


def read(token: str, keys: KeySet) -> dict:
    return jwt.decode(token, keys, algorithms=["RS256"]).claims


async def test_a_push_carries_the_token_of_a_service_account(google, clock):
    keys = google.accounts.keys
    token = keys.service_token(PUSHER, AUDIENCE)
    claims = read(token, await published(google))
    seconds = int(clock.now().timestamp())
    number = claims.pop("sub")
    assert claims == {
        "aud": AUDIENCE,
        "azp": number,
        "email": PUSHER,
        "email_verified": True,
        "exp": seconds + 3600,
        "iat": seconds,
        "iss": "https://accounts.google.com",
    }
    assert keys.service_token(PUSHER, AUDIENCE) == token, "it is used for many messages"
    assert keys.service_token(PUSHER, f"{AUDIENCE}/other") != token
    await clock.advance(timedelta(minutes=30).total_seconds())
    assert keys.service_token(PUSHER, AUDIENCE) != token


@pytest.mark.parametrize("keep_old", [True, False])
async def test_a_new_key_signs_and_the_old_one_is_published_for_a_while_or_not(google, keep_old):
    keys = google.accounts.keys
    old = keys.service_token(PUSHER, AUDIENCE)
    keys.rotate(keep_old=keep_old)
    new = keys.service_token(PUSHER, AUDIENCE)
    shown = await published(google)
    assert read(new, shown)["email"] == PUSHER
    if keep_old:
        assert read(old, shown)["email"] == PUSHER
    else:
        with pytest.raises(InvalidKeyIdError):
            read(old, shown)
