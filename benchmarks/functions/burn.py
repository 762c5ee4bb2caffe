"""A function that uses all of the CPU that it gets, and tells how much that was."""

import time


def handler(event, context):
    wall, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < event["seconds"]:
        pass
    passed = time.perf_counter() - wall
    return (time.process_time() - cpu) / passed
