"""One secret, as the README writes it."""

import start

import lambdakit


@lambdakit.handler
def handler(event, context):
    return start.since_init(lambdakit.get_secret("bench/secret"))


start.init_ends()
