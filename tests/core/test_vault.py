import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.keys import KeyRing
from tidings.vault import Vault, VaultError

OLD = KeyRing({"old": b"o" * 32})
NEW = KeyRing({"new": b"n" * 32})
BOTH = KeyRing({"new": b"n" * 32, "old": b"o" * 32})
PLACE = {"table": "platform_webhooks", "column": "secret", "row": "whk1"}

places = st.fixed_dictionaries({"table": st.text(), "column": st.text(), "row": st.text()})


@given(plaintext=st.binary(), place=places)
def test_what_is_sealed_opens_in_its_place(plaintext: bytes, place: dict[str, str]):
    vault = Vault(OLD)
    assert vault.open(vault.seal(plaintext, **place), **place) == plaintext


@given(plaintext=st.binary(min_size=1), here=places, there=places)
def test_what_is_sealed_does_not_open_elsewhere(
    plaintext: bytes, here: dict[str, str], there: dict[str, str]
):
    vault = Vault(OLD)
    sealed = vault.seal(plaintext, **here)
    if here != there:
        with pytest.raises(VaultError, match="moved there from another row"):
            vault.open(sealed, **there)


def test_places_that_read_alike_when_joined_are_different():
    vault = Vault(OLD)
    sealed = vault.seal(b"x", table="a", column="b", row="c.d")
    with pytest.raises(VaultError):
        vault.open(sealed, table="a", column="b.c", row="d")
    sealed = vault.seal(b"x", table='a", "b', column="c", row="d")
    with pytest.raises(VaultError):
        vault.open(sealed, table="a", column='b", "c', row="d")


@given(sealed=st.text() | st.from_regex(r"\Av1\.old\.[A-Za-z0-9_-]{0,60}\Z"))
def test_anything_else_is_refused_and_never_shown(sealed: str):
    with pytest.raises(VaultError) as caught:
        Vault(OLD).open(sealed, **PLACE)
    assert len(sealed) < 8 or sealed not in str(caught.value)


@given(position=st.integers(min_value=0, max_value=10_000), bit=st.integers(min_value=0, max_value=5))
def test_a_changed_letter_is_noticed(position: int, bit: int):
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    vault = Vault(OLD)
    sealed = vault.seal(b"thirty-two bytes, so no odd bits", **PLACE)
    start = len("v1.old.")
    position = start + position % (len(sealed) - start)
    changed = alphabet[alphabet.index(sealed[position]) ^ (1 << bit)]
    with pytest.raises(VaultError):
        vault.open(sealed[:position] + changed + sealed[position + 1 :], **PLACE)


def test_a_key_is_rotated_by_putting_a_new_one_first():
    sealed = Vault(OLD).seal(b"secret", **PLACE)
    rotating = Vault(BOTH)
    assert rotating.open(sealed, **PLACE) == b"secret"
    again = rotating.seal(b"secret", **PLACE)
    assert again.startswith("v1.new.")
    assert Vault(NEW).open(again, **PLACE) == b"secret"


def test_an_unknown_key_is_named():
    sealed = Vault(OLD).seal(b"secret", **PLACE)
    with pytest.raises(VaultError, match=r"sealed with the key old, which is not in .*\(it has new\)"):
        Vault(NEW).open(sealed, **PLACE)


def test_a_sealed_secret_under_another_keys_name_does_not_open():
    sealed = Vault(OLD).seal(b"secret", **PLACE)
    with pytest.raises(VaultError, match="was changed"):
        Vault(BOTH).open(sealed.replace("v1.old", "v1.new"), **PLACE)


def test_the_same_secret_is_sealed_differently_each_time():
    vault = Vault(OLD)
    assert len({vault.seal(b"secret", **PLACE) for _ in range(100)}) == 100


def test_no_key_is_shown():
    assert "ooo" not in repr(Vault(OLD)) + repr(OLD) + str(OLD)
