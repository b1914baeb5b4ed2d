"""gunicorn's settings for `gunicorn myaccount`. gunicorn's command line overrides them.

The environment variable MYACCOUNT_CONFIG names the service's configuration file. The default is the shipped one.
"""

import errno
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from myaccount.database.embedded_file import acquire_lock, release_lock
from myaccount.database.start_errors import DatabaseNotReady
from myaccount.observability import slots
from myaccount.observability.log_setup import logging_settings, set_up_logging
from myaccount.settings.loading import WrongConfiguration, default_file, load_configuration
from myaccount.settings.paths import working_path
from myaccount.settings.schema import Config, access_unsaid
from myaccount.system.addresses import address_text, key_at_fault, listening_fault
from myaccount.system.host_names import is_loopback
from myaccount.system.private_files import keep_made

_file = default_file(os.environ)
try:
    _config = load_configuration(_file, os.environ)
    set_up_logging(_config)
except (WrongConfiguration, OSError) as error:
    sys.exit(f"gunicorn cannot serve: {error}")

bind = address_text(_config["host"], _config["port"])
worker_class = "aiohttp.GunicornWebWorker"
# The embedded file has one writer.
workers = int(os.environ.get("WEB_CONCURRENCY") or os.cpu_count() or 1) if "mysql" in _config else 1
logconfig_dict = logging_settings(_config)

# Seconds. A worker finishes its accepted requests sooner (myaccount/serving.py), so none is killed.
graceful_timeout = 30
# Seconds without a sign of life, after which a worker is replaced.
timeout = 30

# Replaces workers now and then, which bounds leaks. The jitter spreads it over time.
max_requests = 2_000_000
max_requests_jitter = 500_000

# gunicorn would share one control socket among all instances of a user.
control_socket_disable = True

# After a master was killed, its workers keep the port and the embedded file until they notice, and end.
PORT_FREE_SECONDS = 15
BIND = "--bind"


def on_starting(server: Any) -> None:
    """Refuse in one line what cannot work. gunicorn would start failing workers again and again."""
    if server.cfg.worker_class_str != worker_class:
        sys.exit(f"gunicorn cannot serve: --worker-class must be {worker_class}")
    if server.cfg.preload_app:
        sys.exit("gunicorn cannot serve: leave out --preload, since workers would share their request ids")
    if server.cfg.workers < 1:
        sys.exit("gunicorn cannot serve: --workers must be 1 or more")
    if server.cfg.workers > 1 and "mysql" not in _config:
        sys.exit(
            f"gunicorn cannot serve: the embedded file has one writer, so --workers must be 1, not "
            f"{server.cfg.workers}. For more, fill in the section mysql of {_file}."
        )
    try:
        _refuse_unsaid(_config, ["systemd's sockets"] if "LISTEN_FDS" in os.environ else server.cfg.address)
    except WrongConfiguration as error:
        sys.exit(f"gunicorn cannot serve: {error}")
    # systemd, or a master that this one replaces, may pass its sockets on.
    inherited = {"GUNICORN_FD", "LISTEN_FDS"} & os.environ.keys()
    addresses = [] if inherited else [(_section(address), address) for address in server.cfg.address]
    if "metrics" in _config and not inherited:
        addresses.append(("metrics.", (_config["metrics"]["host"], _config["metrics"]["port"])))
    for section, address in addresses:
        fault = _fault_of(address)
        if fault and fault.errno == errno.EADDRINUSE:
            server.log.warning(
                "%s: %s is in use. Waiting up to %s seconds until it is free.",
                _key(section, fault),
                address_text(*address),
                PORT_FREE_SECONDS,
            )
    # In a process of its own, because the master must not load what its workers load. It prints what is wrong.
    check = multiprocessing.get_context("fork").Process(target=_check)
    check.start()
    check.join()
    if check.exitcode:
        sys.exit(1)
    for section, address in addresses:
        _wait_until_free(section, address)
    if file := _embedded_file(_config):
        _keep_to_this_master(file)
    # After all refusals, because the folder is removed only when the master ends.
    try:
        slots.open_folder(server.cfg.uid, server.cfg.gid)
    except OSError as error:
        server.log.error(
            "The folder for the metrics cannot be made, so each worker reports only its own counts: %s", error
        )


