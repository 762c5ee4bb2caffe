"""The same order handler with lambdakit: what does not change from call to call is fetched once."""

import os

import orders

import lambdakit

dynamodb = lambdakit.client("dynamodb")


@lambdakit.handler
def handler(event, context):
    signing_key = lambdakit.get_secret(os.environ["PARTNER_SECRET"], field="signing_key")
    flags = lambdakit.get_parameter(os.environ["FLAGS_PARAMETER"], transform="json")

    answer, item = orders.decide(event, signing_key, flags)
    if item is not None:
        dynamodb.put_item(TableName=os.environ["ORDERS_TABLE"], Item=item)
    return answer
