"""An order handler as it is often written first: clients, secret and flags are fetched at every call."""

import json
import os

import boto3
import orders


def handler(event, context):
    secretsmanager = boto3.client("secretsmanager")
    partner = json.loads(secretsmanager.get_secret_value(SecretId=os.environ["PARTNER_SECRET"])["SecretString"])

    ssm = boto3.client("ssm")
    flags = json.loads(ssm.get_parameter(Name=os.environ["FLAGS_PARAMETER"], WithDecryption=True)["Parameter"]["Value"])

    answer, item = orders.decide(event, partner["signing_key"], flags)
    if item is not None:
        dynamodb = boto3.client("dynamodb")
        dynamodb.put_item(TableName=os.environ["ORDERS_TABLE"], Item=item)
    return answer
