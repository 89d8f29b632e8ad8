"""Named profiles of remote services, kept by the server's owner. A workflow holds only a profile's name."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

from ..mixing.errors import InputError
from ..network.addresses import Origin, is_loopback, is_private, origin_of
from ..wire.shares import MODES, WeightsMode

WireName = Literal["v6", "v5"]
WIRES: tuple[WireName, ...] = ("v6", "v5")
KEY_VARIABLE = "MODELSLAB_API_KEY"
FILE = "endpoints.toml"
PAGE = "docs/endpoints.md"
"""What a line about a wrong entry leads to."""
_SWITCHES = ("insecure_lan", "mark_uploads")
_MOST_IMAGES: dict[WireName, int] = {"v6": 1, "v5": 4}


def _one_of(endpoint: str, name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"Endpoint {endpoint!r}: {name} is one of {', '.join(known)}, not {value!r}.")


@dataclass(frozen=True)
class Timeouts:
    """Seconds. `connect` and `read` are for one socket step; the others are for the whole of what they name:
    a submit's answer, one call, a job until it is ready, a download with its retries, waiting for a free place."""

    connect: float = 10.0
    read: float = 60.0
    submit: float = 120.0
    call: float = 60.0
    job: float = 900.0
    download: float = 120.0
    queue: float = 600.0


