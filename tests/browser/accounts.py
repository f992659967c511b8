#!/usr/bin/env python3
"""Claude and Codex accounts in a real browser: a real gateway, the stand-in for CLIProxyAPI (tests/fake_sidecar) as its
sidecar, and a provider's page that is played here. Arguments as for webui.py, whose rooms these are."""
import json
import os
import re
import signal
import socket
import stat
import sys
import tempfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler

from playwright.sync_api import expect

import stage
import webui
from webui import keys, tab_to

FAKE = os.environ.get("FAKE_SIDECAR", os.path.join(stage.ROOT, "target", "debug", "examples", "fake-cliproxyapi"))
PORTS = (54545, 1455)


# ------------------------------------------------------------------------------------------------ the stage
class Provider(BaseHTTPRequestHandler):
    """The provider's page: who agrees is sent back with a code, which here is the account's name."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        asked = dict(urllib.parse.parse_qsl(self.path.partition("?")[2]))
        back = "%s?code=alice&state=%s" % (asked["redirect_uri"], asked["state"])
        body = ("<!doctype html><title>Provider</title><p>Let llm-wrapper in?</p><a href=\"%s\">Agree</a>" % back.replace("&", "&amp;")).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def start_provider():
    server = stage.Server(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "http://127.0.0.1:%d/authorize" % server.server_address[1]


HELD = {}


def hold_ports():
    """Takes the ports that logins end on, so that no page loads there, as on any machine but the gateway's own."""
    for port in set(PORTS) - set(HELD):
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("0.0.0.0", port))
            taken.listen()
            HELD[port] = taken
            threading.Thread(target=hang_up, args=(taken,), daemon=True).start()
        except OSError:
            taken.close()  # another run of these tests has it, which does as well


def hang_up(taken):
    while True:
        try:
            taken.accept()[0].close()
        except OSError:
            return  # released


def release_ports():
    while HELD:
        taken = HELD.popitem()[1]
        taken.shutdown(socket.SHUT_RDWR)
        taken.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Bed:
    """A gateway with two account upstreams and a sidecar to be; afterwards nothing secret may have been near the page."""

    def __init__(self, room, beside=False, accounts=(), missing=False, upstreams=("my claude", "codex"), **knobs):
        self.room = room
        self.folder = tempfile.mkdtemp(prefix="llm-wrapper-accounts-")
        self.program = os.path.join(self.folder, "sidecar.sh")
        release_ports() if beside else hold_ports()
        knobs = {"FAKE_PROVIDER_PAGE": PROVIDER, "FAKE_RECORD": os.path.join(self.folder, "record"), **knobs}
        self.text = "#!/bin/sh\n%sexec '%s' \"$@\"\n" % ("".join("export %s='%s'\n" % pair for pair in knobs.items()), FAKE)
        if not missing:
            self.install()
        upstreams = [{"name": name, "auth": {"type": "codex_oauth" if name == "codex" else "anthropic_oauth"}} for name in upstreams]
        self.gateway = room.gateway({"upstreams": upstreams, "cli_proxy_api_endpoint": "http://127.0.0.1:%d" % free_port(), "cli_proxy_api": {"binary": self.program}})
        self.files = os.path.join(self.gateway.room, "data", "cli-proxy-api")
        for kind, email in accounts:
            self.add(kind, email)
        self.answers = []

    def install(self):
        with open(self.program, "w", encoding="utf-8") as file:
            file.write(self.text)
        os.chmod(self.program, stat.S_IRWXU)

    def add(self, kind, email, **more):
        os.makedirs(self.files, exist_ok=True)
        account = {"type": kind, "email": email, "access_token": "access-" + email, "refresh_token": "refresh-" + email, "account_id": "acc", "expired": "2099-01-01T00:00:00Z", "disabled": False, **more}
        with open(os.path.join(self.files, "%s-%s.json" % (kind, email)), "w", encoding="utf-8") as file:
            json.dump(account, file)

    def tab(self, **options):
        context = self.room.context(**options)
        context.on("response", lambda answer: self.answers.append(answer))
        return self.room.tab(self.gateway, "upstreams", context=context)

    def status(self):
        return json.loads(self.gateway.ask("/api/cli-proxy-api/status"))

    def ready(self):
        deadline = time.time() + 20
        while self.status()["sidecar"]["state"] != "ready":
            assert time.time() < deadline, "the sidecar is not ready"
            time.sleep(0.05)

    def recorded(self, path):
        with open(os.path.join(self.folder, "record"), encoding="utf-8") as file:
            return [line for line in map(json.loads, file) if line.get("path") == path]

    def check_secrets(self, page):
        """No token and no key in the page, in what it was answered, or in what it asked."""
        secrets = ["access-", "refresh-", "access_token", "id_token"]
        for name in ("cli-proxy-api-key", "cli-proxy-api-secret"):
            with open(os.path.join(self.gateway.room, "data", name), encoding="utf-8") as file:
                secrets.append(file.read().strip())
        seen = [page.content()]
        for answer in self.answers:
            if answer.url.endswith("/api/login"):
                continue  # here the admin key has its place
            seen += [answer.request.url, answer.request.post_data or ""]
            if "/api/" in answer.url and "event-stream" not in answer.headers.get("content-type", ""):
                seen.append(answer.text())
        assert len(seen) > 10, "or this tests nothing"
        page_script = page.evaluate("[...document.scripts].map((it) => it.textContent).join('')")
        for secret in secrets + [stage.ADMIN_KEY]:
            found = [text[:200] for text in seen if secret in text.replace(page_script, "")]
            assert not found, (secret, found)


