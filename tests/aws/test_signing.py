"""Signatures are botocore's, over generated requests and over those that real clients send."""

from __future__ import annotations

import datetime as dt
import os
import sys
import urllib.parse
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials
from botocore.utils import percent_encode_sequence
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lambdakit._aws.signing import Credentials, Signer, query_string, quote

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = 20_000 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 500
UTC = dt.UTC
AT = dt.datetime(2026, 11, 21, 10, 20, 30, tzinfo=UTC)

UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12)
SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)  # some longer than a block of HMAC
SEGMENTS = st.sampled_from(["", ".", "..", "...", "a b", "%", "%2F", "%41", "é", "~x", "a:b", "*", "f(1)+=@;,!'$&"])
PATHS = st.lists(SEGMENTS | UNICODE, max_size=5).map(
    lambda segments: urllib.parse.quote("/" + "/".join(segments), safe="/%~:@!$&'()*+,;=")
)
NAMES = st.sampled_from(
    [
        *(
            "Content-Type",
            "CONTENT-TYPE",
            "X-Amz-Target",
            "x-amz-invocation-type",
            "Accept",
            "X-a",
            "x-A",
            "Host",
            "HOST",
        ),
        *("User-Agent", "user-agent", "Expect", "Connection", "TE", "Upgrade", "X-Amzn-Trace-Id", "Transfer-Encoding"),
        *("baggage", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "traceparent", "tracestate", "Trailer"),
    ]
)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12) | st.sampled_from(
    ["", "  two  words  ", "tab\there", "a,b", ' "quoted  text" ', "application/x-amz-json-1.1"]
)
QUERIES = st.lists(st.tuples(UNICODE | st.sampled_from(["a", "a-", "a=", "Qualifier"]), UNICODE), max_size=5)
TOKENS = st.none() | WORDS


class At(SigV4Auth):
    """botocore's signer with the time as an argument: the steps of its `add_auth`."""

    def sign(self, request: AWSRequest, at: dt.datetime) -> None:
        """Sign in place."""
        request.context["timestamp"] = at.strftime(SIGV4_TIMESTAMP)
        self._modify_request_before_signing(request)
        to_sign = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(to_sign, request))


def sign(**changes: Any) -> dict[str, str]:
    """One request, signed by a new signer, with `changes`."""
    arguments: dict[str, Any] = {
        "method": "POST",
        "host": "kms.eu-west-1.amazonaws.com",
        "path": "/",
        "query": (),
        "headers": {"X-Amz-Target": "TrentService.Decrypt"},
        "body": b"{}",
        "region": "eu-west-1",
        "service": "kms",
        "now_s": AT.timestamp(),
    } | changes
    return arguments.pop("signer", Signer()).sign(
        arguments.pop("credentials", Credentials("AKID", "SECRET", token="TOKEN")), **arguments
    )


def epoch_s(stamp: str) -> float:
    """The seconds since the epoch of an X-Amz-Date."""
    return dt.datetime.strptime(f"{stamp}+0000", f"{SIGV4_TIMESTAMP}%z").timestamp()


class Raw:
    """The body of a response, as botocore reads it."""

    def stream(self) -> list[bytes]:
        """An empty object."""
        return [b"{}"]


def ending(path: str) -> Callable[..., Any]:
    """An explicit example of the law below, for a path."""
    return example(
        method="POST", path=path, query=[], headers={}, body=b"", at=AT, scope=("r", "s"), key=("A", "S", None)
    )


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "post"]),
    path=PATHS,
    query=QUERIES,
    headers=st.dictionaries(NAMES | WORDS.map("X-{}".format), VALUES, max_size=6),
    body=st.binary(max_size=40),
    at=st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2199, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    scope=st.tuples(UNICODE, UNICODE),
    key=st.tuples(UNICODE, SECRETS, TOKENS),
)
@ending("")
@ending("/a/..")
@ending("/a/../")
@ending("/../a/")
@ending("//a//b/.")
@example(
    method="GET", path="/", query=[("a", "="), ("a=", ""), ("a-", "1"), ("a", "")], headers={"X-B": " 1  2 "},
    body=b"", at=AT, scope=("r", "s"), key=("A", "S" * 60, ""),
)  # fmt: skip
@example(
    method="GET", path="/", query=[("a", "="), ("a=", ""), ("a-", "1"), ("a", "")], headers={"X-B": " 1  2 "},
    body=b"", at=AT, scope=("r", "s"), key=("A", "S" * 61, ""),
)  # fmt: skip
def test_the_signature_is_botocores(
    method: str,
    path: str,
    query: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes,
    at: dt.datetime,
    scope: tuple[str, str],
    key: tuple[str, str, str | None],
) -> None:
    """Whatever the request, date, scope and credentials: Authorization, X-Amz-Date and the token equal botocore's."""
    region, service = scope
    boto = AWSRequest(method, f"https://host.test:8443{path}", dict(headers), body, params=query)
    At(BotoCredentials(*key), service, region).sign(boto, at)

    ours = Signer().sign(
        Credentials(key[0], key[1], token=key[2]),
        method=method,
        host="host.test:8443",
        path=path,
        query=query,
        headers=headers,
        body=body,
        region=region,
        service=service,
        now_s=at.timestamp(),
    )

    assert [(name, value) for name, value in boto.headers.items() if name.lower() != "host"] == [
        (name, value) for name, value in ours.items() if name.lower() != "host"
    ]


