"""Servers under load, bare and traced: the same answers, the same end, the same lines in the log, and a whole capture.

    python3 tests/guests/servers.py --heaptide target/release/heaptide --results /tmp/guests

redis-server (redis-benchmark), nginx (wrk, reloaded in the middle), PostgreSQL (pgbench; then one of its backends is killed and it
recovers), memcached (a client below), gunicorn with 4 workers (wrk; one worker killed, reloaded). What is not installed is left out.
gunicorn runs in the interpreter that `--gunicorn` names. PostgreSQL, which does not run as root, is then run as the user
`postgres`.

Outcomes are facts that do not depend on speed: which kinds of requests were answered, how many errors, what is in the
data afterwards, the exit status, which kinds of lines were logged.
"""

import argparse
import glob
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from outcomes import Comparison, capture_faults, traced

SECONDS = 5


def wait_for(ready, what, limit=60):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if ready():
            return
        time.sleep(0.05)
    raise TimeoutError(f"{what} did not happen within {limit} s")


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def kinds_of_lines(place, text):
    """The lines of a log without what differs from run to run (times, numbers, ports, folders), each once."""
    text = text.replace(place.folder, "FOLDER")
    return sorted({re.sub(r"\d+", "#", line).strip() for line in text.splitlines() if line.strip()})


def output_of(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, **options)
    return done.returncode, done.stdout


def wrk(port, outcomes, name, reloaded=False):
    """Loads with 16 connections. A server that is reloaded meanwhile closes each of them once, which wrk counts as an error
    of reading: so many are allowed then."""
    status, said = output_of("wrk", "-t2", "-c16", f"-d{SECONDS}s", "--latency", f"http://127.0.0.1:{port}/")
    outcomes[f"{name}: status"] = status
    outcomes[f"{name}: requests answered"] = int(re.search(r"(\d+) requests in", said).group(1)) > 100
    errors = dict.fromkeys(("connect", "read", "write", "timeout"), 0)
    errors.update((kind, int(count)) for kind, count in re.findall(r"(connect|read|write|timeout) (\d+)", said))
    if reloaded and errors["read"] <= 16:
        errors["read"] = "at most one for each connection"
    outcomes[f"{name}: errors"] = errors
    outcomes[f"{name}: other than 2xx"] = re.findall("Non-2xx.*", said)


class Server:
    """A server that is running, bare or under heaptide, as the child of this process. `pid` is that of the server itself."""

    def __init__(self, place, command, way, user=None, environment=None):
        self.log = os.path.join(place.folder, "log")
        self.capture = os.path.join(place.folder, "capture.bin")
        self.way, self.place = way, place
        if way == "traced":
            command = traced(place.heaptide, self.capture, place.options, command)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=open(self.log, "wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            group=user and pwd.getpwnam(user).pw_gid,
            extra_groups=[] if user else None,
            cwd=place.folder,
            env=environment,
        )

    @property
    def pid(self):
        if self.way == "bare":
            return self.process.pid
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as children:
            return int(children.read().split()[0])

    def children(self):
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as children:
            return [int(pid) for pid in children.read().split()]

    def end(self, number, outcomes):
        """Sends a signal to the server and notes its exit status."""
        pid = self.pid
        os.kill(pid, number)
        try:
            outcomes["exit status"] = self.process.wait(60)
        except subprocess.TimeoutExpired:
            outcomes["exit status"] = "still running after 60 s"
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def faults(self):
        return capture_faults(self.place.heaptide, self.capture) if self.way == "traced" else []

    def said(self):
        with open(self.log, errors="replace") as log:
            return log.read()


class Place:
    def __init__(self, heaptide, options, folder, gunicorn):
        self.heaptide, self.options, self.folder, self.gunicorn = heaptide, options, folder, gunicorn
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)