def until(page, check, what, seconds=20):
    """Waits while the page goes on: what it asks and hears is passed on by this very thread."""
    deadline = time.time() + seconds
    while not check():
        assert time.time() < deadline, what
        page.wait_for_timeout(50)


def card_of(page, name="my claude"):
    return page.get_by_role("region", name=name, exact=True)


def agree(page):
    """Follows the link, agrees at the provider, and gives the address of the page that did not load."""
    failed = []
    with page.expect_popup() as opened:
        page.get_by_role("link").filter(has_text=re.compile("Open the login page|打开登录页面")).click()
    popup = opened.value
    popup.on("requestfailed", lambda request: failed.append(request.url))
    popup.get_by_role("link", name="Agree").click()
    until(popup, lambda: any(url.startswith("http://localhost:") for url in failed), "the page at localhost loaded, or nothing was asked")
    popup.close()
    return next(url for url in failed if url.startswith("http://localhost:"))


def log_in(page, card, name="Log in to Claude"):
    card.get_by_role("button", name=name).click()
    address = agree(page)
    page.get_by_label("Paste the whole address").fill(address)
    page.get_by_role("button", name="Finish login").click()
    expect(page.locator("dialog[open]")).to_have_count(0)


# ------------------------------------------------------------------------------------------------ tests
def an_account_comes_shows_what_it_has_and_goes(room):
    bed = Bed(room)
    page = bed.tab()
    card = card_of(page)
    expect(card).to_contain_text("No account is logged in")
    expect(card).to_contain_text("CLIProxyAPI 7.2.91")
    card.get_by_role("button", name="Log in to Claude").click()
    dialog = page.locator("dialog[open]")
    link = dialog.get_by_role("link", name="Open the login page")
    expect(link).to_be_focused()
    assert link.get_attribute("href").startswith(PROVIDER + "?") and link.get_attribute("rel") == "noopener noreferrer"
    expect(dialog).to_contain_text("At the end your browser goes to http://localhost:54545/callback, a page that fails to load. That is expected.")
    expect(dialog).to_contain_text("stays open until")

    field, finish, wrong = dialog.get_by_label("Paste the whole address"), dialog.get_by_role("button", name="Finish login"), dialog.locator(".form-error")
    finish.click()
    expect(wrong).to_contain_text("Please fill in")
    expect(field).to_be_focused()
    state = urllib.parse.parse_qs(link.get_attribute("href").partition("?")[2])["state"][0]
    for pasted, reason in [
        ("hello <b>you</b>", "that is not the address of the page the login ended on"),
        (link.get_attribute("href"), "that is not where the login ends"),
        ("http://localhost:1455/auth/callback?code=x&state=" + state, "belongs to a Codex login"),
        ("http://localhost:54545/callback?code=x&state=" + "0" * 32, "no login that is waiting has this state"),
    ]:
        field.fill(pasted)
        finish.click()
        expect(wrong).to_contain_text(reason)
        assert field.input_value() == pasted, "what was pasted is lost"
    assert not bed.recorded("/v0/management/oauth-callback"), "none of it reached the sidecar"

    address = agree(page)
    assert address == "http://localhost:54545/callback?code=alice&state=" + state
    field.fill(address)
    assert address not in page.content(), "the code is in the document"
    finish.click()
    expect(dialog).to_have_count(0)
    expect(page.locator("#toasts")).to_contain_text("Logged in: alice@example.com")
    expect(card).to_contain_text("alice@example.com")
    expect(card.locator("meter")).to_have_count(3)
    for words in ("5h", "13 % used", "80 % used", "Opus 7d"):
        expect(card).to_contain_text(words)
    expect(card.locator(".quota .soft")).to_have_text(["resets in 3 hr.", "resets in 4 days"])
    expect(card.locator(".tag").filter(has_text="claude-sonnet-5")).to_be_visible()
    card.get_by_role("button", name="Models of alice@example.com").click()
    expect(card.locator(".offer li")).to_have_count(3)
    expect(card.locator(".offer")).to_contain_text("claude-opus-4-8")

    switch = card.get_by_role("switch", name="alice@example.com is in use")
    expect(switch).to_have_attribute("aria-checked", "true")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    expect(card.locator("meter")).to_have_count(0)
    expect(card.locator(".tag")).to_have_count(0)
    assert bed.status()["providers"]["claude"]["accounts"][0]["disabled"] is True
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    expect(card.locator("meter")).to_have_count(3)
    expect(card.locator(".tag").filter(has_text="claude-sonnet-5")).to_be_visible()

    out = card.get_by_role("button", name="Log out alice@example.com")
    out.click()
    expect(dialog).to_contain_text("tokens are deleted")
    keys(page, "Escape")
    expect(card).to_contain_text("alice@example.com")
    out.click()
    dialog.get_by_role("button", name="Log out").click()
    expect(card).to_contain_text("No account is logged in")
    assert not [name for name in os.listdir(bed.files) if name.endswith(".json")]
    bed.check_secrets(page)


