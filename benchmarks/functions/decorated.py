"""A function that does nothing, decorated."""

import start

import lambdakit


@lambdakit.handler
def handler(event, context):
    return start.since_init("nothing")


start.init_ends()
