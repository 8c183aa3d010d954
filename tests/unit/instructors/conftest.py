"""A service that is not part of the contract."""

from tests.greetings import greeter, greeting_address, greeting_set, greetings

__all__ = ["greeter", "greeting_address", "greeting_set", "greetings"]