def the_first_account_begins_with_nothing(room):
    bed = Bed(room, upstreams=())
    page = bed.tab()
    page.get_by_role("button", name="Claude or Codex account").click()
    page.get_by_role("button", name="Add upstream").click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("Log in: claude")
    dialog.get_by_label("Paste the whole address").fill(agree(page))
    dialog.get_by_role("button", name="Finish login").click()
    card = card_of(page, "claude")
    expect(card).to_contain_text("alice@example.com")
    expect(card.locator("meter")).to_have_count(3)
    tag = card.locator(".tag").filter(has_text="claude-sonnet-5")
    tag.click()
    expect(card.locator(".tag.enabled")).to_contain_text("claude-sonnet-5")
    answer = bed.gateway.ask("/v1/chat/completions", {"model": "claude-sonnet-5", "messages": [{"role": "user", "content": "hi"}]})
    assert json.loads(answer)["choices"][0]["message"]["content"] == "Grüße vom Fake", answer
    bed.check_secrets(page)


def each_account_shows_its_own_quota(room):
    bed = Bed(room, accounts=[("codex", "a@b.c"), ("claude", "x@y.z"), ("claude", "\"><img src=x onerror=window.hacked=1>")])
    page = bed.tab()
    codex = card_of(page, "codex")
    expect(codex.locator("meter")).to_have_count(2)
    expect(codex).to_contain_text("plus")
    expect(codex).to_contain_text("used up")
    expect(codex.locator(".quota .soft")).to_have_text(["resets in 2 hr.", re.compile("resets in (1 hr|60 min)")])
    card = card_of(page)
    expect(card.locator(".account li[data-key]")).to_have_count(2)
    expect(card.locator("meter")).to_have_count(6)
    bed.check_secrets(page)
    other = Bed(room, accounts=[("claude", "x@y.z")], FAKE_QUOTA="401")
    page = other.tab()
    expect(card_of(page)).to_contain_text("Claude refused the account's token (status 401): log in again")


