"""The example's handler with all that lambdakit does for it, or with one thing of it as it is without."""

import os

import orders

WITHOUT = os.environ["BENCH_WITHOUT"]

if WITHOUT == "a kept client":
    import boto3
else:
    import lambdakit

    dynamodb = lambdakit.client("dynamodb")


def decorate(handler):
    import lambdakit

    if WITHOUT == "the preload":
        return lambdakit.handler(handler)
    declared = [lambdakit.secret(os.environ["PARTNER_SECRET"]), lambdakit.parameter(os.environ["FLAGS_PARAMETER"])]
    return lambdakit.handler(preload=declared)(handler)


@decorate
def handler(event, context):
    import lambdakit

    signing_key = lambdakit.get_secret(os.environ["PARTNER_SECRET"], field="signing_key")
    flags = lambdakit.get_parameter(os.environ["FLAGS_PARAMETER"], transform="json")

    answer, item = orders.decide(event, signing_key, flags)
    if item is not None:
        client = boto3.client("dynamodb") if WITHOUT == "a kept client" else dynamodb
        client.put_item(TableName=os.environ["ORDERS_TABLE"], Item=item)
    return answer
