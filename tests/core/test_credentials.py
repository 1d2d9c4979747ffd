"""What a request says of who asks, read from the raw scope."""

from hypothesis import given
from hypothesis import strategies as st

from tidings.credentials import read_credentials, stream_of
from tidings.errors import Denied


def _scope(query: str) -> dict[str, object]:
    return {"type": "http", "path": "/api/sse/stream", "headers": [], "query_string": query.encode()}


def test_a_streams_identity_does_not_mistake_one_query_for_another():
    queries = ("a=1&b=2", "a=1%26b=2", "a=1", "a=1&a=1", "a=&b=2", "", "a")
    identities = [stream_of(_scope(query)) for query in queries]
    assert len(set(identities[:-1])) == len(queries) - 1
    assert stream_of(_scope("b=2&a=1&ticket=x&after=0")) == identities[0]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"authorization", b"cookie", b"origin", b"sec-fetch-site", b"x-csrf-token", b"x"]
            ),
            st.binary(max_size=40) | st.sampled_from([b"Bearer x", b"a=b; c", b"tidings_session=1; =; ;"]),
        )
    ),
    st.binary(max_size=40),
)
def test_no_header_and_no_query_is_an_error(headers: list[tuple[bytes, bytes]], query: bytes):
    scope = {"type": "http", "path": "/", "headers": headers, "query_string": query}
    stream_of(scope)
    try:
        read_credentials(scope, b"tidings_session")
    except Denied as error:
        assert error.status == 401
