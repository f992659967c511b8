"""Runs direct, nginx, HAProxy and llm-wrapper by turns, each proxy pinned to one core, and prints what each costs.

Started by run.sh. CPU is user and system time of the proxy's processes, from /proc/PID/task/*/schedstat (nanoseconds), else
from /proc/PID/stat. Client and upstream share another core. Every answer is compared byte by byte by the client, every
large request's length by the upstream; anything wrong ends the run with an error. Where llm-wrapper converts, the others forward
what the upstream speaks, and its client finds every piece of the upstream's text in an event of its own.
"""

import argparse
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

GATEWAY = os.environ["BENCH_GATEWAY"]
LOAD = os.environ["BENCH_LOAD"]
FOLDER = os.path.abspath("target/bench")
CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE, LOAD_CORE = str(CORES[-1]), str(CORES[0])
PORTS = {"direct": 18400, "nginx": 18401, "haproxy": 18402, "llm-wrapper": 18403}
TLS_PORT = 18410
CA = os.path.join(FOLDER, "ca.pem")

# name: (mode of load.rs, connections, requests a round, TLS upstream, access log, what it is)
TRAFFIC = {
    "json": ("json", 16, 20_000, False, False, "1 KB request and answer, log off"),
    "log": ("json", 16, 20_000, False, True, "1 KB request and answer, access log on"),
    "latency": ("json", 1, 4_000, False, False, "1 KB, one connection: latency"),
    "burst": ("burst", 16, 4_000, False, False, "stream of 100 events, back to back"),
    "paced": ("paced", 50, 200, False, False, "stream of 100 events, one each 5 ms, 50 at once"),
    "prose": ("prose", 4, 300, False, False, "2 MB request, prose"),
    "code": ("code", 4, 300, False, False, "2 MB request, escaped source code"),
    "tls": ("json", 16, 20_000, True, False, "1 KB over a TLS upstream, connections reused"),
}
# name: (streams, TLS upstream)
HELD = {"held": (1_000, False), "held-9000": (9_000, False), "held-tls": (1_000, True), "held-tls-9000": (9_000, True)}
# A client of the first on an upstream of the second.
PAIRS = [("chat", "messages"), ("messages", "chat"), ("responses", "chat"), ("messages", "responses"), ("chat", "responses"), ("responses", "messages")]
# name: (mode, connections, requests a round, client, upstream, what it is)
CONVERTED = {f"{mode}-{client}-{upstream}": (mode, connections, requests, client, upstream, what)
             for mode, connections, requests, what in [
                 ("json", 16, 10_000, "1 KB request and answer"),
                 ("burst", 16, 2_000, "stream of 100 events, back to back"),
                 ("paced", 50, 200, "stream of 100 events, one each 5 ms, 50 at once")]
             for client, upstream in PAIRS}
# name: (streams, client, upstream)
HELD_CONVERTED = {f"held-{client}-{upstream}": (9_000, client, upstream) for client, upstream in PAIRS}
OTHERS = ["burst-memory", "start", "size", "allocations"]


def say(text=""):
    print(text, flush=True)
    with open(os.path.join(FOLDER, "results.md"), "a") as file:
        file.write(text + "\n")


def fail(text):
    sys.exit(f"bench: {text}")


