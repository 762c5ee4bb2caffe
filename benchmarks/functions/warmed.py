"""A function that others of its kind can be kept warm beside, with lambdakit and with lambda-warmer-py."""

import os

if os.environ["BENCH_WARMER"] == "lambda-warmer-py":
    from lambdawarmer import warmer

    decorate = warmer
else:
    import lambdakit

    decorate = lambdakit.handler(warmup=lambdakit.Warmup(max_concurrency=int(os.environ["BENCH_MAX_CONCURRENCY"])))


@decorate
def handler(event, context):
    return {"answered": event["number"]}