def _refuse_unsaid(config: Config, addresses: Iterable[Any]) -> None:
    """Raise WrongConfiguration if others may reach an address, and the configuration does not say who may use it.

    Its own host is checked when it is loaded. A Unix socket is there for a proxy, which others reach.
    """
    for address in addresses:
        is_port = isinstance(address, tuple)
        if "access" not in config and not (is_port and is_loopback(address[0])):
            place = address_text(*address) if is_port else str(address)
            raise WrongConfiguration(f"{_file}: access: {access_unsaid(place)}")


def _check() -> None:
    """Run `myaccount check`, and exit with its status."""
    from myaccount.cli.entry import main

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(main(["check", "-c", _file]))


def _section(address: Any) -> str:
    """Return where an address comes from."""
    return "" if address == (_config["host"], _config["port"]) else BIND


def _key(section: str, fault: OSError) -> str:
    return section if section == BIND else f"{section}{key_at_fault(fault)}"


def _fault_of(address: Any) -> OSError | None:
    """Return why gunicorn could not listen at an address now."""
    if not isinstance(address, tuple):
        # A Unix socket.
        return None
    both = address[0] == "::" and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        socket.create_server(address, family=family, dualstack_ipv6=both).close()
    except OSError as error:
        return error
    return None


def _wait_until_free(section: str, address: Any) -> None:
    """Wait until the address is free. Exits with one line if it stays in use; gunicorn would print eleven."""
    deadline = time.monotonic() + PORT_FREE_SECONDS
    while fault := _fault_of(address):
        if fault.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
            sys.exit(
                f"gunicorn cannot serve: {_key(section, fault)}: {listening_fault(address[0], address[1], fault)}"
            )
        time.sleep(0.2)


def _embedded_file(config: Config) -> Path | None:
    return None if "mysql" in config else working_path(config["sqlite_file"])


def _keep_to_this_master(file: Path) -> None:
    """Lock the embedded file for this master and its workers. Exits if another process has it."""
    try:
        # Workers inherit the lock, so old and new ones may overlap during a reload.
        acquire_lock(file, PORT_FREE_SECONDS)
    except (DatabaseNotReady, OSError) as error:
        sys.exit(f"gunicorn cannot serve: {error}")
    keep_made()


def when_ready(server: Any) -> None:
    """Make a reload check the configuration first. gunicorn itself would end if it has become wrong."""
    server.reload = _careful(server, server.reload)


def _careful(server: Any, reload: Callable[[], None]) -> Callable[[], None]:
    """Return a reload that logs why it is refused, and then leaves the service as it is."""
    served = _config

    def reload_if_possible() -> None:
        nonlocal served
        try:
            config = load_configuration(_file, os.environ)
            # gunicorn's command line keeps its own addresses.
            _refuse_unsaid(config, set(server.cfg.address) - {_addresses(served)[""]})
            _refuse_taken(server, served, config)
            if new := _embedded_file(config):
                acquire_lock(new, 0)
        except (WrongConfiguration, DatabaseNotReady, OSError) as error:
            server.log.error("The configuration was not reloaded, and the service goes on as it was: %s", error)
            return
        keep_made()
        if old := _embedded_file(served):
            # Before new workers inherit the lock. The old ones keep it until they end.
            release_lock(old)
        served = config
        reload()

    return reload_if_possible


def _refuse_taken(server: Any, old: Config, new: Config) -> None:
    """Raise OSError if the new configuration has another address, and that is in use."""
    before, after = _addresses(old), _addresses(new)
    if before[""] not in server.cfg.address:
        # gunicorn's command line sets the address.
        del after[""]
    for section, address in after.items():
        if address != before.get(section) and (fault := _fault_of(address)):
            raise OSError(f"{_key(section, fault)}: {listening_fault(address[0], address[1], fault)}")


def _addresses(config: Config) -> dict[str, tuple[str, int]]:
    """Return host and port by section of the configuration."""
    addresses = {"": (config["host"], config["port"])}
    if "metrics" in config:
        addresses["metrics."] = config["metrics"]["host"], config["metrics"]["port"]
    return addresses


def nworkers_changed(server: Any, new: int, old: int | None) -> None:
    """Keep to one worker on the embedded file when a signal asks for another."""
    if old is not None and new > 1 and "mysql" not in _config:
        server.log.error("The embedded file has one writer: there is no second worker.")
        server.num_workers = 1


def pre_fork(server: Any, worker: Any) -> None:
    slots.take_slot(worker, server.WORKERS.values())


def post_fork(server: Any, worker: Any) -> None:
    slots.enter_slot(worker, server.num_workers)


def child_exit(server: Any, worker: Any) -> None:
    slots.leave_slot(worker)


def on_exit(server: Any) -> None:
    slots.remove_folder()
