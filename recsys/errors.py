"""Errors a user can cause and mend. Each message is one line: what was given, what is allowed, what to do."""

from __future__ import annotations


class RecsysError(ValueError):
    """Base of the errors below; commands print the message alone and exit with code 2."""


class ConfigError(RecsysError):
    """An experiment that cannot be: a misspelt option, a wrong value, parts that do not fit."""


class DataError(RecsysError):
    """Data that cannot be read or does not have the promised shape."""


class RunError(RecsysError):
    """A run folder that cannot be written, found or continued."""
