"""Endpoints are those that botocore's clients use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import botocore
import botocore.session
import pytest
from botocore.awsrequest import _urljoin
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.exceptions import EndpointProviderError
from botocore.utils import ensure_boolean, is_valid_endpoint_url
from hypothesis import example, given
from hypothesis import strategies as st

from lambdakit._aws.endpoints import Endpoint, endpoint, split_url
from lambdakit.exceptions import ConfigurationError

if TYPE_CHECKING:
    from typing import Any

SERVICES = ["secretsmanager", "ssm", "kms", "lambda", "appconfigdata", "dynamodb"]
VARIABLES = {
    "secretsmanager": "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "ssm": "AWS_ENDPOINT_URL_SSM",
    "kms": "AWS_ENDPOINT_URL_KMS",
    "lambda": "AWS_ENDPOINT_URL_LAMBDA",
    "appconfigdata": "AWS_ENDPOINT_URL_APPCONFIGDATA",
    "dynamodb": "AWS_ENDPOINT_URL_DYNAMODB",
}
PATHS = {"lambda": "/2015-03-31/functions/f/invocations", "appconfigdata": "/configuration?configuration_token=a"}
PARTITIONS = json.loads((Path(botocore.__file__).parent / "data" / "partitions.json").read_text())["partitions"]
WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)
URLS = st.sampled_from(
    ["", "http://localhost:4566", "https://vpce-1.kms.test/base", "http://[::1]:80", "HTTP://A.test"]
)


def boto_session() -> Any:
    """A session with credentials, so that clients can be made."""
    session = botocore.session.Session()
    session.set_credentials("AKID", "SECRET")
    return session


@pytest.fixture(scope="module")
def session() -> Any:
    """One session for many clients: they share its loader."""
    return boto_session()


def regions(session: Any, service: str) -> set[str]:
    """Every region that botocore knows for a service, by any of its files; the pseudo regions too."""
    listed = {region for partition in PARTITIONS for region in partition["regions"]}
    for partition in session.get_available_partitions():
        listed.update(session.get_available_regions(service, partition, allow_non_regional=True))
    return listed


@pytest.mark.parametrize("service", SERVICES)
def test_in_every_region_the_url_is_that_of_a_client(service: str, session: Any) -> None:
    """For all regions of all partitions, URL and signing region are a client's; only pseudo regions are left to it."""
    left = set()
    for region in regions(session, service):
        client = session.create_client(service, region)
        ours = endpoint(service, region, {})
        if ours is None:
            left.add(region)
            continue
        assert (client.meta.endpoint_url, client.meta.region_name) == (ours.url, ours.region)
        assert (f"https://{ours.host}", 443, "", ours.host) == (ours.url, ours.port, ours.path, ours.authority)
    left.discard("local")  # DynamoDB's, on the machine itself
    assert not {region for region in left if not region.endswith("-global") and "fips" not in region.lower()}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("partition", PARTITIONS, ids=lambda partition: partition["id"])
def test_requests_go_where_the_endpoint_says(service: str, partition: dict[str, Any], session: Any) -> None:
    """In a region of each partition, what a client sends goes to our URL: by the rule set, not only by its metadata."""
    [*_, region] = (region for region in partition["regions"] if not region.endswith("-global"))
    client = session.create_client(service, region)
    called = {
        "secretsmanager": lambda: client.get_secret_value(SecretId="a"),
        "ssm": lambda: client.get_parameter(Name="a"),
        "kms": lambda: client.decrypt(CiphertextBlob=b"a"),
        "lambda": lambda: client.invoke(FunctionName="f"),
        "appconfigdata": lambda: client.get_latest_configuration(ConfigurationToken="a"),
        "dynamodb": lambda: client.get_item(TableName="a", Key={"a": {"S": "a"}}),
    }
    sent: list[str] = []

    class SentError(Exception):
        pass

    def stop(request: Any, **_: object) -> None:
        sent.append(request.url)
        raise SentError

    client.meta.events.register("before-send", stop)
    with pytest.raises(SentError):
        called[service]()
    ours = endpoint(service, region, {})
    assert ours is not None
    assert [ours.url + ours.target(PATHS.get(service, "/"))] == sent