@given(QUERIES)
def test_a_query_is_signed_as_it_is_written(query: list[tuple[str, str]]) -> None:
    """What `query_string` writes is what botocore writes, and signing the URL that holds it gives our signature."""
    written = query_string(query)
    boto = AWSRequest("GET", f"https://host.test/?{written}", {})
    At(BotoCredentials("AKID", "SECRET", "TOKEN"), "lambda", "eu-west-1").sign(boto, AT)
    ours = sign(method="GET", host="host.test", query=query, headers={}, body=b"", service="lambda")
    assert percent_encode_sequence(query) == written
    assert boto.headers["Authorization"] == ours["Authorization"]


def test_it_is_what_add_auth_itself_does_now() -> None:
    """At the present time, botocore's signer as its clients call it gives the same header."""
    boto = AWSRequest("POST", "https://kms.eu-west-1.amazonaws.com/", {"X-Amz-Target": "TrentService.Decrypt"}, b"{}")
    SigV4Auth(BotoCredentials("AKID", "SECRET", "TOKEN"), "kms", "eu-west-1").add_auth(boto)
    assert boto.headers["Authorization"] == sign(now_s=epoch_s(boto.headers["X-Amz-Date"]) + 0.75)["Authorization"]


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("secretsmanager", lambda client: client.get_secret_value(SecretId="prod/db", VersionStage="AWSCURRENT")),
        ("ssm", lambda client: client.get_parameters(Names=["/shop/flags", "/é"], WithDecryption=True)),
        ("secretsmanager", lambda client: client.batch_get_secret_value(SecretIdList=["a", "b"], NextToken="t")),
        ("ssm", lambda client: client.get_parameters_by_path(Path="/é", Recursive=True, MaxResults=10, NextToken="t")),
        (
            "appconfigdata",
            lambda client: client.start_configuration_session(
                ApplicationIdentifier="a", EnvironmentIdentifier="b", ConfigurationProfileIdentifier="é"
            ),
        ),
        ("appconfigdata", lambda client: client.get_latest_configuration(ConfigurationToken="a+b/c== &é")),
        ("dynamodb", lambda client: client.get_item(TableName="t", Key={"id": {"B": b"\0"}}, ConsistentRead=True)),
        ("kms", lambda client: client.decrypt(CiphertextBlob=b"\0\1", EncryptionContext={"a": "b"})),
        ("lambda", lambda client: client.invoke(FunctionName="f", Payload=b"{}", Qualifier="a b")),
        (
            "lambda",
            lambda client: client.invoke(
                FunctionName="arn:aws:lambda:eu-west-1:123456789012:function:f:1",
                InvocationType="Event",
                ClientContext="e30=",
            ),
        ),
    ],
)
def test_requests_of_real_clients_sign_to_the_same(service: str, call: Callable[[Any], object]) -> None:
    """What a client puts on the wire for each of the six services, signed again by us, has the same Authorization."""
    session = botocore.session.Session()
    session.set_credentials("AKID", "SECRET", "TOKEN")
    client = session.create_client(service, "eu-west-1", endpoint_url="http://127.0.0.1:4566", config=Config())
    sent: list[Any] = []

    def answer(request: Any, **_: object) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, {}, Raw())

    client.meta.events.register("before-send", answer)
    call(client)

    [request] = sent
    headers = {name: value if isinstance(value, str) else value.decode() for name, value in request.headers.items()}
    signed = headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    parts = urllib.parse.urlsplit(request.url)
    ours = sign(
        method=request.method,
        host=parts.netloc,
        path=parts.path,
        query=urllib.parse.parse_qsl(parts.query, keep_blank_values=True),
        headers={name: value for name, value in headers.items() if name.lower() in signed},  # the rest came later
        body=request.body or b"",
        service={"appconfigdata": "appconfig"}.get(service, service),
        now_s=epoch_s(headers["X-Amz-Date"]),
    )
    assert headers["Authorization"] == ours["Authorization"]


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.binary(), st.sampled_from(["", "/", "/~", "/:@,"]))
def test_quote_is_the_standard_librarys(text: str | bytes, safe: str) -> None:
    """Any text and any bytes are percent-encoded as `urllib.parse.quote` does it."""
    assert urllib.parse.quote(text, safe=safe) == quote(text, safe=safe.encode())


