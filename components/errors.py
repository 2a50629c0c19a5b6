"""What all errors have in common whose message tells a person what is wrong and what to do."""


class UserError(Exception):
    """The message says all: the value, what is allowed, what to do. The command line prints it without a traceback.

    Mixed into the built-in error that fits, such as `class ParameterError(UserError, ValueError)`.
    """