@given(
    known=st.sampled_from(sorted({p for x in PARTITIONS for p in x["regions"]})), word=WORDS, number=st.integers(0, 99)
)
def test_a_region_that_is_new_has_the_suffix_of_its_partition(session: Any, known: str, word: str, number: int) -> None:
    """A region of a known form that nobody has heard of yet resolves as botocore resolves it, by its partition."""
    region = f"{known.rsplit('-', 2)[0]}-{word}-{number}"
    ours = endpoint("kms", region, {})
    if ours is not None:
        client = session.create_client("kms", region)
        assert (client.meta.endpoint_url, region) == (ours.url, ours.region)


@pytest.mark.parametrize(
    "region",
    [
        *(
            None,
            "",
            "-",
            "us",
            "us-east",
            "local",
            "aws-global",
            "us-east-1-fips",
            "fips-us-east-1",
            "ProdFips",
            "US-EAST-1",
        ),
        *(
            "us-east-1.evil.test/",
            "us-east-1\n",
            "us-east-1 ",
            "us-ea_st-1",
            "us-east-",
            "-east-1",
            "us--1",
            "us-east-1a",
        ),
        *("us-é-1", "us-east-\u0661", "xx-east-1", "us-East-1", "@evil-east-1", "us-" + "e" * 60 + "-1"),
    ],
)
def test_what_is_not_a_plain_region_of_a_partition_is_left_to_the_sdk(region: str | None) -> None:
    """No region becomes part of a host name unless it is a known prefix, a lower-case word and a number."""
    assert endpoint("kms", region, {}) is None


def test_the_longest_region_is_a_label_of_63_characters() -> None:
    """One character less than what is refused above."""
    region = "us-" + "e" * 58 + "-1"
    assert endpoint("kms", region, {}) is not None
    assert endpoint("kms", region + "1", {}) is None


def test_other_services_are_left_to_the_sdk() -> None:
    """Only the six services have a place here, configured or not."""
    assert endpoint("s3", "eu-west-1", {"AWS_ENDPOINT_URL": "http://localhost:4566"}) is None


@given(
    st.sampled_from(SERVICES),
    st.dictionaries(st.sampled_from(["AWS_ENDPOINT_URL", *VARIABLES.values()]), URLS),
    st.sampled_from([None, "", "true", "TRUE", "True", "false", "1", " true", "yes"]),
)
def test_configured_urls_go_in_botocores_order(service: str, environ: dict[str, str], ignore: str | None) -> None:
    """On any environment, the URL is the one that botocore's configuration chain picks."""
    expected = f"https://{service}.eu-west-1.amazonaws.com"
    if not ensure_boolean(ignore):
        provider = ConfiguredEndpointProvider({}, {}, service, environ)
        expected = provider.provide() or expected
    ignoring = {} if ignore is None else {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": ignore}
    ours = endpoint(service, "eu-west-1", environ | ignoring)
    assert ours is not None
    assert (expected, "eu-west-1") == (ours.url, ours.region)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_ENDPOINT_URL": "http://localhost:4566"},
        {
            "AWS_ENDPOINT_URL": "http://a.test",
            **{name: f"http://{name[-3:].lower()}.test" for name in VARIABLES.values()},
        },
        {"AWS_ENDPOINT_URL": "http://a.test", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "TRUE"},
        {"AWS_ENDPOINT_URL": "http://a.test", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "1"},
        {"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_KMS": ""},
    ],
)
@pytest.mark.parametrize("region", ["eu-west-1", "local"])
def test_configured_urls_are_those_of_a_client(
    service: str, environ: dict[str, str], region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with a real client, which reads this process's environment; it signs for the region that was asked."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    client = boto_session().create_client(service, region)
    ours = endpoint(service, region, environ)
    if ours is None:
        local = "http://localhost:8000" if service == "dynamodb" else f"https://{service}.local.amazonaws.com"
        assert client.meta.endpoint_url == local
    else:
        assert (client.meta.endpoint_url, client.meta.region_name) == (ours.url, ours.region)


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "path", "authority"),
    [
        ("http://localhost:4566", "http", "localhost", 4566, "", "localhost:4566"),
        ("HTTPS://Example.TEST", "https", "example.test", 443, "", "example.test"),
        ("https://example.test:443/", "https", "example.test", 443, "/", "example.test"),
        ("http://example.test:443/a/b", "http", "example.test", 443, "/a/b", "example.test:443"),
        ("http://example.test.:80", "http", "example.test.", 80, "", "example.test."),
        ("http://[::1]:8080/x", "http", "::1", 8080, "/x", "[::1]:8080"),
        ("http://[::1]", "http", "::1", 80, "", "[::1]"),
        ("http://10.0.0.1:65535", "http", "10.0.0.1", 65535, "", "10.0.0.1:65535"),
        ("http://localhost:", "http", "localhost", 80, "", "localhost"),
    ],
)
def test_a_configured_url_is_taken_apart(
    url: str, scheme: str, host: str, port: int, path: str, authority: str
) -> None:
    """Scheme and host in lower case, the scheme's port where there is none, the path as written."""
    ours = endpoint("ssm", "eu-west-1", {"AWS_ENDPOINT_URL": url})
    assert ours is not None
    assert (scheme, host, port, path, authority, url) == (
        *(ours.scheme, ours.host, ours.port, ours.path),
        *(ours.authority, ours.url),
    )
    assert repr(ours) == f"Endpoint({url!r}, region='eu-west-1')"