def write(name, text):
    path = os.path.join(FOLDER, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def nginx(tls, log):
    access = f"access_log {FOLDER}/nginx-access.log" if log else "access_log off"
    scheme, port = ("https", TLS_PORT) if tls else ("http", PORTS["direct"])
    verify = f"""
      proxy_ssl_trusted_certificate {CA};
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
      proxy_ssl_server_name on;
      proxy_ssl_protocols TLSv1.3;""" if tls else ""
    # Request buffering off: else nginx writes large bodies to a file first. Limits far away: no connection is closed in between.
    return ["nginx", "-e", f"{FOLDER}/nginx-error.log", "-c", write("nginx.conf", f"""
user root;
daemon off;
pid {FOLDER}/nginx.pid;
worker_processes 1;
worker_rlimit_nofile {hard_limit()};
error_log {FOLDER}/nginx-error.log;
events {{ worker_connections {hard_limit() - 100}; }}
http {{
  {access};
  client_body_temp_path {FOLDER}/temp; proxy_temp_path {FOLDER}/temp;
  fastcgi_temp_path {FOLDER}/temp; uwsgi_temp_path {FOLDER}/temp; scgi_temp_path {FOLDER}/temp;
  keepalive_requests 1000000000;
  upstream up {{ server 127.0.0.1:{port}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{PORTS["nginx"]} backlog=4096;
    client_max_body_size 64m;
    location / {{
      proxy_pass {scheme}://up;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 600s;{verify}
    }}
  }}
}}
""")]


def haproxy(tls, log):
    port = TLS_PORT if tls else PORTS["direct"]
    ssl = f" ssl verify required ca-file {CA} sni str(localhost) verifyhost localhost" if tls else ""
    logging = "  log stdout format raw local0\n  option httplog\n" if log else ""
    return ["haproxy", "-db", "-f", write("haproxy.cfg", f"""
global
  nbthread 1
  maxconn {min(9_500, hard_limit() // 2 - 100)}
defaults
  mode http
{logging}  timeout connect 10s
  timeout client 600s
  timeout server 600s
  option http-no-delay
  http-reuse always
frontend in
  bind 127.0.0.1:{PORTS["haproxy"]} backlog 4096
  default_backend up
backend up
  server up 127.0.0.1:{port}{ssl}
""")]


def llm_wrapper(tls, log):
    base = f"https://localhost:{TLS_PORT}" if tls else f"http://127.0.0.1:{PORTS['direct']}"
    ca = f", ca_file: {CA}" if tls else ""
    # The target model's name is as long as the alias: the upstream tells the client how many bytes came.
    return [GATEWAY, "-a", f"127.0.0.1:{PORTS['llm-wrapper']}", "-c", write("config.yaml", f"""
upstreams:
  - {{name: up, base_url: "{base}", auth: {{type: api_key, key: sk-bench-upstream}}{ca}}}
  - {{name: chat, base_url: "{base}", auth: {{type: api_key, key: sk-bench-upstream}}{ca},
      support_chat_completions: true, support_responses: false, support_anthropic_messages: false}}
  - {{name: messages, base_url: "{base}", auth: {{type: api_key, key: sk-bench-upstream}}{ca},
      support_chat_completions: false, support_responses: false, support_anthropic_messages: true}}
  - {{name: responses, base_url: "{base}", auth: {{type: api_key, key: sk-bench-upstream}}{ca},
      support_chat_completions: false, support_responses: true, support_anthropic_messages: false}}
aliases:
  - {{alias: bench, target_model: other, upstream: up}}
  - {{alias: bench-chat, target_model: other, upstream: chat}}
  - {{alias: bench-messages, target_model: other, upstream: messages}}
  - {{alias: bench-responses, target_model: other, upstream: responses}}
""")]


PROXIES = {"nginx": nginx, "haproxy": haproxy, "llm-wrapper": llm_wrapper}


def hard_limit():
    import resource
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65_536)


def wait_for(port):
    for _ in range(400):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.025)
    fail(f"nothing listens on port {port}")


class Proxy:
    """A proxy on its core, and its children with it."""

    def __init__(self, name, tls=False, log=False):
        self.name, self.port = name, PORTS[name]
        self.child = None
        if name == "direct":
            self.port = TLS_PORT if tls else self.port
            return
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                fail(f"port {self.port} is taken")
        output = open(os.path.join(FOLDER, f"{name}.log"), "w")
        environment = {**os.environ, "LOG": "info" if log else "warn"}
        command = ["taskset", "-c", PROXY_CORE, *PROXIES[name](tls, log)]
        self.child = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        wait_for(self.port)

    def pids(self):
        """The process and its children (nginx's worker)."""
        found = [self.child.pid]
        for pid in found:
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                found.extend(int(child) for child in file.read().split())
        return found

    def cpu_ns(self):
        total = 0
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                try:
                    with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                        total += int(file.read().split()[0])
                except FileNotFoundError:
                    with open(f"/proc/{pid}/stat") as file:
                        fields = file.read().rsplit(") ", 1)[1].split()
                    total += (int(fields[11]) + int(fields[12])) * 10**9 // os.sysconf("SC_CLK_TCK")
                    break
        return total

    def resident_kb(self):
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/status") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
        return total

    def stop(self):
        if self.child:
            if self.child.poll() is not None:
                fail(f"{self.name} ended during the run, see {FOLDER}/{self.name}.log")
            self.child.send_signal(signal.SIGINT if self.name == "haproxy" else signal.SIGTERM)
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


