"""The proxy that the environment names: for what is far away, never for this machine itself."""

import os

from components.errors import UserError

_NAMES = ("http_proxy", "https_proxy", "all_proxy")
# Prefect's embedded server, MLflow and endpoints that are served here; no proxy can reach them.
_LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104 -- nothing listens there; it is asked for


class ProxyError(UserError, ValueError):
    """The proxy that the environment names cannot be used."""


def reach_loopback_directly() -> None:
    """Except loopback addresses from the proxy, in both spellings of the variable: libraries differ in which they read.

    Must run before any library is imported that makes connections.
    """
    excepted = [part.strip() for name in ("no_proxy", "NO_PROXY") for part in os.environ.get(name, "").split(",")]
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(dict.fromkeys([*filter(None, excepted), *_LOOPBACK]))


def check_proxies() -> None:
    """Make sure that the library that Prefect and the endpoints' client connect by takes the proxy that is named.

    Raises:
        ProxyError: it does not: an unknown kind of proxy, or one whose package is not installed.
    """
    named = {name: os.environ[name] for lower in _NAMES for name in (lower, lower.upper()) if os.environ.get(name)}
    if not named:
        return
    import httpx

    try:
        httpx.Client().close()
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise ProxyError(
            f"the environment names a proxy that cannot be used ({', '.join(named)}): {error} Correct or unset it; "
            "proxies of http:// and https:// work"
        ) from error
