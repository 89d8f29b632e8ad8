"""Named profiles of remote services, set by the server's owner. A workflow contains only the name of a profile."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

from ..mixing.errors import InputError
from ..mixing.urls import Origin, origin_of
from ..network.addresses import is_loopback, is_private
from ..wire import formats, v5, v6
from ..wire.declaration import Wire
from ..wire.formats import wire_of
from ..wire.shares import MODES, WeightsMode

KEY_VARIABLE = "MODELSLAB_API_KEY"
FILE = "endpoints.toml"
PAGE = "docs/endpoints.md"
"""Where messages about a wrong entry send the reader."""
_SWITCHES = ("insecure_lan", "mark_uploads")


@dataclass(frozen=True)
class Timeouts:
    """Time limits in seconds.

    `connect` and `read` limit one socket operation. The others limit a whole action: the answer to a submit, one other
    call, a job until it is ready, a download with its retries, and the wait for a free slot.
    """

    connect: float = 10.0
    read: float = 60.0
    submit: float = 120.0
    call: float = 60.0
    job: float = 900.0
    download: float = 120.0
    queue: float = 600.0


@dataclass(frozen=True)
class Endpoint:
    """One profile of a service.

    `wire` is the name of its format, `credential` the name of its key, both as an environment variable and in the file of
    keys. `uploader` is the profile that uploads this one's pictures ("" for itself). `mark_uploads` adds a name for each
    attempt to a picture's URL, as a fragment, so that a lost job can be found by it if the service repeats it.

    Raise InputError if a value is out of range. The base URL must be https, or http to this machine, or, with
    `insecure_lan`, http to a private numeric address.
    """

    name: str
    base_url: str
    wire: str = formats.DEFAULT.name
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
        self._check_base_url()
        try:
            most_images = self.format.limits.samples
        except InputError as error:
            raise self._error(str(error)) from None
        if self.weights not in MODES:
            raise self._error(f"weights must be one of {', '.join(MODES)}, not {self.weights!r}.")
        if not 1 <= self.images_per_job <= most_images:
            raise self._error(
                f"images_per_job must be from 1 to {most_images} with {self.wire}, not {self.images_per_job}."
            )
        if not 1 <= self.jobs_in_flight <= 100:
            raise self._error(f"jobs_in_flight must be from 1 to 100, not {self.jobs_in_flight}.")
        if not self.credential.replace("_", "").isalnum():
            raise self._error(f"credential must be a name such as {KEY_VARIABLE}.")
        webhook = origin_of(self.webhook) if self.webhook else None
        if self.webhook and (webhook is None or not (webhook.scheme == "https" or is_loopback(webhook.host))):
            raise self._error("webhook must be an https address.")

    def _check_base_url(self) -> None:
        origin = origin_of(self.base_url)
        if origin is None or "?" in self.base_url or "#" in self.base_url:
            raise self._error(f"base_url must be a plain https address, not {self.base_url!r}.")
        lan = self.insecure_lan and is_private(origin.host)
        if origin.scheme == "http" and not (is_loopback(origin.host) or lan):
            raise self._error(
                f"{self.base_url} would send the key unencrypted: use https. Plain http is allowed only for this machine "
                "and, with insecure_lan = true, for a private numeric address."
            )

    def _error(self, what: str) -> InputError:
        return InputError(f"Endpoint {self.name!r}: {what}")

    @property
    def format(self) -> Wire:
        """The wire format that this service speaks."""
        return wire_of(self.wire)

    @property
    def origin(self) -> Origin:
        """The scheme, host, and port of the base URL. The key is sent nowhere else."""
        return cast(Origin, origin_of(self.base_url))

    @property
    def account(self) -> str:
        """The account for which jobs in flight are counted: one credential at one host. It does not contain the key."""
        return f"{self.origin.host}:{self.origin.port} {self.credential}"

    def url(self, path: str) -> str:
        """Return the URL of `path`, which begins with a slash, at this endpoint."""
        return self.base_url.rstrip("/") + path


MODELSLAB = Endpoint("modelslab v6", "https://modelslab.com/api/v6", wire=v6.WIRE.name)
STABLE_DIFFUSION_API = Endpoint(
    "stable diffusion api v5", "https://stablediffusionapi.com/api/v5", wire=v5.WIRE.name, uploader=MODELSLAB.name
)
BUILT_IN = (MODELSLAB, STABLE_DIFFUSION_API)


@dataclass(frozen=True)
class Settings:
    """What the server's owner decides.

    `endpoints` are the profiles by name, `max_jobs_per_run` and `max_jobs_per_day` the caps on paid jobs, `results_bytes`
    the disk space for results. `keys_beyond_loopback`: a key may be set through a proxy, or on a server that listens on
    the network.
    """

    endpoints: Mapping[str, Endpoint]
    max_jobs_per_run: int = 16
    max_jobs_per_day: int = 200
    results_bytes: int = 2_000_000_000
    keys_beyond_loopback: bool = False

    def endpoint(self, name: str) -> Endpoint:
        """Return the profile called `name`. Raise InputError, which names the existing ones, if there is none."""
        if not isinstance(name, str) or name not in self.endpoints:
            known = ", ".join(self.endpoints)
            raise InputError(f"There is no endpoint {str(name)[:60]!r} on this server: choose one of {known}.")
        return self.endpoints[name]

    def uploader_of(self, endpoint: Endpoint) -> Endpoint:
        """Return the profile that uploads the pictures of `endpoint`.

        Raise InputError if it does not exist, or if its format has no uploads.
        """
        uploader = self.endpoint(endpoint.uploader) if endpoint.uploader else endpoint
        if not uploader.format.upload_paths:
            able = " or ".join(wire.name for wire in formats.WIRES if wire.upload_paths)
            raise InputError(
                f"Endpoint {uploader.name!r} does not take uploads: set a {able} profile as the uploader of "
                f"{endpoint.name!r} in {FILE}, or use image URLs."
            )
        return uploader


def built_in_settings() -> Settings:
    """Return the settings without a file."""
    return Settings({e.name: e for e in BUILT_IN})


def load_settings(path: Path) -> Settings:
    """Return the settings in the TOML file `path`, added to the built-in ones. The file need not exist.

    Raise InputError, which names the wrong entry, if the file cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return built_in_settings()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} cannot be read: {type(error).__name__}.") from error
    return parse_settings(text, path.name)


