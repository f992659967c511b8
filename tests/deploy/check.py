"""The README's deployment snippets, each taken from the text and run. Only addresses are changed. Started by run.sh."""

import http.client
import http.server
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

GATEWAY = os.path.abspath(sys.argv[1])
README = open("README.md").read()
FOLDER = tempfile.mkdtemp(prefix="llm-wrapper-deploy-")
EVENTS, PACE_S = 20, 0.05
UPSTREAM, A, B, PROXY = 18601, 18602, 18603, 18604
running = []


def block(language):
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.S | re.M)
    assert len(found) >= 1, f"the README has no {language} block"
    return found[-1]


def write(name, text):
    path = os.path.join(FOLDER, name)
    with open(path, "w") as file:
        file.write(text)
    return path


class Upstream(http.server.BaseHTTPRequestHandler):
    """A stream of events at a steady pace."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number in range(EVENTS):
            event = b"data: %d\n\n" % number
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
            time.sleep(PACE_S)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a replica was killed


def wait_for(port):
    for _ in range(400):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.025)
    raise AssertionError(f"nothing listens on {port}")


def spawn(name, *command, port, **options):
    log = open(os.path.join(FOLDER, f"{name}.log"), "w")
    child = subprocess.Popen(command, stdout=log, stderr=log, **options)
    running.append(child)
    wait_for(port)
    return child


def stop(child):
    child.send_signal(signal.SIGTERM)
    child.wait(10)
    running.remove(child)


def gateway(port):
    config = write("config.yaml", f"upstreams: [{{name: m, base_url: 'http://127.0.0.1:{UPSTREAM}'}}]\n")
    return spawn(f"gateway-{port}", GATEWAY, "-c", config, "-a", f"127.0.0.1:{port}", port=port)


def stream(port, path="/v1/chat/completions"):
    """The payload of one stream, and how long before its end the first event came."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", path, '{"model":"m","stream":true}', {"content-type": "application/json"})
    answer = connection.getresponse()
    first = answer.read(len(b"data: 0\n\n"))
    came = time.monotonic()
    rest = answer.read()
    assert answer.status == 200, (answer.status, first + rest)
    return first + rest, time.monotonic() - came


WHOLE = b"".join(b"data: %d\n\n" % number for number in range(EVENTS))


def check_stream(port, path="/v1/chat/completions"):
    payload, ahead_s = stream(port, path)
    assert payload == WHOLE, payload
    assert ahead_s > EVENTS * PACE_S * 0.7, f"the first event came only {ahead_s:.2f} s before the end: something buffers"


