"""Ports that are free, and who holds those that are not."""

import socket

import psutil


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on host:port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """The process that listens on a port, as 'name (pid n)', or 'another process' where the system does not tell."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return "another process"
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another process"


def find_free(host: str, wanted: int) -> tuple[int, str | None]:
    """The wanted port, or the next free one with a sentence that says who holds the wanted one.

    Raises OSError where none of the next hundred is free.
    """
    for port in range(wanted, wanted + 100):
        if is_free(host, port):
            return port, None if port == wanted else f"Port {wanted} is taken by {holder(wanted)}: using {port}."
    raise OSError(f"no port from {wanted} to {wanted + 99} is free on {host}")
