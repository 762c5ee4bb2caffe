"""Create what the function needs: the secret, the parameter, the table. Run once: ``python prepare.py``."""

import json

import boto3

SECRET = "shop/partner"  # noqa: S105 - a name
PARAMETER = "/shop/flags"
TABLE = "orders"
SIGNING_KEY = "example-signing-key"  # event.json is signed with it
FLAGS = {"max_quantity": 10, "gift_wrap": True}

# The function's own environment variables.
VARIABLES = {"PARTNER_SECRET": SECRET, "FLAGS_PARAMETER": PARAMETER, "ORDERS_TABLE": TABLE}


def prepare(session):
    partner = {"partner": "acme", "signing_key": SIGNING_KEY}
    session.client("secretsmanager").create_secret(Name=SECRET, SecretString=json.dumps(partner))
    session.client("ssm").put_parameter(Name=PARAMETER, Value=json.dumps(FLAGS), Type="SecureString")
    session.client("dynamodb").create_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": "order_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "order_id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


if __name__ == "__main__":
    prepare(boto3.Session())
