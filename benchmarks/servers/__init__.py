"""The servers that effects are measured on, each in a process of its own.

A module here is both ends of a server. Where the process needs what a client must not load (moto, aiohttp), it is a
module of its own, named `..._process`.
"""
