"""The floor: the same one POST by hand, with all that it needs imported in INIT; nothing is checked or kept."""

import by_hand
import start


def handler(event, context):
    return start.since_init(by_hand.get_secret("bench/secret"))


start.init_ends()