def a_login_that_is_left_is_over(room):
    bed = Bed(room)
    page = bed.tab()
    card = card_of(page)
    button = card.get_by_role("button", name="Log in to Claude")
    button.click()
    dialog = page.locator("dialog[open]")
    state = urllib.parse.parse_qs(dialog.get_by_role("link", name="Open the login page").get_attribute("href").partition("?")[2])["state"][0]
    dialog.get_by_label("Paste the whole address").fill("something")
    keys(page, "Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator("#toasts")).to_contain_text("The login was cancelled")
    expect(button).to_be_focused()
    until(page, lambda: bed.recorded("/v0/management/oauth-session"), "the sidecar was not told")
    answer = bed.gateway.ask("/api/cli-proxy-api/complete-login/my%20claude", {"callback_url": "http://localhost:54545/callback?code=a&state=" + state})
    assert "cancelled" in answer, answer
    # Left before the gateway had answered: it is taken back as well.
    page.route("**/api/cli-proxy-api/login/*", lambda route: (time.sleep(0.5), route.continue_()))
    button.click()
    dialog.get_by_role("button", name="Cancel").click()
    until(page, lambda: len(bed.recorded("/v0/management/oauth-session")) == 2, "the second was not taken back")
    expect(card).to_contain_text("No account is logged in")


def a_login_that_expired_says_so_and_starts_again(room):
    bed = Bed(room, FAKE_OAUTH="timeout")
    page = bed.tab()
    card_of(page).get_by_role("button", name="Log in to Claude").click()
    dialog = page.locator("dialog[open]")
    expect(dialog.locator(".form-error")).to_contain_text("nothing was pasted within 5 minutes: start the login again")
    expect(dialog.get_by_role("link", name="Open the login page")).to_have_count(0)
    dialog.get_by_role("button", name="Start again").click()
    expect(dialog.get_by_role("link", name="Open the login page")).to_be_visible()
    expect(dialog.locator(".form-error")).to_have_text("")


def a_refused_exchange_is_told_in_words(room):
    bed = Bed(room, FAKE_OAUTH="exchange_fail")
    page = bed.tab()
    card_of(page).get_by_role("button", name="Log in to Claude").click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_label("Paste the whole address").fill(agree(page))
    dialog.get_by_role("button", name="Finish login").click()
    expect(dialog.locator(".form-error")).to_contain_text("a code works once and for a few minutes, so start the login again")
    expect(dialog.get_by_role("button", name="Start again")).to_be_visible()


def a_missing_program_says_what_to_install_and_is_found_afterwards(room):
    bed = Bed(room, missing=True)
    page = bed.tab()
    card = card_of(page)
    expect(card.locator(".failed").first).to_contain_text("install CLIProxyAPI there, or set cli_proxy_api.binary")
    card.get_by_role("button", name="Log in to Claude").click()
    expect(page.locator("dialog[open] .form-error")).to_contain_text("install CLIProxyAPI")
    keys(page, "Escape")
    bed.install()
    card.locator(".account").get_by_role("button", name="Try again").click()
    expect(card).to_contain_text("CLIProxyAPI 7.2.91")
    expect(card.locator(".failed")).to_have_count(0)


def a_crash_is_shown_with_its_reason_and_passes(room):
    bed = Bed(room, accounts=[("claude", "x@y.z")])
    bed.ready()
    page = bed.tab()
    card = card_of(page)
    expect(card.locator("meter")).to_have_count(3)
    card.get_by_role("button", name="Log in another account").click()
    dialog = page.locator("dialog[open]")
    expect(dialog.get_by_role("link", name="Open the login page")).to_be_visible()
    os.kill(bed.status()["sidecar"]["pid"], signal.SIGKILL)
    expect(dialog.locator(".form-error")).to_contain_text("the sidecar was restarted while the login was waiting")
    dialog.get_by_role("button", name="Start again").click()
    expect(dialog.get_by_role("link", name="Open the login page")).to_be_visible()
    keys(page, "Escape")
    expect(card.locator("meter")).to_have_count(3)
    # One that ends whenever it is started.
    sick = Bed(room, FAKE_EXIT_CODE="3")
    page = sick.tab()
    card = card_of(page)
    expect(card.locator(".failed").first).to_contain_text("exit code 3")
    expect(card.locator(".failed").first).to_contain_text("told to end at once")
    expect(card.locator(".account").get_by_role("button", name="Try again")).to_be_visible()


def the_gateway_forgets_a_login_with_its_end(room):
    bed = Bed(room)
    page = bed.tab()
    card_of(page).get_by_role("button", name="Log in to Claude").click()
    dialog = page.locator("dialog[open]:not(#login)")
    expect(dialog.get_by_role("link", name="Open the login page")).to_be_visible()
    bed.gateway.stop()
    bed.gateway.start()
    expect(dialog.locator(".form-error")).to_contain_text("no longer knows this login", timeout=20000)


def the_keyboard_alone_is_enough(room):
    bed = Bed(room)
    page = bed.tab()
    card = card_of(page)
    tab_to(page, card.get_by_role("button", name="Log in to Claude"))
    keys(page, "Enter")
    dialog = page.locator("dialog[open]")
    link = dialog.get_by_role("link", name="Open the login page")
    expect(link).to_be_focused()
    with page.expect_popup() as opened:
        keys(page, "Enter")
    opened.value.close()
    state = urllib.parse.parse_qs(link.get_attribute("href").partition("?")[2])["state"][0]
    tab_to(page, dialog.get_by_label("Paste the whole address"), limit=4)
    page.keyboard.type("http://localhost:54545/callback?code=bob&state=" + state)
    keys(page, "Control+Enter")
    expect(dialog).to_have_count(0)
    expect(card).to_contain_text("bob@example.com")
    switch = card.get_by_role("switch", name="bob@example.com is in use")
    tab_to(page, switch)
    keys(page, "Space")
    expect(switch).to_have_attribute("aria-checked", "false")
    expect(switch).to_be_focused()
    keys(page, "Space")
    expect(switch).to_have_attribute("aria-checked", "true")
    tab_to(page, card.get_by_role("button", name="Models of bob@example.com"))
    keys(page, "Enter")
    expect(card.locator(".offer li")).to_have_count(3)
    tab_to(page, card.get_by_role("button", name="Log out bob@example.com"))
    keys(page, "Enter")
    expect(dialog.get_by_role("button", name="Log out")).to_be_focused()
    keys(page, "Enter")
    expect(card).to_contain_text("No account is logged in")


def on_the_gateways_own_machine_it_finishes_by_itself(room):
    bed = Bed(room, beside=True)
    page = bed.tab()
    card = card_of(page, "codex")
    dialog = page.locator("dialog[open]")
    deadline = time.time() + 120
    while True:  # another run of these tests may have the port
        card.get_by_role("button", name="Log in to Codex").click()
        expect(dialog.get_by_role("link", name="Open the login page")).to_be_visible()
        if dialog.get_by_text("finishes by itself").count():
            break
        assert time.time() < deadline, "another program has port 1455"
        keys(page, "Escape")
        time.sleep(0.5)
    with page.expect_popup() as opened:
        dialog.get_by_role("link", name="Open the login page").click()
    popup = opened.value
    popup.get_by_role("link", name="Agree").click()
    popup.wait_for_url("http://127.0.0.1:*/codex/callback?*")
    expect(popup).to_have_title("Authentication successful")
    popup.close()
    expect(dialog).to_have_count(0)
    expect(card).to_contain_text("alice@example.com")


def in_chinese_and_on_a_phone(room):
    bed = Bed(room, accounts=[("claude", "x@y.z"), ("codex", "a@b.c")])
    bed.ready()
    page = bed.tab(lang="zh", width=360, height=740, has_touch=True)
    card = card_of(page)
    expect(card.locator("meter")).to_have_count(3)
    for words in ("登录其他账号", "已用", "重置", "模型", "退出登录"):
        expect(card).to_contain_text(words)
    expect(card_of(page, "codex")).to_contain_text("已用尽")
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) <= 360, page.evaluate(width)
    card.get_by_role("button", name="登录其他账号").click()
    dialog = page.locator("dialog[open]")
    link = dialog.get_by_role("link", name="打开登录页面")
    expect(link).to_be_visible()
    expect(dialog).to_contain_text("该页面无法打开，这是正常的")
    assert dialog.evaluate("(it) => it.querySelector('.body').scrollWidth <= it.querySelector('.body').clientWidth"), "the dialog is too wide"
    english = re.findall(r"[A-Za-z]{4,} [A-Za-z]{3,} [A-Za-z]{3,}", dialog.inner_text().replace("my claude", ""))
    assert not english, english
    dialog.get_by_label("粘贴该页面的完整地址").fill(agree(page))
    dialog.get_by_role("button", name="完成登录").click()
    expect(dialog).to_have_count(0)
    expect(page.locator("#toasts")).to_contain_text("已登录：alice@example.com")
    expect(card).to_contain_text("alice@example.com")
    card.get_by_role("button", name="退出账号 alice@example.com").click()
    expect(dialog).to_contain_text("退出账号 alice@example.com")
    dialog.get_by_role("button", name="退出登录").click()
    expect(card).not_to_contain_text("alice@example.com")
    assert page.evaluate(width) <= 360