def load(*words, **options):
    return subprocess.Popen(["taskset", "-c", LOAD_CORE, LOAD, *map(str, words)], text=True, stdout=subprocess.PIPE, **options)


def run(proxy, mode, connections, requests, pair=()):
    """One round: requests per second, p50 and p99 in µs, CPU in µs a request."""
    before = proxy.cpu_ns() if proxy.child else 0
    client = load("run", f"127.0.0.1:{proxy.port}", mode, connections, requests, *pair)
    words = client.communicate()[0].split()
    if client.returncode or len(words) != 4:
        fail(f"{proxy.name} failed at {mode}")
    count, seconds, p50, p99 = int(words[0]), float(words[1]), int(words[2]), int(words[3])
    cpu = (proxy.cpu_ns() - before) / 1000 / count if proxy.child else 0.0
    return count / seconds, p50, p99, cpu


def ratio(ours, others):
    """The median of the rounds' ratios: a noisy moment hits both sides of its round."""
    return statistics.median(a / b for a, b in zip(ours, others))


def pair_of(n, client, upstream):
    """Who speaks what: the others forward, so their client speaks as the upstream does."""
    return (client, upstream) if n == "llm-wrapper" else (upstream, upstream)


def traffic(name, rounds):
    if name in CONVERTED:
        mode, connections, requests, client, upstream, what = CONVERTED[name]
        tls, log, what = False, False, f"{what}, {client} client on {upstream} upstream"
    else:
        mode, connections, requests, tls, log, what = TRAFFIC[name]
        client = upstream = "chat"
    names = [n for n in ["direct", *PROXIES] if not (tls and n == "direct") and not (log and n == "haproxy")]
    results = {n: [] for n in names}
    proxies = {n: Proxy(n, tls, log) for n in names}
    try:
        for n in names:
            run(proxies[n], mode, connections, max(connections, requests // 10), pair_of(n, client, upstream))  # warm
        for _ in range(rounds):
            for n in names:
                results[n].append(run(proxies[n], mode, connections, requests, pair_of(n, client, upstream)))
    finally:
        for proxy in proxies.values():
            proxy.stop()
    column = lambda n, i: [r[i] for r in results[n]]
    middle = lambda n, i: statistics.median(column(n, i))
    say(f"\n**{what}** ({name}: {rounds} rounds of {requests}, {connections} connections)\n")
    say("| | requests/s | added p50 µs | added p99 µs | CPU µs/request | CPU beside nginx |")
    say("|---|---:|---:|---:|---:|---:|")
    for n in names:
        if "direct" in names:
            added = [f"{middle(n, i) - middle('direct', i):.0f}" if n != "direct" else f"({middle(n, i):.0f})" for i in (1, 2)]
        else:
            added = [f"({middle(n, i):.0f})" for i in (1, 2)]
        beside = f"{ratio(column(n, 3), column('nginx', 3)):.2f}" if n != "direct" else ""
        cpu = f"{middle(n, 3):.1f}" if n != "direct" else ""
        say(f"| {n} | {middle(n, 0):.0f} | {added[0]} | {added[1]} | {cpu} | {beside} |")
    if "haproxy" in names:
        say(f"\nllm-wrapper beside HAProxy: {ratio(column('llm-wrapper', 3), column('haproxy', 3)):.2f}")


def held(name):
    if name in HELD_CONVERTED:
        count, client, upstream = HELD_CONVERTED[name]
        tls, what = False, f", {client} client on {upstream} upstream"
    else:
        count, tls = HELD[name]
        client, upstream, what = "chat", "chat", ", TLS upstream" if tls else ""
    promised = min(count, (hard_limit() - 64) // 2)
    say(f"\n**{count} held streams{what}** ({name})\n")
    say("| | held | completed | KB/stream | resident MB |")
    say("|---|---:|---:|---:|---:|")
    for n in PROXIES:
        proxy = Proxy(n, tls)
        try:
            pair = pair_of(n, client, upstream)
            run(proxy, "json", 16, 500, pair)
            before = proxy.resident_kb()
            holder = load("hold", f"127.0.0.1:{proxy.port}", count, *pair, stdin=subprocess.PIPE)
            held_count = int(holder.stdout.readline().split()[1])
            time.sleep(1)
            after = proxy.resident_kb()
            release(tls)
            holder.stdin.write("\n")
            holder.stdin.flush()
            completed = int(holder.stdout.readline().split()[1])
            holder.wait()
        finally:
            proxy.stop()
        say(f"| {n} | {held_count} | {completed} | {(after - before) / max(held_count, 1):.1f} | {after / 1024:.1f} |")
        if n == "llm-wrapper" and (held_count < promised or completed < promised):
            fail(f"{held_count} streams held, {completed} completed, {promised} promised")


def release(tls):
    """Lets the upstream end what it holds. Over TLS by curl's simplest relative: the standard library."""
    import ssl
    address = ("127.0.0.1", TLS_PORT if tls else PORTS["direct"])
    with socket.create_connection(address) as plain:
        stream = ssl.create_default_context(cafile=CA).wrap_socket(plain, server_hostname="localhost") if tls else plain
        stream.sendall(b"GET /release HTTP/1.1\r\nHost: bench\r\n\r\n")
        if not stream.recv(100).startswith(b"HTTP/1.1 204"):
            fail("the upstream did not release its streams")


def burst_memory():
    say("\n**Resident memory** (50 requests of 2 MB at once, then 30 s of rest)\n")
    say("| | idle MB | after the burst MB | 30 s later MB |")
    say("|---|---:|---:|---:|")
    for n in PROXIES:
        proxy = Proxy(n)
        try:
            idle = proxy.resident_kb()
            run(proxy, "prose", 50, 50)
            after = proxy.resident_kb()
            time.sleep(30)
            later = proxy.resident_kb()
        finally:
            proxy.stop()
        say(f"| {n} | {idle / 1024:.1f} | {after / 1024:.1f} | {later / 1024:.1f} |")


def start(rounds):
    say("\n**Start to first served request** (median and best of %d)\n" % (rounds * 3))
    say("| | ms | best ms |")
    say("|---|---:|---:|")
    for n, command in PROXIES.items():
        times = []
        for _ in range(rounds * 3):
            client = load("start", f"127.0.0.1:{PORTS[n]}", *command(False, False), env={**os.environ, "LOG": "warn"})
            times.append(float(client.communicate()[0]))
        say(f"| {n} | {statistics.median(times):.1f} | {min(times):.1f} |")


def size():
    say("\n**Size on disk**\n")
    say("| | MB |")
    say("|---|---:|")
    for n, path in {"llm-wrapper": GATEWAY, "nginx": shutil.which("nginx"), "haproxy": shutil.which("haproxy")}.items():
        say(f"| {n} | {os.path.getsize(path) / 1e6:.2f} |")


def allocations():
    say("\n**Allocations of the worker thread**\n")
    done = subprocess.run(["cargo", "bench", "--quiet", "--bench", "allocations"], text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if done.returncode:
        fail("the bench of allocations failed")
    say(done.stdout.strip())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("scenarios", nargs="*")
    asked = parser.parse_args()
    everything = [*TRAFFIC, *CONVERTED, *HELD, *HELD_CONVERTED, *OTHERS]
    asked.scenarios = [one for name in asked.scenarios for one in ([*CONVERTED, *HELD_CONVERTED] if name == "converted" else [name])]
    for name in asked.scenarios:
        if name not in everything:
            fail(f"no scenario {name}; there are {', '.join(everything)}")
    if len(CORES) < 2:
        fail("one core for the proxy and one for client and upstream are needed")
    os.makedirs(os.path.join(FOLDER, "temp"), exist_ok=True)
    open(os.path.join(FOLDER, "results.md"), "w").close()
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    say(f"{time.strftime('%Y-%m-%d %H:%M')}, {cpu}, {len(CORES)} cores, Linux {platform.release()}, load average {os.getloadavg()[0]:.1f} at the start")

    upstreams = [load("upstream", f"127.0.0.1:{PORTS['direct']}"), load("upstream", f"127.0.0.1:{TLS_PORT}", CA)]
    try:
        wait_for(PORTS["direct"])
        wait_for(TLS_PORT)
        for name in asked.scenarios or everything:
            if name in TRAFFIC or name in CONVERTED:
                traffic(name, asked.rounds)
            elif name in HELD or name in HELD_CONVERTED:
                held(name)
            elif name == "start":
                start(asked.rounds)
            else:
                {"burst-memory": burst_memory, "size": size, "allocations": allocations}[name]()
    finally:
        for upstream in upstreams:
            upstream.kill()
            upstream.wait()


main()
