"""Errors a user can cause. The command line prints them without a traceback and exits with code 2."""


class UserError(Exception):
    """Something in the user's input is wrong: say where, what, and what to do about it."""