def redis(place, way):
    port = free_port()
    server = Server(place, ["redis-server", "--port", str(port), "--save", "", "--dir", place.folder], way)
    wait_for(lambda: listens(port), "redis listens")
    outcomes = {}
    status, said = output_of("redis-benchmark", "-p", str(port), "-n", "20000", "-r", "5000", "-d", "300", "-P", "4", "-q", "--csv")
    outcomes["benchmark: status"] = status
    outcomes["benchmark: kinds answered"] = sorted(re.findall(r'^"([A-Z][^"]*)"', said, re.M))
    outcomes["benchmark: errors"] = re.findall(r".*[Ee]rror.*", said)
    ask = lambda *words: output_of("redis-cli", "-p", str(port), *words)[1].strip()
    # What the script leaves does not depend on the machine.
    outcomes["script"] = ask("eval", "for i=1,20000 do redis.call('set','k'..i,string.rep('x',i%700)) end return redis.call('dbsize')>0", "0")
    outcomes["sum"] = ask("eval", "local s=0 for i=1,20000 do s=s+redis.call('strlen','k'..i) end return s", "0")
    outcomes["bgsave"] = ask("bgsave")
    wait_for(lambda: "rdb_bgsave_in_progress:0" in ask("info", "persistence"), "the background save ends")
    info = ask("info")
    outcomes["info"] = re.findall(r"^(?:rdb_last_bgsave_status|total_error_replies|rejected_connections|errorstat.*):?.*$", info, re.M)
    outcomes["defrag"] = ask("memory", "purge")
    outcomes["flush"] = ask("flushall", "async")
    server.end(signal.SIGTERM, outcomes)
    for line in kinds_of_lines(place, re.sub(r"^\d+:\w .*?[*#.-] ", "", server.said(), flags=re.M)):
        outcomes[f"log: {line}"] = "there"
    return outcomes, server.faults()


def nginx(place, way):
    port = free_port()
    site = os.path.join(place.folder, "site")
    os.makedirs(site)
    with open(f"{site}/index.html", "w") as page:
        page.write("0123456789" * 1000)
    os.chmod(place.folder, 0o755)
    configuration = os.path.join(place.folder, "nginx.conf")
    with open(configuration, "w") as file:
        file.write(
            f"daemon off; worker_processes 2; pid {place.folder}/pid; error_log {place.folder}/error.log notice;\n"
            "events { worker_connections 256; }\n"
            f"http {{ access_log off; gzip on; gzip_min_length 1; client_body_temp_path {place.folder}/t1;\n"
            f"proxy_temp_path {place.folder}/t2; fastcgi_temp_path {place.folder}/t3; uwsgi_temp_path {place.folder}/t4;\n"
            f"scgi_temp_path {place.folder}/t5; server {{ listen 127.0.0.1:{port}; root {site}; }} }}\n"
        )
    server = Server(place, ["nginx", "-c", configuration], way)
    wait_for(lambda: listens(port), "nginx listens")
    outcomes = {}
    wrk(port, outcomes, "first load")
    reload = threading.Timer(SECONDS / 2, lambda: os.kill(server.pid, signal.SIGHUP))
    reload.start()
    wrk(port, outcomes, "load while reloading", reloaded=True)
    reload.join()
    status, page = output_of("curl", "-s", "--compressed", f"http://127.0.0.1:{port}/")
    outcomes["page"] = (status, page == "0123456789" * 1000)
    server.end(signal.SIGQUIT, outcomes)
    with open(f"{place.folder}/error.log", errors="replace") as log:
        text = re.sub(r"^\S+ \S+ ", "", log.read(), flags=re.M)
    for line in kinds_of_lines(place, text):
        # Which worker's end the master hears of first is chance, and so is whether one signal tells of both.
        if "signal # (SIGCHLD) received" not in line and "signal # (SIGIO) received" not in line:
            outcomes[f"log: {line}"] = "there"
    return outcomes, server.faults()