LABEL = "a" * 63


@pytest.mark.parametrize(
    "url",
    [
        *(
            "localhost:4566",
            "example.test",
            "ftp://example.test",
            "http:/example.test",
            "//example.test",
            "http//a",
            " ",
        ),
        *("http://", "http://:80", "http:///path", "http://a..b", "http://-a.test", "http://a-", "http://my_host:4566"),
        *("http://a.test\n", "http://a .test", "http://a.test/a b", "http://é.test", "http://a.test\\b", "http://<a>"),
        *(
            "http://a:b",
            "http://a:0",
            "http://a:65536",
            "http://a:-1",
            "http://a:1:2",
            "http://a:1a",
            "http://a:" + "9" * 99,
        ),
        *(
            "http://[::1",
            "http://[]",
            "http://[::1]80",
            "http://[g::1]",
            "http://[127.0.0.1]",
            "http://::1",
            "http://a]",
        ),
        *(f"http://{LABEL}a", f"http://{LABEL}.{LABEL}.{LABEL}.{LABEL}.a", "http://a.test\x7f", "http://a.test/\x00"),
    ],
)
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SSM"])
def test_a_malformed_url_is_an_error_that_names_the_variable(url: str, variable: str) -> None:
    """Never a guess; never its content, which may hold a password; the cause is chained."""
    with pytest.raises(ConfigurationError, match=rf"^{variable} is not the URL of an endpoint: ") as caught:
        endpoint("ssm", "eu-west-1", {variable: url})
    assert isinstance(caught.value.__cause__, ValueError)
    assert not url.strip() or url not in str(caught.value)


@pytest.mark.parametrize("length", [63, 64])
@pytest.mark.parametrize("dot", ["", "."])
def test_host_names_have_botocores_limits(length: int, dot: str) -> None:
    """Labels of 63 characters and hosts of 255 are the longest."""
    for url in (f"http://{'a' * length}{dot}", f"http://{LABEL}.{LABEL}.{LABEL}.{'a' * (length - 2)}{dot}"):
        try:
            split_url(url)
            valid = True
        except ValueError:
            valid = False
        assert bool(is_valid_endpoint_url(url)) == valid


