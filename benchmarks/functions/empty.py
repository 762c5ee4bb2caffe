"""A function that does nothing: what the runtime client itself costs."""

import start


def handler(event, context):
    return start.since_init("nothing")


start.init_ends()
