"""One secret with boto3, its client made in INIT."""

import boto3
import start

secretsmanager = boto3.client("secretsmanager")


def handler(event, context):
    return start.since_init(secretsmanager.get_secret_value(SecretId="bench/secret")["SecretString"])


start.init_ends()