def axe_finds_nothing_serious(room):
    with open(webui.AXE, encoding="utf-8") as file:
        axe = file.read()
    bed = Bed(room, accounts=[("claude", "x@y.z"), ("codex", "a@b.c")])
    bed.ready()
    bed.add("claude", "off@y.z", disabled=True)
    found = []
    for theme in ("light", "dark"):
        page = bed.tab(theme=theme)
        card = card_of(page)
        expect(card.locator("meter")).to_have_count(3)
        card.get_by_role("button", name="Models of x@y.z").click()
        expect(card.locator(".offer li")).to_have_count(3)
        for dialog in (False, True):
            if dialog:
                card.get_by_role("button", name="Log in another account").click()
                expect(page.get_by_role("link", name="Open the login page")).to_be_visible()
            page.evaluate(axe)
            result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
            found += [(theme, it["id"], it["nodes"][0]["target"]) for it in result["violations"] if it["impact"] in ("serious", "critical")]
        keys(page, "Escape")
    assert not found, found


TESTS = [an_account_comes_shows_what_it_has_and_goes, the_first_account_begins_with_nothing, each_account_shows_its_own_quota, a_login_that_is_left_is_over, a_login_that_expired_says_so_and_starts_again,
         a_refused_exchange_is_told_in_words, a_missing_program_says_what_to_install_and_is_found_afterwards, a_crash_is_shown_with_its_reason_and_passes,
         the_gateway_forgets_a_login_with_its_end, the_keyboard_alone_is_enough, in_chinese_and_on_a_phone, axe_finds_nothing_serious, on_the_gateways_own_machine_it_finishes_by_itself]

if __name__ == "__main__":
    assert os.path.isfile(FAKE), "run `cargo build --example fake-cliproxyapi` first"
    PROVIDER = start_provider()
    webui.TESTS = TESTS
    webui.main()