def systemd():
    unit = block("systemd").replace("/usr/local/bin/llm-wrapper", GATEWAY)
    path = write("llm-wrapper.service", unit)
    done = subprocess.run(["systemd-analyze", "verify", path], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    complaints = [line for line in done.stdout.splitlines() if "llm-wrapper" in line]
    assert done.returncode == 0 and not complaints, done.stdout
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", path], text=True, stdout=subprocess.PIPE)
    return [line for line in done.stdout.splitlines() if "Overall" in line][0].lstrip("→ ")


def procd():
    script = block("procd").replace("/usr/bin/llm-wrapper", GATEWAY).replace("192.168.1.1:3000", f"127.0.0.1:{A}")
    script = script.replace("/etc/llm-wrapper", os.path.join(FOLDER, "etc/llm-wrapper"))
    if os.getuid() != 0:
        script = script.replace("PUID=65534 PGID=65534 ", "")
    else:
        os.chmod(FOLDER, 0o755)
        os.makedirs(os.path.join(FOLDER, "etc"))
    # What procd does with these words, as far as they concern us (OpenWrt, procd.sh).
    stub = """
procd_open_instance() { :; }
procd_close_instance() { exec env $environment sh -c "ulimit -n 4096; exec $command"; }
procd_send_signal() { :; }
procd_set_param() { key=$1; shift; case $key in
    command) command="$*" ;; env) environment="$*" ;; limits | respawn | term_timeout | stderr) ;; *) echo "unknown: $key" >&2; exit 1 ;; esac; }
"""
    child = spawn("procd", "sh", "-eu", write("procd.sh", stub + script + "\nstart_service\n"), port=A)
    connection = http.client.HTTPConnection("127.0.0.1", A, timeout=10)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    with open(f"/proc/{child.pid}/status") as file:
        uid = next(line.split()[1] for line in file if line.startswith("Uid:"))
    stop(child)
    return f"runs as uid {uid}"


def nginx():
    for folder in ["temp"]:
        os.makedirs(os.path.join(FOLDER, folder), exist_ok=True)
    temp = "".join(f"{kind}_temp_path {FOLDER}/temp;" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    servers = block("nginx").replace("127.0.0.1:3000", f"127.0.0.1:{A}").replace("listen 80;", f"listen 127.0.0.1:{PROXY};")
    path = write("nginx.conf", f"daemon off; pid {FOLDER}/nginx.pid; error_log {FOLDER}/nginx.log; events {{}}\nhttp {{ access_log off; {temp}\n{servers}}}\n")
    subprocess.run(["nginx", "-q", "-t", "-e", f"{FOLDER}/nginx.log", "-c", path], check=True)
    replica, proxy = gateway(A), spawn("nginx", "nginx", "-e", f"{FOLDER}/nginx.log", "-c", path, port=PROXY)
    check_stream(PROXY)
    check_stream(PROXY, "/llm/v1/chat/completions")
    stop(proxy)
    stop(replica)
    return "nginx -t, and a stream through / and /llm/"


def caddy():
    text = block("caddy").replace("127.0.0.1:3000", f"127.0.0.1:{A}").replace(":80 {", f"http://127.0.0.1:{PROXY} {{")
    path = write("Caddyfile", "{\n\tadmin off\n}\n" + text)
    environment = {**os.environ, "XDG_DATA_HOME": FOLDER, "XDG_CONFIG_HOME": FOLDER}
    replica = gateway(A)
    proxy = spawn("caddy", "caddy", "run", "--adapter", "caddyfile", "--config", path, port=PROXY, env=environment)
    check_stream(PROXY)
    check_stream(PROXY, "/llm/v1/chat/completions")
    stop(proxy)
    stop(replica)
    return "a stream through / and /llm/"


class Crowd:
    """Streams one after another on many threads, until told to stop."""

    def __init__(self, clients):
        self.lock, self.stopped = threading.Lock(), False
        self.whole, self.broken = 0, []
        self.threads = [threading.Thread(target=self.work) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def work(self):
        while not self.stopped:
            try:
                payload, _ = stream(PROXY)
                assert payload == WHOLE, "a stream that ended politely lacks events"
                with self.lock:
                    self.whole += 1
            except Exception as error:
                with self.lock:
                    self.broken.append(repr(error))

    def end(self):
        self.stopped = True
        for thread in self.threads:
            thread.join()


def streams_on(server):
    """The requests that HAProxy has under way on that server."""
    with socket.socket(socket.AF_UNIX) as stats:
        stats.connect(f"{FOLDER}/haproxy.sock")
        stats.sendall(b"show stat\n")
        table = stats.makefile().read()
    rows = [line.split(",") for line in table.splitlines()]
    return next(int(row[4]) for row in rows if row[:2] == ["replicas", server])


def haproxy():
    text = block("haproxy").replace("10.0.0.11:3000", f"127.0.0.1:{A}").replace("10.0.0.12:3000", f"127.0.0.1:{B}")
    text = f"global\n    stats socket {FOLDER}/haproxy.sock\n{text}"
    path = write("haproxy.cfg", text.replace("bind :3000", f"bind 127.0.0.1:{PROXY}"))
    subprocess.run(["haproxy", "-c", "-q", "-f", path], check=True)
    first, second = gateway(A), gateway(B)
    proxy = spawn("haproxy", "haproxy", "-db", "-f", path, port=PROXY)
    time.sleep(2.5)  # the first health checks
    check_stream(PROXY)

    # A rolling restart under load: nothing is lost.
    crowd = Crowd(20)
    time.sleep(1.5)
    stop(first)
    time.sleep(2)
    first = gateway(A)
    time.sleep(2)
    crowd.end()
    assert not crowd.broken, crowd.broken
    rolled = crowd.whole

    # One killed under load: its own streams are lost and no other.
    time.sleep(2)
    crowd = Crowd(20)
    time.sleep(1.3)
    at_risk = streams_on("a")
    first.kill()
    first.wait()
    running.remove(first)
    time.sleep(3)
    crowd.end()
    assert 0 < at_risk < 20, f"{at_risk} of 20 streams were on the killed replica"
    # One may have come and gone between the count and the kill.
    assert len(crowd.broken) <= at_risk + 1, (at_risk, crowd.broken)
    assert crowd.whole > 20
    killed = f"{crowd.whole} whole, {len(crowd.broken)} broken of {at_risk} on the killed one"
    proxy.kill()
    proxy.wait()
    running.remove(proxy)
    stop(second)
    return f"rolling restart: {rolled} streams, none broken; one killed: {killed}"


def kubernetes():
    import yaml
    documents = list(yaml.safe_load_all(block("yaml")))
    kinds = [document["kind"] for document in documents]
    assert kinds == ["ConfigMap", "Deployment", "Service"], kinds
    path = write("k8s.yaml", documents[0]["data"]["config.yaml"])
    environment = {**os.environ, "CLIENT_KEY": "sk-client", "OPENAI_API_KEY": "sk-openai"}
    subprocess.run([GATEWAY, "--check", "-c", path], check=True, env=environment, stdout=subprocess.DEVNULL)
    pod = documents[1]["spec"]["template"]["spec"]
    mounts = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    return "parses, and its configuration is valid (no cluster here)"


def compose():
    import yaml
    with open("docker-compose.yml") as file:
        service = yaml.safe_load(file)["services"]["llm-wrapper"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["stop_grace_period"] == "40s"
    assert set(service["cap_add"]) == {"CHOWN", "SETGID", "SETUID"}
    return "parses (no Docker engine here)"


def main():
    upstream = Server(("127.0.0.1", UPSTREAM), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    try:
        for check in [systemd, procd, nginx, caddy, haproxy, kubernetes, compose]:
            print(f"{check.__name__}: {check()}", flush=True)
    finally:
        for child in running:
            child.kill()
    subprocess.run(["rm", "-rf", FOLDER])


main()