def postgres(place, way):
    programs = (glob.glob("/usr/lib/postgresql/*/bin") or [os.path.dirname(shutil.which("initdb") or "")])[-1]
    user = "postgres" if os.getuid() == 0 else None
    identity = dict(user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=[]) if user else {}
    if user:
        shutil.chown(place.folder, user)
    port, data = free_port(), os.path.join(place.folder, "data")
    outcomes = {}
    environment = {**os.environ, "PGHOST": place.folder, "PGPORT": str(port), "PGUSER": "postgres", "LC_ALL": "C"}
    inside = dict(env=environment, cwd=place.folder, **identity)
    command = [f"{programs}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"]
    # initdb starts the server many times over pipes: worth a capture of its own.
    first = os.path.join(place.folder, "initdb.bin")
    outcomes["initdb: status"], said = output_of(
        *(traced(place.heaptide, first, place.options, command) if way == "traced" else command), **inside
    )
    for line in kinds_of_lines(place, said):
        # Chooses them by what the machine has left at that moment.
        if not line.startswith(("selecting default", "performing post", "running bootstrap")):
            outcomes[f"initdb: {line}"] = "there"
    command = [f"{programs}/postgres", "-D", data, "-p", str(port), "-k", place.folder, "-h", "", "-c", "restart_after_crash=on",
               "-c", "autovacuum_naptime=2", "-c", "max_parallel_workers_per_gather=2", "-c", "min_parallel_table_scan_size=0",
               "-c", "parallel_setup_cost=0", "-c", "jit=on", "-c", "jit_above_cost=1000"]
    server = Server(place, command, way, user, environment)
    ready = lambda: output_of(f"{programs}/pg_isready", "-q", **inside)[0] == 0
    wait_for(ready, "PostgreSQL is ready")
    ask = lambda sql: output_of(f"{programs}/psql", "-XAtqc", sql, **inside)[1].strip()
    outcomes["pgbench -i"] = output_of(f"{programs}/pgbench", "-i", "-q", "-s", "3", **inside)[0]

    def load(name, *options):
        status, said = output_of(f"{programs}/pgbench", "-c", "4", "-j", "2", *options, **inside)
        outcomes[f"{name}: status"] = status
        outcomes[f"{name}: failed"] = re.findall(r"number of failed transactions.*", said)
        outcomes[f"{name}: done"] = re.findall(r"actually processed: .*", said)

    load("writing", "-t", "400")
    load("prepared", "-t", "400", "-M", "prepared", "-S")
    outcomes["parallel query"] = ask("select count(*), count(distinct bid), sum(aid) from pgbench_accounts where aid % 3 = 1")
    outcomes["index, vacuum"] = ask("create index on pgbench_accounts (bid, filler); vacuum full analyze pgbench_accounts; select 1")
    outcomes["history"] = ask("select count(*) from pgbench_history")
    outcomes["sums agree"] = ask(
        "select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history) "
        "and (select sum(tbalance) from pgbench_tellers) = (select sum(delta) from pgbench_history)"
    )
    # A backend dies by SIGKILL: the server ends all others and recovers.
    outcomes["backend killed"] = bool(ask("select pg_backend_pid(); select pg_sleep(0)"))
    asleep = subprocess.Popen([f"{programs}/psql", "-Xqc", "select pg_sleep(100)"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **inside)
    find = "select pid from pg_stat_activity where query = 'select pg_sleep(100)'"
    wait_for(lambda: ask(find).isdigit(), "the backend sleeps")
    os.kill(int(ask(find)), signal.SIGKILL)
    outcomes["client of the killed backend"] = asleep.wait(60)
    wait_for(lambda: ask("select 1") == "1", "PostgreSQL has recovered")
    outcomes["history after recovery"] = ask("select count(*) from pgbench_history")
    load("after recovery", "-t", "100")
    server.end(signal.SIGINT, outcomes)
    lines = re.sub(r"^\S+ \S+ \S+ \[\d+\] ", "", server.said(), flags=re.M)
    for line in kinds_of_lines(place, re.sub(r"[0-9A-F]+/[0-9A-F]+", "#/#", lines)):
        # How much is to do depends on where the last checkpoint was.
        if not re.search(r"checkpoint (starting|complete)|terminating connection because of crash|^(DETAIL|HINT)|FATAL:.*(starting up|recovery mode)", line):
            outcomes[f"log: {line}"] = "there"
    faults = server.faults()
    if way == "traced":
        faults += [f"initdb: {fault}" for fault in capture_faults(place.heaptide, first)]
    return outcomes, faults


def memcached(place, way):
    port = free_port()
    command = ["memcached", "-p", str(port), "-l", "127.0.0.1", "-t", "4", "-m", "64"]
    if os.getuid() == 0:
        command += ["-u", "nobody"]
    server = Server(place, command, way)
    wait_for(lambda: listens(port), "memcached listens")
    wrong = []

    def client(number):
        stream = socket.create_connection(("127.0.0.1", port)).makefile("rwb")
        for i in range(4000):
            key, value = f"k{number}-{i % 500}".encode(), (b"%d" % i) * (1 + i % 97)
            stream.write(b"set %s 0 0 %d\r\n%s\r\nget %s\r\n" % (key, len(value), value, key))
            stream.flush()
            answer = [stream.readline(), stream.readline(), stream.read(len(value) + 2), stream.readline()]
            if answer[0] != b"STORED\r\n" or answer[2] != value + b"\r\n" or answer[3] != b"END\r\n":
                wrong.append(answer)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    outcomes = {"wrong answers": wrong}
    with socket.create_connection(("127.0.0.1", port)) as control:
        control.sendall(b"stats\r\n")
        stats = control.recv(65536).decode()
    outcomes["stats"] = re.findall(r"STAT (?:cmd_get|cmd_set|get_misses|curr_items|threads|evictions|malloc_fails) \d+", stats)
    server.end(signal.SIGTERM, outcomes)
    for line in kinds_of_lines(place, server.said()):
        outcomes[f"log: {line}"] = "there"
    return outcomes, server.faults()


APPLICATION = '''import json, threading, os
def application(environ, start_response):
    rows = [{"number": i, "text": "x" * (i % 50)} for i in range(200)]
    body = json.dumps(rows).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
'''


def gunicorn(place, way, *options):
    port = free_port()
    with open(os.path.join(place.folder, "application.py"), "w") as file:
        file.write(APPLICATION)
    server = Server(place, [place.gunicorn, "-m", "gunicorn", "-w", "4", "-b", f"127.0.0.1:{port}", *options, "application:application"], way)
    wait_for(lambda: listens(port), "gunicorn listens")
    wait_for(lambda: len(server.children()) == 4, "four workers run")
    outcomes = {}
    wrk(port, outcomes, "first load")
    before = server.children()
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: before[0] not in server.children() and len(server.children()) == 4, "the worker is replaced")
    os.kill(server.pid, signal.SIGHUP)
    wait_for(lambda: not set(before) & set(server.children()) and len(server.children()) == 4, "all workers are new")
    time.sleep(1)
    wrk(port, outcomes, "load after reloading")
    server.end(signal.SIGTERM, outcomes)
    text = re.sub(r"^\[.*?\] \[\d+\] ", "", server.said(), flags=re.M)
    for line in kinds_of_lines(place, text):
        outcomes[f"log: {line}"] = "there"
    return outcomes, server.faults()