def parse_settings(text: str, source: str = FILE) -> Settings:
    """Return the settings in the TOML `text`; messages call it `source`. Raise InputError, which names the wrong entry."""
    toml = _toml()
    try:
        data = toml.loads(text)
    except toml.TOMLDecodeError as error:
        raise InputError(f"{source} is not valid TOML: {error}.") from error
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
        raise InputError(f"{source} [keys]: beyond_loopback must be true or false, not {beyond!r}.")
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
                raise InputError(f"{where}: download_hosts must be a list of host names.")
            given[key] = tuple(host.lower() for host in value)
        elif key in ("images_per_job", "jobs_in_flight"):
            given[key] = _whole(where, key, value)
        elif isinstance(value, bool if key in _SWITCHES else str):
            given[key] = value
        else:
            wanted = "true or false" if key in _SWITCHES else "a text"
            raise InputError(f"{where}: {key} must be {wanted}, not {value!r}; see {PAGE}.")
    if base is None and "base_url" not in given:
        raise InputError(f"{where}: base_url is missing.")
    return replace(base, **given) if base else Endpoint(name=name, **given)


def _timeouts(where: str, value: object, base: Timeouts) -> Timeouts:
    if not isinstance(value, dict):
        raise InputError(f"{where}: timeouts must be a table of seconds.")
    _known(f"{where} timeouts", value, {f.name for f in fields(Timeouts)})
    for name, seconds in value.items():
        good = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if not good or not math.isfinite(seconds) or not 0 < seconds <= 86400:
            raise InputError(f"{where}: the timeout {name} must be above 0 and at most 86400 seconds, not {seconds!r}.")
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
            f"{where}: unknown entry {unknown[0][:60]!r}, known are {', '.join(sorted(names))}; see {PAGE}."
        )


def _whole(where: str, name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{where}: {name} must be a whole number of at least 0, not {value!r}; see {PAGE}.")
    return value


def _toml() -> Any:
    for name in ("tomllib", "tomli"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise InputError(f"Python 3.10 needs the package tomli to read {FILE}: pip install tomli.")
