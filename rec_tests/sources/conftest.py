"""Real servers that tests need: started for them in a temporary folder, or the tests are skipped with the reason."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pymysql
import pytest

from rec_assets.log import Log


@pytest.fixture
def log(tmp_path):
    with Log.open(tmp_path / "log") as log:
        yield log


def missing(reason):
    """Skip, or fail where the servers have to be there."""
    if os.environ.get("REC_REQUIRE_SERVERS") == "1":
        pytest.fail(f"REC_REQUIRE_SERVERS=1, but {reason}")
    pytest.skip(reason)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def postgres_bin():
    found = shutil.which("initdb") or next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))[::-1]), None)
    if found is None:
        missing("PostgreSQL's initdb is not there: apt-get install postgresql")
    return Path(found).parent


@pytest.fixture(scope="session")
def postgres():
    """The URL of a PostgreSQL of our own, without durability; user rec, password secret, database rec."""
    binaries = postgres_bin()
    root = os.geteuid() == 0
    if root and subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode:
        missing("PostgreSQL does not run as root, and there is no user postgres")
    user = {"user": "postgres"} if root else {}
    folder, port = Path(subprocess.check_output(["mktemp", "-d"], text=True, cwd="/", **user).strip()), free_port()

    def run(*command):
        subprocess.run([binaries / command[0], *command[1:]], check=True, capture_output=True, cwd="/", **user)

    password = folder / "password"
    subprocess.run(["tee", password], input=b"secret", check=True, capture_output=True, cwd="/", **user)
    data = folder / "data"
    run("initdb", "-D", data, "-U", "rec", "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--no-sync")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c shared_buffers=16MB"
    run("pg_ctl", "-D", data, "-w", "-o", options, "-l", folder / "log", "start")
    try:
        yield f"postgresql://rec:secret@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        subprocess.run(["rm", "-r", folder], check=True, cwd="/", **user)


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory):
    """The URL of a MariaDB of our own, without durability; user rec, password secret, database mysql."""
    server, install = (
        shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin"),
        shutil.which("mariadb-install-db"),
    )
    if server is None or install is None:
        missing("MariaDB's mariadbd is not there: apt-get install mariadb-server")
    folder, port = tmp_path_factory.mktemp("mariadb"), free_port()
    own = ["--no-defaults", f"--datadir={folder / 'data'}", *(["--user=root"] if os.geteuid() == 0 else [])]
    normal = "--auth-root-authentication-method=normal"
    subprocess.run([install, *own, normal, "--skip-test-db"], check=True, capture_output=True)
    options = [f"--socket={folder / 's'}", f"--port={port}", "--bind-address=127.0.0.1"]
    fast = ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M", "--default-time-zone=+00:00"]
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen([server, *own, *options, *fast], stdout=output, stderr=output)
    try:
        connection = connected(process, str(folder / "s"))
        with connection, connection.cursor() as cursor:
            cursor.execute("create user rec@'127.0.0.1' identified by 'secret'")
            cursor.execute("grant all on *.* to rec@'127.0.0.1'")
        yield f"mysql://rec:secret@127.0.0.1:{port}/mysql"
    finally:
        process.kill()
        process.wait()


def connected(process, place, seconds=60):
    """A connection of root to a MariaDB that is starting."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return pymysql.connect(unix_socket=place, user="root")
        except pymysql.OperationalError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