@given(rest=st.text("aZ0-.:_[]/", max_size=12))
@example(rest="a.b.")
@example(rest="a..")
def test_no_host_is_taken_that_botocore_refuses(session: Any, rest: str) -> None:
    """Whatever the text after the scheme: what we take, botocore takes, and it reads the same host."""
    try:
        _, host, _, _ = split_url(f"http://{rest}")
    except ValueError:
        return
    client = session.create_client("kms", "eu-west-1", endpoint_url=f"http://{rest}")
    assert client.meta.endpoint_url == f"http://{rest}"
    assert f"http://{rest}".lower().startswith((f"http://{host}", f"http://[{host}]"))


@pytest.mark.parametrize(
    "url",
    ["http://user:password@a.test", "http://a.test?a=b", "http://a.test/#a", "http://a.test/a%20b", "http://[::1%251]"],
)
def test_what_botocore_alone_defines_is_left_to_it(url: str) -> None:
    """A user, a query, a fragment, an escape: valid, too rare to be done twice."""
    assert endpoint("ssm", "eu-west-1", {"AWS_ENDPOINT_URL": url}) is None


@pytest.mark.parametrize(
    "url", ["https://dynamodb.eu-west-1.api.aws", "HTTPS://DynamoDB.eu-west-1.api.aws/", "https://dynamodb.test"]
)
def test_a_name_of_dynamodbs_own_is_left_to_botocore(url: str, session: Any) -> None:
    """It refuses the dual-stack one; of other services, such names are taken."""
    assert endpoint("dynamodb", "eu-west-1", {"AWS_ENDPOINT_URL": url}) is None
    assert endpoint("ssm", "eu-west-1", {"AWS_ENDPOINT_URL": url}) is not None
    assert endpoint("dynamodb", "eu-west-1", {"AWS_ENDPOINT_URL": "https://vpce-1.dynamodb.test"}) is not None
    if url == "https://dynamodb.eu-west-1.api.aws":
        client = session.create_client("dynamodb", "eu-west-1", endpoint_url=url)
        with pytest.raises(EndpointProviderError, match="not supported for dual-stack"):
            client.get_item(TableName="a", Key={"a": {"S": "a"}})


@pytest.mark.parametrize("region", ["12", "-a", "a-", "a.b", "a b", "a" * 64, "é", "us-east-1-fips", "aws-global"])
def test_a_configured_url_does_not_excuse_the_region(region: str) -> None:
    """It stands in the signature: what botocore refuses or translates is left to it."""
    assert endpoint("ssm", region, {"AWS_ENDPOINT_URL": "http://a.test"}) is None


@pytest.mark.parametrize(("url", "error"), [("http://u:p@a.test", "a user name"), ("http://a.test/#f", "a fragment")])
def test_split_url_refuses_what_could_be_read_in_two_ways(url: str, error: str) -> None:
    """Whoever checks a host and whoever connects to it read the same."""
    with pytest.raises(ValueError, match=error):
        split_url(url)


@pytest.mark.parametrize(
    ("url", "target"), [("http://a.test?x=1", "?x=1"), ("http://a.test/p?x=/1", "/p?x=/1"), ("http://a.test", "")]
)
def test_split_url_keeps_the_query_in_the_target(url: str, target: str) -> None:
    """As written; a slash in the query is part of it."""
    assert split_url(url) == ("http", "a.test", 80, target)


@pytest.mark.parametrize("base", ["", "/", "/base", "/base/", "/a//"])
@pytest.mark.parametrize("path", ["/", "/2015-03-31/functions/f/invocations"])
def test_the_target_is_what_botocore_sends(base: str, path: str) -> None:
    """An operation's path goes after that of the URL, as botocore joins them."""
    ours = Endpoint(scheme="http", host="a.test", port=80, path=base, region="r", url=f"http://a.test{base}")
    assert _urljoin(ours.url, path, None) == f"http://a.test{ours.target(path)}"


def test_the_table_of_suffixes_is_botocores() -> None:
    """`python tools/regions.py` would change nothing."""
    tool = Path(__file__).parents[2] / "tools" / "regions.py"
    assert subprocess.run([sys.executable, tool, "--check"], check=False, timeout=60).returncode == 0
