"""What both versions share: the shop's own rules, which know nothing of AWS."""

import hashlib
import hmac
import json


def decide(event, signing_key, flags):
    """Judge a partner's order: the answer for the partner, and the item to store (None where there is none)."""
    body = event["body"]
    expected = hmac.new(signing_key.encode(), body.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), event["headers"].get("x-signature", "").encode()):
        return answer(401, {"error": "the signature is wrong"}), None
    order = json.loads(body)
    if order["quantity"] > flags["max_quantity"]:
        return answer(422, {"error": f"at most {flags['max_quantity']} of one article"}), None
    order_id = event["requestContext"]["requestId"]
    item = {
        "order_id": {"S": order_id},
        "article": {"S": order["article"]},
        "quantity": {"N": str(order["quantity"])},
        "gift_wrap": {"BOOL": flags["gift_wrap"]},
    }
    return answer(201, {"order_id": order_id, "gift_wrap": flags["gift_wrap"]}), item


def answer(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
