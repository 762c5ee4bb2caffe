"""Lambda's prices."""

from __future__ import annotations

# The first tier of the price list, on demand, without the free tier, savings plans, storage and transfer.
REGION = "us-east-1"
SOURCE = "https://aws.amazon.com/lambda/pricing/"
AS_OF = "2025-08-01"  # INIT is billed from that day on, for every kind of function
USD_PER_GB_SECOND = {"x86_64": 0.0000166667, "arm64": 0.0000133334}
USD_PER_MILLION_REQUESTS = 0.20
MB_PER_GB = 1024


def usd_per_million(billed_ms: float, memory_mb: int) -> dict[str, float]:
    """What a million invocations cost, by architecture.

    Args:
        billed_ms: the mean of their billed durations, INIT included where they have one.
        memory_mb: the memory size of the function.
    """
    gb_seconds = billed_ms / 1000 * memory_mb / MB_PER_GB * 1_000_000
    return {name: gb_seconds * price + USD_PER_MILLION_REQUESTS for name, price in USD_PER_GB_SECOND.items()}
