"""The suite on a deployed stack: the template, who may do what, a run, what it refuses, the queries."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest
from benchmarks.aws import Stack, TargetError
from benchmarks.aws.effects import NAMESPACE, Function, metric_lines
from benchmarks.aws.stack import MARK, OUTPUTS, SECRET
from benchmarks.effects import EFFECTS
from benchmarks.effects.cold_start import KEPT
from benchmarks.framework import app, memory
from benchmarks.framework.deployed import report
from benchmarks.framework.orders import MEMORY_MB
from benchmarks.framework.run import FULL, QUICK, Run, Size
from cfnlint.api import lint
from cfnlint.decode import decode_str

from lambdakit._bench.prices import AS_OF, USD_PER_GB_SECOND, usd_per_million
from lambdakit.lab import Lab

ROOT = Path(__file__).resolve().parents[2]
AWS = ROOT / "benchmarks" / "aws"
ORDERS = ROOT / "examples" / "orders"
PAGE = (AWS / "README.md").read_text(encoding="utf-8")
TEMPLATE = (AWS / "template.yaml").read_text(encoding="utf-8")
REGION, ACCOUNT = "eu-west-1", "123456789012"
STACK = "shop-bench"
KEY = "a-key-that-only-this-stack-has"
TINY = Size(processes=1, samples=1, sample_s=0.001, environments=1, warm=1)
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}


def _template() -> dict[str, Any]:
    template, errors = decode_str(TEMPLATE)
    assert (errors, template is None) == ([], False)
    return json.loads(json.dumps(template))


def _resolved(node: Any, values: dict[str, str]) -> Any:
    """A part of the template with what CloudFormation knows, and what `values` say of the resources."""
    match node:
        case {"Ref": name}:
            return values[name]
        case {"Fn::GetAtt": [name, attribute]}:
            return values[f"{name}.{attribute}"]
        case {"Fn::Sub": text}:
            return re.sub(r"\$\{([\w:]+)\}", lambda found: values[found[1]], text)
        case dict():
            return {name: _resolved(value, values) for name, value in node.items()}
        case list():
            return [_resolved(item, values) for item in node]
    return node


def _values(secret: str) -> dict[str, str]:
    """What the resources that policies speak of are called."""
    arn = f"{REGION}:{ACCOUNT}"
    return {
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::AccountId": ACCOUNT,
        "AWS::StackName": STACK,
        "AWS::StackId": f"arn:aws:cloudformation:{arn}:stack/{STACK}/1",
        "PartnerSecret": secret,
        "FlagsParameter": f"/{STACK}/flags",
        "OrdersTable.Arn": f"arn:aws:dynamodb:{arn}:table/the-table",
        "NaiveLogs.Arn": f"arn:aws:logs:{arn}:log-group:/aws/lambda/{STACK}-naive:*",
        "FastLogs.Arn": f"arn:aws:logs:{arn}:log-group:/aws/lambda/{STACK}-fast:*",
        "NaiveFunction.Arn": f"arn:aws:lambda:{arn}:function:{STACK}-naive",
        "FastFunction.Arn": f"arn:aws:lambda:{arn}:function:{STACK}-fast",
        "OrdersPolicy": "OrdersPolicy",
    }


def _plain(secret: str) -> dict[str, Any]:
    """The template as far as moto can make it: no types of SAM, roles without policies, a secret made before."""
    template = _template()
    resources = template["Resources"]
    shared = template["Globals"]["Function"]
    made = {name: resources[name] for name in ("FlagsParameter", "OrdersTable", "NaiveLogs", "FastLogs")}
    for name in ("NaiveRole", "FastRole"):
        trust = resources[name]["Properties"]["AssumeRolePolicyDocument"]
        made[name] = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}}
    for name in OUTPUTS.values():
        own = resources[name]["Properties"]
        made[name] = {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                **{key: own[key] for key in ("FunctionName", "Handler", "Role")},
                **{key: shared[key] for key in ("Architectures", "MemorySize", "Runtime", "Timeout", "Environment")},
                "Code": {"ZipFile": "the lab has it"},
            },
        }
    outputs = {name: template["Outputs"][name] for name in (*OUTPUTS.values(), SECRET)}
    plain = {"Parameters": template["Parameters"], "Resources": made, "Outputs": outputs}
    text = json.dumps(plain).replace(json.dumps({"Ref": "PartnerSecret"}), json.dumps(secret))
    return json.loads(text)


@dataclass(kw_only=True)
class Cloud:
    """One endpoint for all services: moto's, but the functions that it configures run in the lab.

    Attributes:
        asked: the actions that it was asked for so far, as IAM names them, with the resource where it is told.
        renewing: whether an update of a function makes new environments.
        statuses: how the next looks at an update find it; after the last one it is in force.
        refused: actions, with how the services say no to them: status, headers, body.
    """

    moto: str
    lab: Lab
    secret: str = ""
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    renewing: bool = True
    statuses: list[str] = field(default_factory=list)
    refused: dict[str, tuple[int, list[tuple[str, str]], bytes]] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """The SDK's, for the tests' own questions, which are not counted."""
        if service not in self.clients:
            self.clients[service] = boto3.Session("any", "any", region_name=REGION).client(
                service, endpoint_url=self.moto
            )
        return self.clients[service]

    def configuration(self, function: str) -> dict[str, Any]:
        """What can be changed of it."""
        found = self.client("lambda").get_function_configuration(FunctionName=function)
        return {"MemorySize": found["MemorySize"], "Variables": found["Environment"]["Variables"]}

    def deploy(self, function: str) -> None:
        """Have it in the lab as moto knows it."""
        known = self.configuration(function)
        account = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_EC2_METADATA_DISABLED": "true"}
        region = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
        self.lab.deploy(
            function,
            f"{function.rpartition('-')[2]}.handler",
            task_root=ORDERS,
            environment=account | region | {"AWS_ENDPOINT_URL": self.url} | known["Variables"],
            memory_mb=known["MemorySize"],
            timeout_s=30.0,
        )


class _Front(BaseHTTPRequestHandler):
    """Hands each request to whom it is for."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    cloud: Cloud

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        action, resource = _action(self.command, self.path, self.headers, body)
        self.cloud.asked.append((action, resource))
        update = action == "lambda:UpdateFunctionConfiguration"
        before = self.cloud.configuration(resource) if update else None
        status, headers, answer = self.cloud.refused.get(action) or self._handed_on(action, body)
        if update and self.cloud.renewing and before != self.cloud.configuration(resource):
            self.cloud.pending.append(resource)  # which an update that changes nothing does not do
        if action == "lambda:GetFunctionConfiguration" and self.cloud.statuses:
            answer = json.dumps(json.loads(answer) | {"LastUpdateStatus": self.cloud.statuses.pop(0)}).encode()
        elif not self.cloud.statuses:
            while self.cloud.pending:
                self.cloud.deploy(self.cloud.pending.pop())
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _handed_on(self, action: str, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        host = self.cloud.lab.url if action == "lambda:InvokeFunction" else self.cloud.moto
        connection = http.client.HTTPConnection(host.removeprefix("http://"), timeout=30.0)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            reply = connection.getresponse()
            return reply.status, reply.getheaders(), reply.read()
        finally:
            connection.close()

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - as the base class finds them

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def _action(method: str, path: str, headers: Any, body: bytes) -> tuple[str, str]:
    """What IAM calls it."""
    if found := re.fullmatch(r"/2015-03-31/functions/([^/]+)/(invocations|configuration)", path):
        names = {"POST": "InvokeFunction", "GET": "GetFunctionConfiguration", "PUT": "UpdateFunctionConfiguration"}
        return f"lambda:{names[method]}", found[1]
    if target := headers.get("X-Amz-Target"):
        service, _, operation = target.partition(".")
        services = {"AmazonSSM": "ssm", "DynamoDB_20120810": "dynamodb"}
        given = json.loads(body)
        resource = given.get("SecretId") or given.get("Name") or given.get("TableName")
        return f"{services.get(service, service)}:{operation}", resource
    (operation,) = parse_qs(body.decode())["Action"]
    return f"cloudformation:{operation}", ""


@pytest.fixture(scope="module")
def cloud(moto_url: str) -> Iterator[Cloud]:
    """A stack, deployed: both versions of the example, what they need, an endpoint."""
    with Lab(region=REGION, account=ACCOUNT) as lab:
        cloud = Cloud(moto=moto_url, lab=lab)
        text = json.dumps({"partner": "acme", "signing_key": KEY})
        cloud.secret = cloud.client("secretsmanager").create_secret(Name=STACK, SecretString=text)["ARN"]
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Front", (_Front,), {"cloud": cloud}))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        cloud.url = f"http://127.0.0.1:{server.server_port}"
        try:
            cloud.client("cloudformation").create_stack(
                StackName=STACK, TemplateBody=json.dumps(_plain(cloud.secret)), Capabilities=["CAPABILITY_IAM"]
            )
            yield cloud
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            connection = http.client.HTTPConnection(moto_url.removeprefix("http://"), timeout=10.0)
            connection.request("POST", "/moto-api/reset")
            connection.getresponse().read()
            connection.close()


@pytest.fixture
def deployed(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """The stack as it was deployed; the SDKs of this process find it, each service by its own variable."""
    for service in ("CLOUDFORMATION", "LAMBDA", "SECRETS_MANAGER"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", cloud.url)
    names = [f"{STACK}-{version}" for version in OUTPUTS]
    before = {name: cloud.configuration(name) for name in names}
    for name in names:
        cloud.deploy(name)
    cloud.asked.clear()
    yield cloud
    cloud.renewing = True
    cloud.refused.clear()
    cloud.statuses.clear()
    cloud.pending.clear()
    for name, was in before.items():
        cloud.client("lambda").update_function_configuration(
            FunctionName=name, MemorySize=was["MemorySize"], Environment={"Variables": was["Variables"]}
        )


def _run(tmp_path: Path, *arguments: str, size: Size = TINY) -> tuple[int, dict[str, Any]]:
    """The exit code and the document of a run on the stack."""
    target = tmp_path / "run.json"
    code = app.main([*arguments, "--target", "aws", "--stack", STACK, "--no-html", "--json", str(target)], size=size)
    return code, json.loads(target.read_text())


@pytest.mark.parametrize("arguments", [["--target", "aws"], ["--stack", STACK], ["--target", "local", "--stack", "x"]])
def test_a_target_and_its_stack_go_together(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Code 2, and where to read on."""
    with pytest.raises(SystemExit) as ended:
        app.main(arguments)
    assert ended.value.code == 2
    assert "--target aws and --stack NAME go together" in capsys.readouterr().err


def test_a_run_on_no_stack_ends_at_once(deployed: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With code 2, and nothing written."""
    target = tmp_path / "run.json"
    assert app.main(["--target", "aws", "--stack", "nowhere", "--json", str(target)]) == 2
    assert "There is no stack 'nowhere' in eu-west-1" in capsys.readouterr().err
    assert not target.exists()


def test_the_template_is_valid() -> None:
    """By the schemas of CloudFormation that cfn-lint carries, its rules, and those of SAM's own types."""
    assert [str(found) for found in lint(TEMPLATE)] == []


def test_a_run_measures_both_versions(deployed: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the rows of the lab's, but for the calls, which nobody counts; what it cost; and no word of the secret."""
    before = {name: deployed.configuration(f"{STACK}-{name}") for name in OUTPUTS}
    code, document = _run(tmp_path, "cold_start", "keep_alive", "--memory", "512")
    assert (code, document["target"]) == (0, "aws")
    example, other = sorted(document["effects"], key=lambda one: one["name"])
    assert (example["name"], example["error"]) == ("cold_start", None)
    assert all(check["passed"] for check in example["checks"])
    assert [row["what"] for row in example["rows"]] == [
        "INIT",
        "first invocation",
        "cold start: INIT and first invocation",
        "warm p50",
        "warm p95",
        "warm p99",
        "memory used",
        "cold start at 512 MB",
        "warm at 512 MB",
    ]
    assert all(row["without"] > 0 and row["with"] > 0 for row in example["rows"])
    assert len(example["series"]["fast, warm"]["processes"][0]) == TINY.warm
    assert [point["memory_mb"] for point in example["figures"]["memory"]] == [512, 512]
    assert example["evidence"]["target"]["fast"] == {
        "memory_mb": 1769,
        "runtime": "python3.13",
        "architecture": "x86_64",
    }
    # Each version: an environment of 1 + 1 invocations, as deployed and at 512 MB.
    assert example["evidence"]["price"]["invocations"] == 8
    assert 8 * 0.2e-6 < example["evidence"]["price"]["usd"] < 1e-3
    assert other["not_measured"] == "needs the local lab"
    assert other["rows"] == []
    assert "not measured: needs the local lab" in capsys.readouterr().out
    assert KEY not in json.dumps(document)
    assert {name: deployed.configuration(f"{STACK}-{name}") for name in OUTPUTS} == before
    # What the run did is what the policy for it allows, no more and no less.
    statements = _statements(_template()["Resources"]["RunPolicy"]["Properties"], deployed.secret)
    ours = {action for action, _ in deployed.asked if action.partition(":")[0] in {"cloudformation", "lambda"}}
    assert ours | {"secretsmanager:GetSecretValue"} == {action for action, _ in statements}
    assert not any("*" in resource for _, resource in statements)


@pytest.mark.soak
def test_a_broken_run_is_noticed(deployed: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The metric lines of the deployed function say that its values were not kept."""
    code, document = _run(tmp_path, "cold_start", "--broken")
    assert code == 1
    failed = {check["what"] for effect in document["effects"] for check in effect["checks"] if not check["passed"]}
    assert failed == {KEPT} == {*EFFECTS["cold_start"].breaks}
    assert KEPT in capsys.readouterr().err


def _statements(policy: dict[str, Any], secret: str) -> set[tuple[str, str]]:
    """Each action that is allowed, with each resource that it is allowed for."""
    found = set()
    for statement in _resolved(policy, _values(secret))["PolicyDocument"]["Statement"]:
        assert statement["Effect"] == "Allow"
        actions, resources = (
            given if isinstance(given := statement[key], list) else [given] for key in ("Action", "Resource")
        )
        found |= {(action, resource) for action in actions for resource in resources}
    return found


@pytest.mark.parametrize("version", ["naive", "fast"])
def test_a_role_allows_what_its_function_does(version: str, deployed: Cloud) -> None:
    """No more: every action is one that the example was seen to ask for, on what it asked it of, or its own log."""
    resources = _template()["Resources"]
    role = resources[f"{version.capitalize()}Role"]["Properties"]
    attached = [resources[policy["Ref"]]["Properties"] for policy in role["ManagedPolicyArns"]]
    (logs,) = role["Policies"]
    allowed = set().union(*(_statements(policy, deployed.secret) for policy in attached))
    logged = _statements(logs, deployed.secret)
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/{STACK}-{version}:*"  # its streams
    assert logged == {(action, group) for action in LOGS}
    with Stack(STACK) as stack:
        deployed.asked.clear()
        reply = stack.invoke(stack.functions[version])
        assert (reply.error, reply.answer["statusCode"]) == (None, 201)
    did = {(action, asked_of) for action, asked_of in deployed.asked if not action.startswith("lambda:")}
    table = deployed.configuration(f"{STACK}-{version}")["Variables"]["ORDERS_TABLE"]
    arns = {
        deployed.secret: deployed.secret,
        f"/{STACK}/flags": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{STACK}/flags",
        table: _values("")["OrdersTable.Arn"],
    }
    assert {(action, arns[asked_of]) for action, asked_of in did} == allowed
    assert not any("*" in resource for _, resource in allowed)


def test_a_renewed_function_has_what_was_asked_for(deployed: Cloud) -> None:
    """A new environment each time, with a memory size and variables beside its own, until the end of the block."""
    name = f"{STACK}-fast"
    before = deployed.configuration(name)
    with Stack(STACK) as stack:
        stack.invoke(name)
        assert stack.invoke(name).init_ms is None
        for _ in range(2):
            stack.renew(name, memory_mb=640, variables={"LAMBDAKIT_METRICS_NAMESPACE": NAMESPACE})
            reply = stack.invoke(name)
            assert reply.init_ms is not None
            assert reply.billed_ms is not None
            assert reply.duration_ms is not None
            assert reply.billed_ms >= reply.duration_ms + reply.init_ms
            assert [line["CacheFetches"] for line in metric_lines(reply.log)] == [2]
        changed = deployed.configuration(name)
        assert changed["MemorySize"] == 640
        assert changed["Variables"].items() > before["Variables"].items()
        stack.renew(name)
        assert deployed.configuration(name)["MemorySize"] == before["MemorySize"]
        with pytest.raises(TargetError, match=f"{name} has the variable {MARK}: another run measures it"):
            Stack(STACK)
    assert deployed.configuration(name) == before


def test_an_update_is_waited_for(deployed: Cloud) -> None:
    """Until AWS says that it is in force; one that failed is an error."""
    name = f"{STACK}-fast"
    with Stack(STACK) as stack:
        stack.invoke(name)
        deployed.statuses[:] = ["InProgress"]
        stack.renew(name)
        assert stack.invoke(name).init_ms is not None
        deployed.statuses[:] = ["Failed"]
        with pytest.raises(TargetError, match=f"Could not update {name}: .*terminal failure state"):
            stack.renew(name)


def test_an_invocation_is_not_sent_again(deployed: Cloud) -> None:
    """A second one would be warm."""
    with Stack(STACK) as stack:
        deployed.refused["lambda:InvokeFunction"] = (503, [("x-amzn-ErrorType", "ServiceException")], b"{}")
        with pytest.raises(TargetError, match=f"Could not invoke {STACK}-fast: .*ServiceException"):
            stack.invoke(f"{STACK}-fast")
    assert [action for action, _ in deployed.asked].count("lambda:InvokeFunction") == 1


def test_an_environment_that_was_there_is_not_taken_for_a_new_one(deployed: Cloud) -> None:
    """Nor the other way round: what never comes is an error, and not a figure."""
    deployed.renewing = False
    with Stack(STACK) as stack, Run(TINY) as run:
        function = Function(run, stack, "fast")
        stack.invoke(function.name)
        with pytest.raises(TargetError, match=r"None of 10 invocations of shop-bench-fast came upon a new environment"):
            function.trial(0)


def test_a_function_that_fails_is_an_error(deployed: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 1, the function's name and what it raised; what was changed is put back."""
    name = f"{STACK}-naive"
    variables = deployed.configuration(name)["Variables"] | {"FLAGS_PARAMETER": "/no/such"}
    deployed.client("lambda").update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    code, document = _run(tmp_path, "cold_start")
    assert code == 1
    (effect,) = document["effects"]
    assert effect["error"].startswith(f"{name} failed: ParameterNotFound: ")
    assert f"cold_start: could not be measured: {name} failed" in capsys.readouterr().err
    assert deployed.configuration(name)["Variables"] == variables


def test_a_function_that_is_not_there_is_an_error(deployed: Cloud) -> None:
    """Lambda's own words, and where the permissions stand."""
    with Stack(STACK) as stack:
        deployed.lab.remove(f"{STACK}-fast")
        with pytest.raises(TargetError, match=r"Could not invoke shop-bench-fast: .*ResourceNotFound.*README\.md"):
            stack.invoke(f"{STACK}-fast")


def test_a_stack_that_is_not_there_is_an_error(deployed: Cloud) -> None:
    """Its name, the region that was looked in, and what to do."""
    with pytest.raises(TargetError, match=r"There is no stack 'nowhere' in eu-west-1: .*--stack or AWS_REGION"):
        Stack("nowhere")


def test_a_missing_permission_is_an_error(deployed: Cloud) -> None:
    """It is not taken for a missing stack; where the permissions stand is said."""
    body = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>"
    deployed.refused["cloudformation:DescribeStacks"] = (403, [("Content-Type", "text/xml")], body)
    with pytest.raises(TargetError, match=r"Could not use the stack 'shop-bench': .*AccessDenied.*not you.*README\.md"):
        Stack(STACK)


def test_another_stack_is_an_error(deployed: Cloud) -> None:
    """By the outputs that it lacks."""
    flags = {"Name": "/other", "Type": "String", "Value": "1"}
    other = {"Resources": {"Flags": {"Type": "AWS::SSM::Parameter", "Properties": flags}}}
    deployed.client("cloudformation").create_stack(StackName="other", TemplateBody=json.dumps(other))
    with pytest.raises(TargetError, match="'other' has no output FastFunction, NaiveFunction, PartnerSecret"):
        Stack("other")


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], "locate credentials"),
        (["AWS_SECRET_ACCESS_KEY"], "Partial credentials"),
        (["AWS_DEFAULT_REGION", "AWS_REGION"], "specify a region"),
    ],
)
def test_no_credentials_or_region_is_an_error(
    missing: list[str], said: str, deployed: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to set; nothing is asked of AWS."""
    for name in missing:
        monkeypatch.delenv(name)
    with pytest.raises(TargetError, match=f"{said}.*set AWS_PROFILE and AWS_REGION"):
        Stack(STACK)
    assert deployed.asked == []


def test_an_unknown_profile_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(TargetError, match=r"\(nobody\) could not be found.*set AWS_PROFILE"):
        Stack(STACK)


def test_an_endpoint_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its address; there is no advice on permissions, which are not what is wrong."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(TargetError, match=r"Could not use the stack 'shop-bench': .*127\.0\.0\.1:9/?\"$"):
        Stack(STACK)


# Fields of the queries

REPORTED = {  # that CloudWatch finds in REPORT lines: as the line itself has them
    "@duration": "Duration",
    "@billedDuration": "Billed Duration",
    "@initDuration": "Init Duration",
    "@memorySize": "Memory Size",
    "@maxMemoryUsed": "Max Memory Used",
}
FUNCTIONS = {"avg", "bin", "count", "ispresent", "max", "pct", "sum"}
WORDS = {"and", "as", "by", "fields", "filter", "stats"}
QUERIES = sorted((AWS / "queries").glob("*.logs"))


def _fields(query: str) -> set[str]:
    """What a query reads: its names but for functions, words of the language, and names that it gives itself."""
    code = re.sub(r"#.*|\"[^\"]*\"", "", query)
    given = set(re.findall(r"\bas\s+(\w+)", code))
    assert set(re.findall(r"(\w+)\(", code)) <= FUNCTIONS
    return set(re.findall(r"(?<![\w@.])@?[A-Za-z][\w.]*", code)) - given - FUNCTIONS - WORDS


def test_queries_read_what_is_written(deployed: Cloud) -> None:
    """Their fields are in the REPORT line of the lab or in lambdakit's metric line, whichever they are about."""
    with Stack(STACK) as stack:
        name = stack.functions["fast"]
        stack.renew(name, variables={"LAMBDAKIT_METRICS_NAMESPACE": NAMESPACE})
        log = stack.invoke(name).log
    (line,) = metric_lines(log)
    last = log.splitlines()[-1]
    assert last.startswith("REPORT ")
    reported = {found for found, label in REPORTED.items() if f"\t{label}: " in last} | {"@type"}
    subjects: dict[str, set[str]] = {"report": set(), "emf": set()}
    for path in QUERIES:
        query = path.read_text(encoding="utf-8")
        source, _, subject = path.stem.partition("_")
        read = _fields(query)
        assert read, path.stem
        assert read <= (reported if source == "report" else {*line}), path.stem
        assert ('filter @type = "REPORT"' in query) is (source == "report"), path.stem
        subjects[source].add(subject)
    assert (
        subjects["report"] == subjects["emf"] == {"cold_start_share", "duration_by_start_kind", "init", "memory_share"}
    )


def test_fields_of_a_query_are_those_that_it_reads() -> None:
    """Which the test above relies on: not what it names itself, nor words, text and comments."""
    query = '# of Old\nfilter @type = "REPORT" and ispresent(A.b)\n| stats pct(100 * Dur / @max, 50) as p_ms by bin(1h)'
    assert _fields(query) == {"@type", "A.b", "Dur", "@max"}


def test_figures_of_a_report_are_its_own() -> None:
    """Of the last one; None for what it does not have."""
    lines = [
        "REPORT RequestId: 1\tDuration: 1.00 ms\tBilled Duration: 9 ms\tMemory Size: 128 MB\tInit Duration: 7.50 ms\t",
        "REPORT RequestId: 2\tDuration: 2.25 ms\tBilled Duration: 3 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\t",
    ]
    assert report("\n".join(lines)) == {"duration_ms": 2.25, "billed_ms": 3.0, "init_ms": None, "max_memory_mb": 40.0}
    assert set(report("nothing").values()) == {None}


def _price(invocations: int, memory_mb: int) -> float:
    return invocations * usd_per_million(500, memory_mb)["x86_64"] / 1_000_000


def test_the_page_says_what_a_run_costs() -> None:
    """By the sizes of a run, and the prices that the suite has."""
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \| ([\d,]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    expected = []
    for name, size, sizes in (("quick", QUICK, ()), ("full", FULL, memory.SIZES)):
        plain = 2 * (2 + size.environments * (1 + size.warm))
        each = 2 * (memory.LEAST + 1) * 11
        usd = _price(plain, MEMORY_MB) + sum(_price(each, memory_mb) for memory_mb in sizes)
        counts = (size.environments, size.warm, len(sizes), f"{plain + each * len(sizes):,}")
        expected.append((name, *map(str, counts), f"{usd:.4f}"))
    assert rows == expected
    assert all(f"{price:.10f}" in PAGE for price in USD_PER_GB_SECOND.values())
    assert f"as of {AS_OF}" in PAGE


def test_the_page_tells_of_each_parameter_file_permission_and_query() -> None:
    """And of no other."""
    template = _template()
    about = {name: str(given["Default"]) for name, given in template["Parameters"].items()}
    rows = dict(re.findall(r"^\| `([A-Z]\w+)` \| ?`?([\w.]*)`? \|", PAGE, re.MULTILINE))
    assert rows == about
    assert set(re.findall(r"`((?:report|emf)_\w+)`", PAGE)) == {path.stem for path in QUERIES}
    values = _values(SECRET)
    policies = [template["Resources"][name]["Properties"] for name in ("RunPolicy", "OrdersPolicy")]
    allowed = {action for policy in policies for action, _ in _statements(policy, values["PartnerSecret"])}
    assert set(re.findall(r"`(\w+:[A-Z]\w+)`", PAGE)) == allowed | LOGS


def test_make_makes_the_layer_of_the_template() -> None:
    """By the name that sam asks for; python of the default runtime."""
    makefile = (AWS / "layer" / "Makefile").read_text(encoding="utf-8")
    template = _template()
    (layer,) = (name for name, one in template["Resources"].items() if "LayerVersion" in one["Type"])
    assert re.findall(r"^build-(\w+):", makefile, re.MULTILINE) == [layer]
    assert f"\nPYTHON ?= {template['Parameters']['Runtime']['Default']}\n" in makefile