def available(gunicorn_python):
    servers = {}
    if shutil.which("redis-server") and shutil.which("redis-benchmark"):
        servers["redis"] = redis
    if shutil.which("nginx") and shutil.which("wrk"):
        servers["nginx"] = nginx
    if glob.glob("/usr/lib/postgresql/*/bin/pgbench") or (shutil.which("initdb") and shutil.which("pgbench")):
        servers["postgres"] = postgres
    if shutil.which("memcached"):
        servers["memcached"] = memcached
    if gunicorn_python and shutil.which("wrk"):
        servers["gunicorn"] = gunicorn
        servers["gunicorn gthread"] = lambda place, way: gunicorn(place, way, "-k", "gthread", "--threads", "4")
    return servers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heaptide", default="target/release/heaptide", help="the binary [default: %(default)s]")
    parser.add_argument("--results", default="guests-results", help="folder for logs and data [default: %(default)s]")
    parser.add_argument("--option", action="append", default=[], help="passed to `heaptide run`, as --option=--native")
    parser.add_argument("--gunicorn", help="a Python that has gunicorn; without, gunicorn is left out")
    parser.add_argument("servers", nargs="*", help="only these")
    options = parser.parse_args()
    comparison = Comparison(f"servers {' '.join(options.option)}".strip())
    servers = available(options.gunicorn and os.path.abspath(options.gunicorn))
    for name, serve in servers.items():
        if options.servers and name not in options.servers:
            continue

        def once(way, number):
            folder = os.path.join(os.path.abspath(options.results), "servers" + "".join(options.option), f"{name.replace(' ', '-')}-{way}-{number}")
            place = Place(os.path.abspath(options.heaptide), options.option, folder, options.gunicorn and os.path.abspath(options.gunicorn))
            outcomes, faults = serve(place, way)
            return {key: str(value) for key, value in outcomes.items()}, faults

        comparison.unit(name, once)
    for name in ("redis", "nginx", "postgres", "memcached", "gunicorn"):
        if name not in servers:
            print(f"servers: {name} or what loads it is not installed, left out")
    sys.exit(0 if comparison.finish() else 1)


if __name__ == "__main__":
    main()