@given(st.text())
def test_quote_is_total(text: str) -> None:
    """Lone surrogates, which UTF-8 does not have, are encoded too instead of raising."""
    assert urllib.parse.quote(text, safe="", errors="surrogatepass") == quote(text)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "DATE", "x-amz-date", "X-AMZ-SECURITY-TOKEN"])
def test_headers_that_a_signature_brings_are_replaced(name: str) -> None:
    """A request that is signed a second time, with what the first time added, is signed as if it were the first."""
    assert sign() == sign(headers={name: "old", "X-Amz-Target": "TrentService.Decrypt"})


def test_a_given_digest_of_the_body_is_signed() -> None:
    """As botocore does it: X-Amz-Content-SHA256 stands for the body."""
    headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    boto = AWSRequest("POST", "https://kms.eu-west-1.amazonaws.com/", headers, b"{}")
    At(BotoCredentials("AKID", "SECRET", "TOKEN"), "kms", "eu-west-1").sign(boto, AT)
    assert boto.headers["Authorization"] == sign(headers=headers)["Authorization"]


def test_signing_leaves_its_arguments_alone() -> None:
    """The caller's headers are the same afterwards, so a retry can sign them again."""
    headers = {"X-Amz-Target": "TrentService.Decrypt"}
    sign(headers=headers)
    assert headers == {"X-Amz-Target": "TrentService.Decrypt"}


@pytest.mark.parametrize(
    "change",
    [
        {"region": "us-east-1"},
        {"service": "ssm"},
        {"now_s": AT.timestamp() + 86_400},
        {"credentials": Credentials("AKID", "OTHER", token="TOKEN")},
        {"credentials": Credentials("OTHER", "SECRET", token="TOKEN")},
    ],
)
def test_a_kept_key_serves_only_what_it_was_derived_for(change: dict[str, Any]) -> None:
    """One signer gives for each day, region, service and secret what a new one gives, whatever it signed before."""
    signer = Signer()
    assert sign() == sign(signer=signer)
    assert sign(**change) == sign(signer=signer, **change)
    assert sign() == sign(signer=signer)


def test_kept_keys_are_reused_and_bounded() -> None:
    """A second request derives nothing; after 16 keys the signer starts anew and still signs right."""
    signer = Signer()
    for _ in range(2):
        sign(signer=signer)
    assert repr(signer) == "Signer(keys=1)"
    for number in range(15):
        sign(signer=signer, region=f"region-{number}")
    assert repr(signer) == "Signer(keys=16)"
    assert sign(region="one-more") == sign(signer=signer, region="one-more")
    assert repr(signer) == "Signer(keys=1)"


def test_a_python_without_openssl_signs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hashlib's own algorithms; a key longer than a block is hashed first, as RFC 2104 wants it."""
    credentials = Credentials("AKID", "SECRET" * 20)
    expected = sign(), sign(credentials=credentials)
    monkeypatch.setitem(sys.modules, "_hashlib", None)
    assert (sign(), sign(credentials=credentials)) == expected


def test_forget_drops_the_derived_keys() -> None:
    """Nothing that was derived from a secret is left, and the signer goes on to work."""
    signer = Signer()
    sign(signer=signer)
    signer.forget()
    assert repr(signer) == "Signer(keys=0)"
    assert sign() == sign(signer=signer)


@pytest.mark.parametrize("token", [None, "TOKEN"])
def test_the_repr_of_credentials_shows_nothing_to_sign_with(token: str | None) -> None:
    """Whether there is a token, and the expiry: no key."""
    credentials = Credentials("AKID", "SECRET", token=token, expires_at=9.5)
    assert repr(credentials) == f"Credentials(has_token={token is not None}, expires_at=9.5)"
