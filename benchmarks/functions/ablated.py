"""The example's handler with all that lambdakit does for it, or with one thing of it as it is without."""

import os

import orders

import lambdakit

WITHOUT = os.environ["BENCH_WITHOUT"]

if WITHOUT == "a kept client":
    import boto3
else:
    dynamodb = lambdakit.client("dynamodb")
declared = [lambdakit.secret(os.environ["PARTNER_SECRET"]), lambdakit.parameter(os.environ["FLAGS_PARAMETER"])]


@lambdakit.handler(preload=[] if WITHOUT == "the preload" else declared)
def handler(event, context):
    signing_key = lambdakit.get_secret(os.environ["PARTNER_SECRET"], field="signing_key")
    flags = lambdakit.get_parameter(os.environ["FLAGS_PARAMETER"], transform="json")

    answer, item = orders.decide(event, signing_key, flags)
    if item is not None:
        client = boto3.client("dynamodb") if WITHOUT == "a kept client" else dynamodb
        client.put_item(TableName=os.environ["ORDERS_TABLE"], Item=item)
    return answer