@dataclass(frozen=True)
class Endpoint:
    """One profile. `credential` is the name of the environment variable, and of the key in the credentials' file.

    `uploader` is the profile that takes this one's pictures ("" for itself). `mark_uploads` names each attempt in a
    fragment of a picture's address, for a service that echoes it: a lost job is then found by its name.
    Raises InputError on a base URL that is neither https, nor http to this machine, nor (with `insecure_lan`) http to a
    private address in numbers.
    """

    name: str
    base_url: str
    wire: WireName = "v6"
    images_per_job: int = 1
    jobs_in_flight: int = 5
    credential: str = KEY_VARIABLE
    uploader: str = ""
    weights: WeightsMode = "send"
    webhook: str = ""
    insecure_lan: bool = False
    download_hosts: tuple[str, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    mark_uploads: bool = False

    def __post_init__(self) -> None:
        origin = origin_of(self.base_url)
        if origin is None or "?" in self.base_url or "#" in self.base_url:
            raise InputError(f"Endpoint {self.name!r}: base_url must be a plain https address, not {self.base_url!r}.")
        lan = self.insecure_lan and is_private(origin.host)
        if origin.scheme == "http" and not (is_loopback(origin.host) or lan):
            raise InputError(
                f"Endpoint {self.name!r}: {self.base_url} would send the key unencrypted. Use https; plain http is for "
                "this machine, and with insecure_lan = true for a private address in numbers."
            )
        _one_of(self.name, "wire", self.wire, WIRES)
        _one_of(self.name, "weights", self.weights, MODES)
        if not 1 <= self.images_per_job <= _MOST_IMAGES[self.wire]:
            raise InputError(
                f"Endpoint {self.name!r}: images_per_job is 1 to {_MOST_IMAGES[self.wire]} on {self.wire}, "
                f"not {self.images_per_job}."
            )
        if not 1 <= self.jobs_in_flight <= 100:
            raise InputError(f"Endpoint {self.name!r}: jobs_in_flight is 1 to 100, not {self.jobs_in_flight}.")
        if not self.credential.replace("_", "").isalnum():
            raise InputError(f"Endpoint {self.name!r}: credential is a name such as {KEY_VARIABLE}.")
        webhook = origin_of(self.webhook) if self.webhook else None
        if self.webhook and (webhook is None or not (webhook.scheme == "https" or is_loopback(webhook.host))):
            raise InputError(f"Endpoint {self.name!r}: webhook must be an https address.")

    @property
    def origin(self) -> Origin:
        """Scheme, host and port of the base URL: the only place that gets the key."""
        return cast(Origin, origin_of(self.base_url))

    @property
    def account(self) -> str:
        """What a limit on jobs in flight is counted for: one credential at one place. Holds no key."""
        return f"{self.origin.host}:{self.origin.port} {self.credential}"

    def url(self, path: str) -> str:
        """The address of `path` (which begins with a slash) at this endpoint."""
        return self.base_url.rstrip("/") + path


MODELSLAB = Endpoint("modelslab v6", "https://modelslab.com/api/v6")
STABLE_DIFFUSION_API = Endpoint(
    "stable diffusion api v5", "https://stablediffusionapi.com/api/v5", wire="v5", uploader=MODELSLAB.name
)
BUILT_IN = (MODELSLAB, STABLE_DIFFUSION_API)


@dataclass(frozen=True)
class Settings:
    """What the owner decides: the profiles by name, the caps on paid jobs, the room for results in bytes, and whether a
    key may be set through a proxy or on a server that listens beyond this machine."""

    endpoints: Mapping[str, Endpoint]
    max_jobs_per_run: int = 16
    max_jobs_per_day: int = 200
    results_bytes: int = 2_000_000_000
    keys_beyond_loopback: bool = False

    def endpoint(self, name: str) -> Endpoint:
        """The profile called `name`. Raises InputError, naming those that exist, where there is none."""
        if not isinstance(name, str) or name not in self.endpoints:
            known = ", ".join(self.endpoints)
            raise InputError(f"There is no endpoint {str(name)[:60]!r} on this server: choose one of {known}.")
        return self.endpoints[name]

    def uploader_of(self, endpoint: Endpoint) -> Endpoint:
        """The profile that takes the pictures of `endpoint`. Raises InputError where it is missing or takes none."""
        uploader = self.endpoint(endpoint.uploader) if endpoint.uploader else endpoint
        if uploader.wire != "v6":
            raise InputError(
                f"Endpoint {uploader.name!r} takes no uploads: name a v6 profile as the uploader of "
                f"{endpoint.name!r} in {FILE}, or use image URLs."
            )
        return uploader


def built_in_settings() -> Settings:
    """What holds where the owner wrote nothing."""
    return Settings({e.name: e for e in BUILT_IN})


def load_settings(path: Path) -> Settings:
    """The settings in the TOML file `path`, on top of what is built in; a missing file adds nothing.

    Raises InputError, naming the entry, on a file that cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return built_in_settings()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} cannot be read: {type(error).__name__}.") from error
    return parse_settings(text, path.name)


def parse_settings(text: str, source: str = FILE) -> Settings:
    """The settings that TOML `text` describes. `source` is what messages call it. Raises InputError."""
    toml = _toml()
    try:
        data = toml.loads(text)
    except toml.TOMLDecodeError as error:
        raise InputError(f"{source} is not TOML: {error}.") from error
    _known(source, data, {"endpoints", "spending", "results", "keys"})
    profiles = {e.name: e for e in BUILT_IN}
    for name, table in _table(source, data, "endpoints").items():
        if not isinstance(table, dict) or not name.strip() or len(name) > 60:
            raise InputError(f"{source}: [endpoints.{name[:60]!r}] must be a table with a name of 1 to 60 characters.")
        profiles[name] = _endpoint(source, name, table, profiles.get(name))
    settings = Settings(profiles)
    spending, results = _table(source, data, "spending"), _table(source, data, "results")
    _known(f"{source} [spending]", spending, {"max_jobs_per_run", "max_jobs_per_day"})
    _known(f"{source} [results]", results, {"max_megabytes"})
    changes = {name: _whole(f"{source} [spending]", name, value) for name, value in spending.items()}
    if "max_megabytes" in results:
        megabytes = _whole(f"{source} [results]", "max_megabytes", results["max_megabytes"])
        changes["results_bytes"] = megabytes * 1_000_000
    keys = _table(source, data, "keys")
    _known(f"{source} [keys]", keys, {"beyond_loopback"})
    beyond = keys.get("beyond_loopback", False)
    if not isinstance(beyond, bool):
        raise InputError(f"{source} [keys]: beyond_loopback is true or false, not {beyond!r}.")
    settings = replace(settings, keys_beyond_loopback=beyond, **changes)  # type: ignore[arg-type]
    for endpoint in profiles.values():
        if endpoint.uploader:
            settings.uploader_of(endpoint)
    return settings


def _endpoint(source: str, name: str, table: dict[str, Any], base: Endpoint | None) -> Endpoint:
    where = f"{source} [endpoints.{name!r}]"
    defaults = {f.name: f for f in fields(Endpoint)}
    _known(where, table, set(defaults) - {"name"})
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key == "timeouts":
            given[key] = _timeouts(where, value, base.timeouts if base else Timeouts())
        elif key == "download_hosts":
            if not isinstance(value, list) or not all(isinstance(host, str) and host for host in value):
                raise InputError(f"{where}: download_hosts is a list of host names.")
            given[key] = tuple(host.lower() for host in value)
        elif key in ("images_per_job", "jobs_in_flight"):
            given[key] = _whole(where, key, value)
        elif isinstance(value, bool if key in _SWITCHES else str):
            given[key] = value
        else:
            wanted = "true or false" if key in _SWITCHES else "a text"
            raise InputError(f"{where}: {key} is {wanted}, not {value!r}; see {PAGE}.")
    if base is None and "base_url" not in given:
        raise InputError(f"{where}: base_url is missing.")
    return replace(base, **given) if base else Endpoint(name=name, **given)


def _timeouts(where: str, value: object, base: Timeouts) -> Timeouts:
    if not isinstance(value, dict):
        raise InputError(f"{where}: timeouts is a table of seconds.")
    _known(f"{where} timeouts", value, {f.name for f in fields(Timeouts)})
    for name, seconds in value.items():
        good = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if not good or not math.isfinite(seconds) or not 0 < seconds <= 86400:
            raise InputError(f"{where}: the timeout {name} is a number of seconds above 0, not {seconds!r}.")
    return replace(base, **{name: float(seconds) for name, seconds in value.items()})


def _table(source: str, data: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name, {})
    if not isinstance(value, dict):
        raise InputError(f"{source}: [{name}] must be a table.")
    return value


def _known(where: str, table: Mapping[str, Any], names: set[str]) -> None:
    unknown = sorted(set(table) - names)
    if unknown:
        raise InputError(
            f"{where}: {unknown[0][:60]!r} is not known here; known are {', '.join(sorted(names))}; see {PAGE}."
        )


def _whole(where: str, name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{where}: {name} is a whole number from 0, not {value!r}; see {PAGE}.")
    return value


def _toml() -> Any:
    for name in ("tomllib", "tomli"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise InputError(f"Reading {FILE} needs Python 3.11, or the package tomli on Python 3.10: pip install tomli.")
