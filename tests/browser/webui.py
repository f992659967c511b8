#!/usr/bin/env python3
"""The WebUI in a real browser, against a real gateway. Every test runs in a context of its own; a violation of the policy, a
script error or a request to anywhere else fails the test it happens in. `webui.py [word…]` runs those whose name holds a word."""
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler

from playwright.sync_api import expect, sync_playwright

import stage
from stage import FEW, HOSTILE, Gateway, alias, entry

AXE = os.environ.get("AXE", os.path.join(stage.ROOT, "target", "browser", "node_modules", "axe-core", "axe.min.js"))
PYTHON = os.environ.get("SDK_PYTHON", os.path.join(stage.ROOT, "target", "sdk", "venv", "bin", "python"))
VIEWS = ["models", "upstreams", "keys", "requests", "play", "settings"]
PATIENCE_MS = 10000
expect.set_options(timeout=PATIENCE_MS)
WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective + ' ' + e.blockedURI));
window.shift = 0;
new PerformanceObserver((list) => { for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value; }).observe({ type: 'layout-shift', buffered: true });
"""


class Room:
    """What one test has: the browser, an upstream, gateways, tabs; and what went wrong in them."""

    def __init__(self, browser, base):
        self.browser, self.base = browser, base
        self.faults, self.gateways, self.contexts, self.allowed = [], [], [], []

    def gateway(self, config=None):
        self.gateways.append(Gateway(config))
        return self.gateways[-1]

    def context(self, lang="en", theme="light", width=1280, height=900, **more):
        locale = {"en": "en-US", "zh": "zh-CN"}[lang]
        context = self.browser.new_context(locale=locale, color_scheme=theme, viewport={"width": width, "height": height}, **more)
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(WATCH)
        self.contexts.append(context)
        return context

    def tab(self, gateway, view="models", context=None, login=True, url=None, **options):
        page = (context or self.context(**options)).new_page()
        origin = (url or gateway.url).rstrip("/")
        page.on("pageerror", lambda error: self.faults.append("script error: %s" % error))
        page.on("request", lambda request: None if request.url.startswith((origin, "data:")) else self.faults.append("a request to " + request.url))
        page.on("console", lambda message: self.console(message))
        page.on("dialog", lambda dialog: dialog.accept())
        if login:
            page.goto(origin + "/#key=" + stage.ADMIN_KEY)
            page.wait_for_selector(".state.ok")
        page.goto("%s/#/%s" % (origin, view))
        page.wait_for_selector("main h1" if login else "#login[open]")
        return page

    def console(self, message):
        if message.type in ("error", "warning") and not re.match(r"Failed to load resource", message.text):
            self.faults.append("console: " + message.text)

    def close(self):
        for context in self.contexts:
            for page in context.pages:
                if not page.is_closed():
                    self.faults += ["policy: " + text for text in page.evaluate("window.violations ?? []")]
                    if page.evaluate("window.hacked"):
                        self.faults.append("a name became code")
            context.close()
        for gateway in self.gateways:
            gateway.stop()
        return self.faults


def two(base):
    return {"upstreams": [entry("one", base, "few"), entry("two", base, "all")],
            "aliases": [alias("qwen", FEW[1], "one"), alias("all-one", "all-one", "two", source="auto"), alias("slow", "slow", "one"), alias("fails", "fails", "one")]}


def keys(page, *names):
    for name in names:
        page.keyboard.press(name)


def tab_to(page, target, limit=80):
    """Presses Tab until the focus is on the target."""
    for _ in range(limit):
        if page.evaluate("(wanted) => document.activeElement === wanted", target.element_handle()):
            return
        page.keyboard.press("Tab")
    raise AssertionError("the keyboard does not reach %s" % target)


def of(items, **wanted):
    return next(item for item in items if all(item.get(key) == value for key, value in wanted.items()))


def until(check, what, seconds=10):
    deadline = time.time() + seconds
    while not check():
        assert time.time() < deadline, what
        time.sleep(0.05)


# ------------------------------------------------------------------------------------------------ login
def login_by_address_and_by_key(room):
    gateway = room.gateway()
    page = room.tab(gateway)
    assert page.evaluate("location.hash") == "#/models", "the key stays in the address"
    cookie = of(page.context.cookies(), name="llm_wrapper_session")
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict", cookie
    page.goto(gateway.url + "#/settings")
    page.get_by_role("button", name="Log out").click()
    field = page.get_by_role("textbox", name="Admin key")
    expect(field).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#login .form-error")).to_contain_text("not the key")
    assert page.evaluate("document.documentElement.outerHTML.includes('wrong\"')") is False
    page.get_by_role("button", name="中文").click()
    expect(page.locator("#login-title")).to_contain_text("登录")
    field = page.locator("#login [data-secret]")
    assert field.input_value() == "wrong", "what was typed is lost when the language changes"
    field.fill(gateway.url + "#key=" + stage.ADMIN_KEY)  # the whole printed line does as well
    page.keyboard.press("Enter")
    expect(page.locator("main h1")).to_have_text("设置")
    keys(page, "Escape")
    assert not page.locator("#login").count()


def a_stranger_sees_the_page_and_no_data(room):
    gateway = room.gateway(two(room.base))
    page = room.tab(gateway, login=False)
    text = page.evaluate("document.documentElement.outerHTML")
    assert "qwen" not in text.split("<script")[0]
    keys(page, "Escape", "Escape", "Escape")
    expect(page.locator("#login[open]")).to_be_visible()
    answer = page.request.get(gateway.url)
    etag = answer.headers["etag"]
    assert page.request.get(gateway.url, headers={"if-none-match": etag}).status == 304
    assert page.request.get(gateway.url, headers={"if-none-match": "W/%s" % etag}).status == 304
    assert page.request.get(gateway.url, headers={"if-none-match": '"other"'}).status == 200
    for name, value in {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}.items():
        assert answer.headers[name] == value
    assert "unsafe" not in answer.headers["content-security-policy"]


# ------------------------------------------------------------------------------------------------ upstreams
def the_first_upstream_by_keyboard(room):
    gateway = room.gateway()
    page = room.tab(gateway, "upstreams")
    tab_to(page, page.get_by_role("button", name="A server in my network"))
    keys(page, "Enter")
    address = page.get_by_label("Address", exact=True)
    expect(address).to_be_focused()
    address.fill(room.base + "/keyed")
    expect(page.locator(".first")).to_contain_text("/keyed/v1/chat/completions")
    keys(page, "Tab")
    page.keyboard.type(stage.UPSTREAM_KEY)
    assert not page.evaluate("(key) => document.documentElement.outerHTML.includes(key)", stage.UPSTREAM_KEY), "the secret is in the document"
    tab_to(page, page.get_by_role("button", name="Test", exact=True))
    keys(page, "Enter")
    expect(page.locator(".test")).to_contain_text("lists 3 models")
    tab_to(page, page.locator(".test .tag").filter(has_text="glm-4.6"))
    keys(page, "Space")
    expect(page.locator(".test .tag.enabled")).to_have_count(1)
    tab_to(page, page.get_by_role("button", name="Add upstream"))
    keys(page, "Enter")
    expect(page.locator(".card.upstream .tag.enabled")).to_contain_text("glm-4.6")
    config = gateway.read()
    assert config["upstreams"][0]["name"] == "local" and config["upstreams"][0]["auth"]["key"] == "sk-u••••••wxyz", config["upstreams"]
    assert of(config["aliases"], alias="glm-4.6")["source"] == "auto"
    assert not page.evaluate("(key) => document.documentElement.outerHTML.includes(key)", stage.UPSTREAM_KEY)
    expect(page.locator(".card.upstream")).to_contain_text("sk-u••••••wxyz")


def a_test_tells_the_protocols_and_what_is_wrong(room):
    gateway = room.gateway(two(room.base))
    page = room.tab(gateway, "upstreams")
    page.get_by_role("button", name="Add upstream").click()
    form = page.locator("dialog[open]")
    form.get_by_label("Address", exact=True).fill(room.base + "/anthropic")
    form.get_by_role("button", name="Test", exact=True).click()
    expect(form.locator(".test")).to_contain_text("lists 1 model.")
    expect(form.get_by_label("Messages", exact=False).first).to_be_checked()
    assert not form.locator("[data-bind='draft.support_chat_completions']").is_checked()
    form.get_by_label("Address", exact=True).fill("http://127.0.0.1:1")
    form.get_by_role("button", name="Test", exact=True).click()
    expect(form.locator(".test .failed")).to_be_visible()
    form.get_by_label("Address", exact=True).fill("no address")
    form.get_by_label("Name", exact=True).fill("new")
    keys(page, "Enter")
    expect(form.locator(".form-error")).not_to_be_empty()
    expect(form.get_by_label("Address", exact=True)).to_have_attribute("aria-invalid", "true")
    form.get_by_label("Name", exact=True).fill("one")
    keys(page, "Enter")
    expect(form.locator(".form-error")).to_contain_text("exists already")
    keys(page, "Escape")
    expect(page.get_by_role("heading", name="Leave without saving?")).to_be_visible()
    keys(page, "Escape")
    expect(form).to_have_count(1)
    keys(page, "Escape")
    page.get_by_role("button", name="Discard").click()
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Add upstream")).to_be_focused()


def switches_tags_and_undo_by_mouse(room):
    gateway = room.gateway(two(room.base))
    page = room.tab(gateway, "upstreams")
    card = page.get_by_role("region", name="one", exact=True)
    pill = card.get_by_role("switch", name="Responses")
    pill.click()
    expect(pill).to_have_attribute("aria-checked", "true")
    assert of(gateway.read()["upstreams"], name="one")["support_responses"] is True
    tag = card.locator(".tag").filter(has_text="deepseek-v3.2")
    tag.click()
    expect(tag).to_have_class(re.compile("enabled"))
    assert of(gateway.read()["aliases"], alias="deepseek-v3.2")["max_model_len"] == 32768
    tag.click()
    expect(tag).to_have_class(re.compile("available"))
    page.get_by_role("button", name="Undo").click()
    expect(tag).to_have_class(re.compile("enabled"))
    assert of(gateway.read()["aliases"], alias="deepseek-v3.2")["max_model_len"] == 32768
    switch = page.get_by_role("switch", name="one is in use")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    assert of(gateway.read()["upstreams"], name="one")["enabled"] is False
    expect(card.locator(".tag")).to_have_count(0)


def a_taken_name_is_a_conflict(room):
    config = two(room.base)
    config["aliases"].append(alias("glm-4.6", "all-two", "two"))
    page = room.tab(room.gateway(config), "upstreams")
    tag = page.get_by_role("region", name="one", exact=True).locator(".tag").filter(has_text="glm-4.6")
    expect(tag).to_have_class(re.compile("conflict"))
    assert "two" in tag.get_attribute("title") and "all-two" in tag.inner_text()
    assert tag.evaluate("(tag) => tag.nodeName") == "SPAN"


def editing_keeps_what_it_does_not_show(room):
    config = two(room.base)
    config["upstreams"][0].update(enabled=False, headers={"x-lab-token": "secret-of-the-team-1"}, flags={"auto_cache": False}, x_unknown={"a": [1.0, 2]}, timeouts={"idle": 42})
    gateway = room.gateway(config)
    page = room.tab(gateway, "upstreams")
    page.get_by_role("button", name="Actions for one").click()
    page.get_by_role("button", name="Edit", exact=True).click()
    form = page.locator("dialog[open]")
    assert "secret-of-the-team" not in form.get_by_label("Everything else (JSON)").input_value()
    assert "x-lab-token" not in page.evaluate("document.documentElement.outerHTML")
    form.get_by_label("Name", exact=True).fill("renamed")
    form.get_by_role("button", name="Save").click()
    expect(page.locator("dialog")).to_have_count(0)
    until(lambda: any(item["name"] == "renamed" for item in gateway.read()["upstreams"]), "it was not renamed")
    after = of(gateway.read()["upstreams"], name="renamed")
    assert after["enabled"] is False and after["timeouts"]["idle"] == 42 and after["flags"] == {"auto_cache": False}, after
    assert after["x_unknown"] == {"a": [1.0, 2]} and after["auth"]["key"] == "sk-u••••••wxyz", after
    assert "secret-of-the-team-1" in open(gateway.path, encoding="utf-8").read() and stage.UPSTREAM_KEY in open(gateway.path, encoding="utf-8").read()
    assert of(gateway.read()["aliases"], alias="qwen")["upstream"] == "renamed"
    page.get_by_role("button", name="Actions for renamed").click()
    page.get_by_role("button", name="Edit", exact=True).click()
    form.get_by_label("Address", exact=True).fill(room.base + "/all")
    expect(form).to_contain_text("type the key again")
    form.get_by_role("button", name="Save").click()
    expect(form.locator(".form-error")).not_to_be_empty()
    form.get_by_label("API key").fill("sk-another-key-0123456789")
    form.get_by_label("Everything else (JSON)").evaluate("(area) => { area.closest('details').open = true }")
    form.get_by_label("Everything else (JSON)").fill("")
    form.get_by_role("button", name="Save").click()
    expect(page.locator("dialog")).to_have_count(0)
    assert "flags" not in of(gateway.read()["upstreams"], name="renamed")


def deleting_an_upstream_says_what_goes(room):
    gateway = room.gateway(two(room.base))
    page = room.tab(gateway, "upstreams")
    opener = page.get_by_role("button", name="Actions for one")
    opener.focus()
    open_menu = lambda: (keys(page, "Enter"), expect(page.locator(".menu:popover-open button").first).to_be_focused(), keys(page, "ArrowUp", "Enter"))
    open_menu()
    expect(page.locator("dialog[open]")).to_contain_text("qwen")
    keys(page, "Escape")
    expect(opener).to_be_focused()
    open_menu()
    expect(page.locator("dialog[open]")).to_be_visible()
    page.locator("dialog[open]").get_by_role("button", name="Delete").click()
    expect(page.locator(".card.upstream")).to_have_count(1)
    assert [item["alias"] for item in gateway.read()["aliases"]] == ["all-one"]


def cards_are_dragged_and_moved(room):
    config = two(room.base)
    config["upstreams"].append(entry("three", room.base, "anthropic"))
    gateway = room.gateway(config)
    page = room.tab(gateway, "upstreams", theme="dark")
    order = lambda: [item["name"] for item in gateway.read()["upstreams"]]
    card = lambda name: page.get_by_role("region", name=name, exact=True)
    card("three").locator(".grip").drag_to(card("one").locator("h2"))
    until(lambda: order() == ["three", "one", "two"], "the card was not moved up")
    card("three").locator(".grip").drag_to(card("two").locator("h2"))
    until(lambda: order() == ["one", "two", "three"], "the card was not moved down")
    expect(page.locator(".card.upstream h2")).to_have_text(["one", "two", "three"])
    page.get_by_role("button", name="Actions for one").focus()
    keys(page, "Enter")
    expect(page.locator(".menu:popover-open button").first).to_be_focused()
    assert page.locator(".menu:popover-open").get_by_role("button", name="Move up").count() == 0, "the first goes no further up"
    page.locator(".menu:popover-open").get_by_role("button", name="Move down").press("Enter")
    until(lambda: order() == ["two", "one", "three"], "the menu did not move it")


def an_upstream_comes_changes_and_goes_by_mouse(room):
    gateway = room.gateway(two(room.base))
    page = room.tab(gateway, "upstreams", theme="dark")
    page.get_by_role("button", name="Add upstream").click()
    form = page.locator("dialog[open]")
    form.get_by_label("Address", exact=True).fill(room.base + "/all")
    form.get_by_label("Name", exact=True).fill("mouse")
    form.get_by_role("button", name="Test", exact=True).click()
    form.locator(".tag").filter(has_text="all-two").click()
    form.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("dialog")).to_have_count(0)
    added = of(gateway.read()["upstreams"], name="mouse")
    assert added["support_responses"] and added["support_anthropic_messages"] and added["auth"]["key"] is None, added
    assert of(gateway.read()["aliases"], alias="all-two")["max_model_len"] == 32768
    page.get_by_role("button", name="Actions for mouse").click()
    menu = page.locator(".menu:popover-open")
    box, opener = menu.bounding_box(), page.get_by_role("button", name="Actions for mouse").bounding_box()
    assert abs(box["x"] + box["width"] - opener["x"] - opener["width"]) < 8, (box, opener)
    menu.get_by_role("button", name="Edit", exact=True).click()
    form.get_by_label("Messages", exact=False).first.uncheck()
    page.mouse.click(5, 5)  # beside the dialog: it asks, for something was changed
    page.get_by_role("dialog", name="Leave without saving?").get_by_role("button", name="Cancel").click()
    form.get_by_role("button", name="Save").click()
    expect(page.locator("dialog")).to_have_count(0)
    assert of(gateway.read()["upstreams"], name="mouse")["support_anthropic_messages"] is False
    page.get_by_role("button", name="Actions for mouse").click()
    menu.get_by_role("button", name="Delete").click()
    page.locator("dialog[open]").get_by_role("button", name="Delete").click()
    expect(page.locator(".card.upstream")).to_have_count(2)


def everything_by_keyboard_in_chinese(room):
    gateway = room.gateway(two(room.base))
    page = room.tab(gateway, "upstreams", lang="zh", theme="dark")
    card, form = page.get_by_role("region", name="one", exact=True), page.locator("dialog[open]")

    def press(target, *names):
        tab_to(page, target)
        keys(page, *names)

    # Upstreams: a switch and a tag keep the focus that they had.
    pill = card.get_by_role("switch", name="Responses")
    press(pill, "Space")
    expect(pill).to_have_attribute("aria-checked", "true")
    expect(pill).to_be_focused()
    tag = card.locator(".tag").filter(has_text="deepseek-v3.2")
    press(tag, "Enter")
    expect(tag).to_have_class(re.compile("enabled"))
    page.locator(".tag.enabled:focus").wait_for()
    keys(page, "Enter")
    expect(tag).to_have_class(re.compile("available"))
    press(page.get_by_role("button", name="撤销"), "Enter")
    expect(tag).to_have_class(re.compile("enabled"))
    # Models: one is made, changed, connected, deleted.
    page.goto(gateway.url + "#/models")
    press(page.get_by_role("button", name="新建别名"), "Enter")
    page.keyboard.type("键盘")
    press(form.get_by_label("目标模型"))
    page.keyboard.type("glm-4.6")
    keys(page, "Enter")
    expect(page.locator("dialog")).to_have_count(0)
    press(page.get_by_role("button", name="编辑 键盘"), "Enter")
    press(form.get_by_role("button", name="添加参数"), "Enter")
    page.keyboard.type("seed")
    press(form.locator(".param").get_by_label("值"))
    page.keyboard.type("7")
    press(form.get_by_role("button", name="保存"), "Enter")
    expect(page.locator("dialog")).to_have_count(0)
    assert of(gateway.read()["aliases"], alias="键盘")["param_overrides"] == [{"key": "seed", "value": 7, "mode": "default"}]
    press(page.get_by_role("button", name="键盘 的操作"), "Enter", "ArrowDown", "Enter")
    press(form.get_by_role("button", name="curl"), "Space")
    expect(form.locator("#snippet")).to_contain_text("键盘")
    keys(page, "Escape")
    expect(page.get_by_role("button", name="键盘 的操作")).to_be_focused()
    keys(page, "Enter", "ArrowUp", "Enter")
    expect(form).to_contain_text("删除“键盘”？")
    keys(page, "Enter")
    expect(page.locator(".row.model").filter(has_text="键盘")).to_have_count(0)
    # Keys, play, requests, settings.
    page.goto(gateway.url + "#/keys")
    press(page.get_by_role("button", name="新建密钥").first, "Enter")
    page.keyboard.type("手机")
    press(form.get_by_label("随机生成密钥"), "Space")
    press(form.get_by_label("自定义密钥"))
    page.keyboard.type("sk-typed-by-hand-0123456789")
    keys(page, "Enter")
    expect(page.locator("#shown-key")).to_have_text("sk-typed-by-hand-0123456789")
    press(page.get_by_role("button", name="已保存"), "Space")
    page.goto(gateway.url + "#/play/all-one")
    press(page.get_by_role("button", name="发送"), "Enter")
    expect(page.locator(".said")).to_contain_text("wörld")
    press(page.get_by_role("link", name="查看此请求"), "Enter")
    expect(page.locator(".record.opened .pane")).to_have_count(4)
    press(page.get_by_role("button", name="仅失败"), "Space")
    expect(page.locator(".empty")).to_be_visible()
    press(page.get_by_role("button", name="显示全部"), "Enter")
    expect(page.locator(".record")).to_have_count(1)
    page.goto(gateway.url + "#/settings")
    press(page.get_by_label("自动"), "ArrowDown")
    until(lambda: page.evaluate("document.documentElement.dataset.theme") == "light", "the theme was not chosen")
    press(page.get_by_role("switch", name="协议转换"), "Space")
    until(lambda: gateway.read()["allow_protocol_conversion"] is False, "the switch did nothing")
    press(page.get_by_role("button", name="更改"), "Enter")
    page.keyboard.type("short")
    keys(page, "Enter")
    expect(form.locator(".form-error")).to_contain_text("至少 12 个字符")
    keys(page, "Escape")
    expect(form.last).to_contain_text("不保存就离开？")
    keys(page, "Enter")
    expect(page.locator("dialog")).to_have_count(0)


# ------------------------------------------------------------------------------------------------ aliases
def an_alias_keeps_the_types_of_its_values(room):
    gateway = room.gateway(two(room.base))
    page = room.tab(gateway)
    page.get_by_role("button", name="New alias").click()
    form = page.locator("dialog[open]")
    expect(form.get_by_label("Alias")).to_be_focused()
    page.keyboard.type("tuned")
    form.get_by_label("Target model").fill(FEW[1])
    rows = [("temperature", "0.7", None), ("seed", "1234567890123456789", None), ("user", "0.7", "text"), ("flag", "true", None),
            ("word", "true", "text"), ("nothing", "", "null"), ("stop", '["a", 1.0]', None)]
    for at, (key, value, kind) in enumerate(rows):
        form.get_by_role("button", name="Add parameter").click()
        expect(form.locator(".param").nth(at).get_by_label("Key", exact=True)).to_be_focused()
        page.keyboard.type(key)
        if kind:
            form.locator(".param").nth(at).get_by_label("Type").select_option(kind)
        if value:
            form.locator(".param").nth(at).get_by_label("Value").fill(value)
    form.locator(".param").nth(0).get_by_label("Mode").select_option("override")
    form.locator("summary").filter(has_text="extra_body").click()
    form.get_by_label("Members to spread").fill('{"top_k": 20, "deep": {"a": null}')
    form.get_by_role("button", name="Save").click()
    expect(form.locator(".form-error")).to_contain_text("not a JSON object")
    form.get_by_label("Members to spread").fill('{"top_k": 20, "deep": {"a": null}}')
    form.locator("[data-bind='draft.extra_mode']").select_option("override")
    form.get_by_label("Members to spread").focus()
    form.get_by_role("button", name="Save").click()
    expect(page.locator("dialog")).to_have_count(0)
    raw = gateway.ask("/api/config")
    saved = of(json.loads(raw)["aliases"], alias="tuned")
    values = {item["key"]: item["value"] for item in saved["param_overrides"]}
    assert values["temperature"] == 0.7 and values["user"] == "0.7" and values["flag"] is True and values["word"] == "true", values
    assert values["nothing"] is None and values["stop"] == ["a", 1.0] and values["extra_body"] == {"top_k": 20, "deep": {"a": None}}, values
    assert of(saved["param_overrides"], key="temperature")["mode"] == "override" and of(saved["param_overrides"], key="extra_body")["mode"] == "override"
    assert '"value":1234567890123456789,' in raw, "a long number was rounded"
    before = re.sub(r"\s", "", json.dumps(saved))
    page.get_by_role("button", name="Edit tuned").click()
    expect(form.locator(".param")).to_have_count(7)
    assert form.locator(".param").nth(2).get_by_label("Type").input_value() == "text"
    form.get_by_role("button", name="Save").click()
    expect(page.locator("dialog")).to_have_count(0)
    after = re.sub(r"\s", "", json.dumps(of(gateway.read()["aliases"], alias="tuned")))
    assert after == before, (before, after)


def editing_an_auto_alias_keeps_its_source_only_if_it_stays_the_same(room):
    config = two(room.base)
    config["aliases"][1]["max_model_len"] = 4096
    gateway = room.gateway(config)
    page = room.tab(gateway)
    form = page.locator("dialog[open]")
    page.get_by_role("button", name="Edit all-one").click()
    form.get_by_role("button", name="Add parameter").click()
    page.keyboard.type("temperature")
    form.locator(".param").get_by_label("Value").fill("1")
    keys(page, "Enter")
    expect(page.locator("dialog")).to_have_count(0)
    saved = of(gateway.read()["aliases"], alias="all-one")
    assert saved["source"] == "auto" and saved["max_model_len"] == 4096 and saved["param_overrides"][0]["value"] == 1, saved
    page.get_by_role("button", name="Edit all-one").click()
    form.get_by_label("Alias").fill("first")
    keys(page, "Enter")
    expect(page.locator("dialog")).to_have_count(0)
    saved = of(gateway.read()["aliases"], alias="first")
    assert saved["source"] == "manual" and saved["max_model_len"] == 4096, saved
    page.get_by_role("button", name="Edit first").click()
    form.get_by_label("Alias").fill("qwen")
    keys(page, "Enter")
    expect(form.locator(".form-error")).to_contain_text("exists already")


def the_filter_finds_and_the_keyboard_gets_there(room):
    gateway = room.gateway(stage.crowd(room.base))
    page = room.tab(gateway)
    expect(page.locator(".row.model")).to_have_count(100)
    page.locator("main").focus()
    keys(page, "/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("deepseek-v3.2")
    expect(page.locator(".row.model")).to_have_count(1)
    keys(page, "Escape")
    expect(page.locator(".row.model")).to_have_count(100)
    page.keyboard.type("no such thing")
    expect(page.locator(".empty")).to_contain_text("no such thing")
    page.goto(gateway.url + "#/upstreams")
    card = page.get_by_role("region", name="everything", exact=True)
    expect(card.locator(".tag")).to_have_count(15)
    page.locator("main").focus()
    keys(page, "/")
    page.keyboard.type("Instruct-19")
    expect(card.locator(".tag")).to_have_count(10)
    card.get_by_role("searchbox").fill("")
    card.get_by_role("button", name="186 more").click()
    expect(card.locator(".tag")).to_have_count(201)


# ------------------------------------------------------------------------------------------------ keys
def a_key_is_shown_once(room):
    gateway = room.gateway(two(room.base))
    context = room.context(permissions=["clipboard-read", "clipboard-write"])
    page = room.tab(gateway, "keys", context=context)
    page.get_by_role("button", name="New key").first.click()
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("laptop")
    page.get_by_label("Models it may call").fill("qwen*, all-one")
    keys(page, "Enter")
    secret = page.locator("#shown-key").inner_text()
    assert re.fullmatch(r"sk-[0-9a-f]{48}", secret)
    page.locator(".secret-line button").click()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    assert gateway.read()["client_api_keys"][0] == {"name": "laptop", "key": secret[:4] + "••••••" + secret[-4:], "models": ["qwen*", "all-one"]}
    body = {"model": "qwen", "messages": [{"role": "user", "content": "hi"}]}
    assert "chatcmpl" in gateway.ask("/v1/chat/completions", body, authorization="Bearer " + secret)
    assert "error" in json.loads(gateway.ask("/v1/chat/completions", body, authorization="Bearer sk-wrong"))
    page.locator(".shown-key").get_by_role("button", name="Connect a client").click()
    expect(page.locator("#snippet")).to_contain_text(secret)
    keys(page, "Escape")
    page.get_by_role("button", name="I have it").click()
    expect(page.locator("#shown-key")).to_have_count(0)
    expect(page.locator("dialog")).to_have_count(0)
    assert secret not in page.evaluate("document.documentElement.outerHTML")
    page.reload()
    page.wait_for_selector(".row.key")
    assert secret not in page.evaluate("document.documentElement.outerHTML")
    page.get_by_role("button", name="Actions for laptop").click()
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_label("Models it may call").fill("")
    keys(page, "Enter")
    expect(page.locator(".row.key")).to_contain_text("all models")
    assert "chatcmpl" in gateway.ask("/v1/chat/completions", body, authorization="Bearer " + secret)
    page.get_by_role("button", name="Actions for laptop").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("dialog[open]")).to_contain_text("anyone on the network")
    page.locator("dialog[open]").get_by_role("button", name="Delete").click()
    expect(page.locator(".empty")).to_be_visible()
    assert not gateway.read()["client_api_keys"]


# ------------------------------------------------------------------------------------------------ requests, play
def a_request_is_seen_live_and_opens_to_four_sides(room):
    config = two(room.base)
    config["upstreams"].append(entry("anthropic", room.base, "anthropic"))
    config["aliases"].append(alias("claude", "claude-test", "anthropic"))
    gateway = room.gateway(config)
    context = room.context(permissions=["clipboard-read", "clipboard-write"])
    page = room.tab(gateway, "requests", context=context)
    expect(page.locator(".empty")).to_contain_text("curl")
    slow = threading.Thread(target=gateway.ask, args=("/v1/chat/completions", {"model": "slow", "stream": True, "messages": [{"role": "user", "content": "hi"}]}))
    slow.start()
    expect(page.locator(".status.running")).to_be_visible()
    page.locator(".record .row").first.click()
    expect(page.locator(".pane").nth(2).locator(".events li").nth(4)).to_be_visible()
    assert re.search(r"\+\d", page.locator(".pane").nth(2).locator(".events .num").nth(4).inner_text()), "no time offsets"
    slow.join()
    expect(page.locator(".status.ok")).to_be_visible()
    expect(page.locator(".pane")).to_have_count(4)
    gateway.ask("/v1/chat/completions", {"model": "claude", "temperature": 1.7, "messages": [{"role": "user", "content": HOSTILE[0]}]})
    row = page.locator(".record .row").first
    expect(row).to_contain_text("chat→messages")
    row.focus()
    keys(page, "Enter")
    expect(page.locator(".lost")).to_contain_text("temperature has no counterpart")
    expect(page.locator(".pane").nth(0)).to_contain_text(HOSTILE[0])
    expect(page.locator(".pane").nth(1)).to_contain_text("claude-test")
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator(".toast")).to_contain_text("Copied")
    command = page.evaluate("navigator.clipboard.readText()")
    answer = subprocess.run(["sh", "-c", command.replace("curl ", "curl -s ", 1)], capture_output=True, text=True, timeout=20)
    assert "choices" in json.loads(answer.stdout), answer
    id = page.locator(".facts .cut[title^=req_]")
    id.evaluate("(it) => getSelection().setBaseAndExtent(it.firstChild.firstChild, 0, it.lastChild.firstChild, it.lastChild.firstChild.length)")
    keys(page, "Control+c")
    assert page.evaluate("navigator.clipboard.readText()") == id.get_attribute("title"), "a cut name is copied in two lines"
    gateway.ask("/v1/chat/completions", {"model": "fails", "messages": [{"role": "user", "content": "hi"}]})
    expect(page.locator(".record .status.bad")).to_be_visible()
    page.get_by_role("button", name="Only failed").click()
    expect(page.locator(".record")).to_have_count(1)
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator(".empty")).to_be_visible()


def the_playground_speaks_all_three_protocols(room):
    config = two(room.base)
    config["upstreams"].append(entry("anthropic", room.base, "anthropic"))
    config["aliases"].append(alias("claude", "claude-test", "anthropic"))
    gateway = room.gateway(config)
    page = room.tab(gateway, "play/all-one")
    assert page.get_by_label("Model").input_value() == "all-one"
    for model in ("all-one", "qwen", "claude"):
        page.get_by_label("Model").select_option(model)
        for protocol in ("chat", "responses", "messages"):
            page.get_by_label("Protocol").select_option(protocol)
            for stream in (True, False):
                page.get_by_label("Stream").set_checked(stream)
                page.get_by_label("Prompt").fill("Hello %s %s" % (protocol, stream))
                asked = len(stage.Upstream.seen)
                keys(page, "Control+Enter")
                until(lambda: len(stage.Upstream.seen) > asked, "nothing was sent")
                where = (model, protocol, stream)
                expect(page.locator(".said")).to_contain_text("wörld")
                expect(page.locator(".answer [aria-busy]")).to_have_attribute("aria-busy", "false")
                expect(page.locator(".answer .facts")).to_contain_text("Output tokens")
                facts = page.locator(".answer .facts").inner_text()
                assert "200" in facts and re.search(r"Output tokens\s*7", facts), (where, facts)
                assert page.locator(".raw-events .events li").count() > 3 if stream else page.locator(".raw-events .tree").count(), where
                expect(page.locator(".answer .failed")).to_have_count(0)
    page.get_by_role("link", name="Look at this request").click()
    expect(page.locator(".record.opened")).to_be_visible()


def the_playground_offers_a_tool_and_can_stop(room):
    config = two(room.base)
    gateway = room.gateway(config)
    page = room.tab(gateway, "play")
    for model in ("all-one", "qwen"):
        page.get_by_label("Model").select_option(model)
        for protocol in ("chat", "responses", "messages"):
            for stream in (True, False):
                page.get_by_label("Protocol").select_option(protocol)
                page.get_by_label("Stream").set_checked(stream)
                page.get_by_label("Offer a tool").check()
                page.get_by_role("button", name="Send", exact=True).click()
                expect(page.locator(".call")).to_contain_text('Paris')
                page.get_by_label("Result of the tool").fill("rain <b>")
                page.get_by_role("button", name="Send result").click()
                expect(page.locator(".said")).to_contain_text("wörld")
                expect(page.locator(".answer .failed")).to_have_count(0)
    page.get_by_label("Offer a tool").uncheck()
    page.get_by_label("Model").select_option("slow")
    page.get_by_label("Protocol").select_option("chat")
    page.get_by_label("Stream").check()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".said")).to_contain_text("Hello")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".answer")).to_contain_text("Stopped by you")
    page.get_by_label("Model").select_option("fails")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".answer .failed")).to_contain_text("<b>fails</b>")


# ------------------------------------------------------------------------------------------------ settings, others' changes
def theme_and_language_are_kept(room):
    gateway = room.gateway(two(room.base))
    page = room.tab(gateway, "settings", theme="light")
    paper = lambda: page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    light = paper()
    page.get_by_label("Dark").check()
    until(lambda: paper() != light, "it is not dark")
    page.get_by_label("中文").check()
    expect(page.locator("main h1")).to_have_text("设置")
    page.reload()
    page.wait_for_selector(".state.ok")
    expect(page.locator("main h1")).to_have_text("设置")
    assert paper() != light and page.evaluate("document.documentElement.lang") == "zh-CN"
    page.get_by_label("自动").check()
    until(lambda: paper() == light, "it is not light")


def a_broken_file_is_told_with_its_path(room):
    gateway = room.gateway(two(room.base))
    page = room.tab(gateway, "settings")
    config = two(room.base)
    config["aliases"][0]["upstream"] = "nobody"
    gateway.write(config)
    expect(page.locator("#notice")).to_contain_text("not valid")
    expect(page.locator(".problems.bad")).to_contain_text("aliases[0].upstream")
    gateway.write({**two(room.base), "aliases": [alias("by-hand", FEW[0], "one")], "surprise": 1})
    expect(page.locator("#notice")).to_be_empty()
    expect(page.locator(".problems.warn")).to_contain_text("surprise")
    page.goto(gateway.url + "#/models")
    expect(page.locator(".row.model")).to_contain_text("by-hand")
    page.goto(gateway.url + "#/settings")
    switch = page.get_by_role("switch", name="Convert between protocols")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    assert gateway.read()["allow_protocol_conversion"] is False


def two_tabs_save_at_once(room):
    gateway = room.gateway(two(room.base))
    context = room.context()
    one, other = room.tab(gateway, "upstreams", context=context), room.tab(gateway, "models", context=context)
    # Other entries: both are kept, and nobody is asked.
    other.get_by_role("button", name="Edit qwen").click()
    other.get_by_label("Target model").fill("changed-target")
    one.get_by_role("region", name="one", exact=True).get_by_role("switch", name="Responses").click()
    one.get_by_role("region", name="one", exact=True).locator(".tag").filter(has_text="deepseek-v3.2").click()
    until(lambda: len(gateway.read()["aliases"]) == 5, "the first tab did not save")
    other.get_by_role("button", name="Save").click()
    expect(other.locator("dialog")).to_have_count(0)
    config = gateway.read()
    assert of(config["aliases"], alias="qwen")["target_model"] == "changed-target" and of(config["upstreams"], name="one")["support_responses"] is True
    assert len(config["aliases"]) == 5
    expect(one.locator(".toast")).to_contain_text("changed elsewhere")
    # The same field: both values are shown.
    one.goto(gateway.url + "#/models")
    for page, target in ((one, "from-one"), (other, "from-other")):
        page.get_by_role("button", name="Edit qwen").click()
        page.locator("dialog[open]").get_by_label("Target model").fill(target)
    one.get_by_role("button", name="Save").click()
    expect(one.locator("dialog")).to_have_count(0)
    other.get_by_role("button", name="Save").click()
    clash = other.locator("dialog[open]").last
    expect(clash).to_contain_text("from-one")
    expect(clash).to_contain_text("from-other")
    keys(other, "Escape")
    expect(other.locator(".form-error").first).to_contain_text("Not saved")
    other.get_by_role("button", name="Save").click()
    clash.get_by_label("Now there").check()
    other.get_by_role("button", name="Save this choice").click()
    expect(other.locator("dialog")).to_have_count(0)
    assert of(gateway.read()["aliases"], alias="qwen")["target_model"] == "from-one"
    # Deleted meanwhile: it can be kept.
    other.get_by_role("button", name="Edit qwen").click()
    other.get_by_label("Target model").fill("rescued")
    one.get_by_role("button", name="Actions for qwen").click()
    one.get_by_role("button", name="Delete").click()
    one.locator("dialog[open]").get_by_role("button", name="Delete").click()
    until(lambda: len(gateway.read()["aliases"]) == 4, "it was not deleted")
    other.get_by_role("button", name="Save").click()
    expect(clash).to_contain_text("not there")
    other.get_by_role("button", name="Save this choice").click()
    expect(other.locator("dialog")).to_have_count(0)
    assert of(gateway.read()["aliases"], alias="qwen")["target_model"] == "rescued"


def the_server_goes_away_and_comes_back(room):
    gateway = room.gateway(two(room.base))
    page = room.tab(gateway, "upstreams")
    page.get_by_role("button", name="Add upstream").click()
    form = page.locator("dialog[open]").first
    form.get_by_label("Name", exact=True).fill("typed")
    form.get_by_label("Address", exact=True).fill(room.base + "/few")
    form.get_by_label("API key").fill("sk-typed-before-the-restart")
    gateway.stop()
    expect(page.locator("#notice")).to_contain_text("not reachable")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form.locator(".form-error")).to_contain_text("not reachable")
    expect(page.get_by_role("heading", name="Upstreams")).to_have_count(1)
    gateway.start()
    # Its sessions were in its memory: it asks again, above the form.
    login = page.locator("#login[open]")
    expect(login).to_be_visible()
    login.locator("[data-secret]").fill(stage.ADMIN_KEY)
    keys(page, "Enter")
    expect(login).to_have_count(0)
    expect(page.locator("#notice")).to_be_empty()
    assert form.get_by_label("Name", exact=True).input_value() == "typed"
    assert form.get_by_label("API key").input_value() == "sk-typed-before-the-restart"
    form.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("dialog")).to_have_count(0)
    assert of(gateway.read()["upstreams"], name="typed")["auth"]["key"] == "sk-t••••••tart"


def below_a_path_of_a_proxy(room):
    gateway = room.gateway(two(room.base))

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def pass_on(self):
            if not self.path.startswith("/gate/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            fields = {name: value for name, value in self.headers.items() if name.lower() in ("content-type", "cookie", "origin", "if-match", "accept", "host", "anthropic-version")}
            request = urllib.request.Request(gateway.url.rstrip("/") + self.path[5:], data=body, headers=fields, method=self.command)
            try:
                answer = urllib.request.urlopen(request, timeout=20)
            except urllib.error.HTTPError as error:
                answer = error
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "content-length", "date"):
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            try:
                while part := answer.read1(65536):
                    self.wfile.write(part)
                    self.wfile.flush()
            except OSError:
                pass

        do_GET = do_POST = do_PUT = do_DELETE = pass_on

    server = stage.Server(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d/gate/" % server.server_address[1]
    page = room.tab(gateway, "upstreams", url=url)
    pill = page.get_by_role("region", name="one", exact=True).get_by_role("switch", name="Messages")
    pill.click()
    expect(pill).to_have_attribute("aria-checked", "true")
    page.goto(url + "#/play/qwen")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".said")).to_contain_text("wörld")
    page.goto(url + "#/models")
    page.get_by_role("button", name="Connect a client").first.click()
    page.get_by_role("button", name="curl").click()
    expect(page.locator("#snippet")).to_contain_text(url + "v1/chat/completions")
    keys(page, "Escape")
    page.goto(url + "#/requests")
    expect(page.locator(".live.on")).to_be_visible()
    expect(page.locator(".record")).to_have_count(1)
    server.shutdown()


# ------------------------------------------------------------------------------------------------ names, looks, access
def hostile_names_stay_names(room):
    gateway = room.gateway(stage.crowd(room.base))
    for model in HOSTILE[:5]:
        gateway.ask("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": model}], "metadata": {model: model}})
    gateway.ask("/v1/messages", {"model": "fails", "max_tokens": 9, "messages": [{"role": "user", "content": HOSTILE[1]}]})
    for lang in ("en", "zh"):
        page = room.tab(gateway, lang=lang)
        for name in HOSTILE[:5]:
            expect(page.locator(".row.model .plain-name").filter(has=page.locator("bdi[title=%s]" % json.dumps(name, ensure_ascii=False))).first).to_be_visible()
        page.goto(gateway.url + "#/upstreams")
        card = page.locator("[aria-label='hostile \"quotes\" <b>&']").first
        expect(card.locator(".tag")).to_have_count(len(HOSTILE))
        page.goto(gateway.url + "#/requests")
        for at in range(6):
            page.locator(".record .row").nth(at).click()
            expect(page.locator(".record.opened .pane")).to_have_count(4)
            expect(page.locator(".record.opened .pane .tree").first).to_be_visible()
        page.goto(gateway.url + "#/models")
        for name in HOSTILE[:3]:
            page.locator(".row.model").filter(has=page.locator("bdi[title=%s]" % json.dumps(name, ensure_ascii=False))).first.locator(".plain-name").click()
            assert page.locator("dialog[open] [data-bind='draft.alias']").input_value() == name
            keys(page, "Escape")
            expect(page.locator("dialog")).to_have_count(0)
        page.goto(gateway.url + "#/keys")
    page = room.tab(gateway, "keys")
    page.get_by_role("button", name="New key").first.click()
    page.keyboard.type(HOSTILE[2])
    keys(page, "Enter")
    expect(page.locator(".row.key")).to_contain_text("<b>bold</b>")
    page.get_by_role("button", name="Connect a client").click()
    expect(page.locator("#snippet")).to_be_visible()


def nothing_is_wider_than_a_phone(room):
    gateway = room.gateway(stage.crowd(room.base))
    for at in range(8):
        gateway.ask("/v1/chat/completions", {"model": (HOSTILE[4], "qwen", "fails", "nobody")[at % 4], "messages": [{"role": "user", "content": "x" * 400}]})
    empty = room.gateway()
    for lang in ("en", "zh"):
        context = room.context(lang=lang, width=360, height=740, has_touch=True)
        for place in (gateway, empty):
            page = room.tab(place, context=context)
            for view in VIEWS:
                page.goto("%s#/%s" % (place.url, view))
                page.wait_for_selector("main h1")
                page.wait_for_timeout(150)
                width = page.evaluate("document.documentElement.scrollWidth")
                assert width <= 360, (lang, view, width)
            page.close()
        page = room.tab(gateway, "requests", context=context)
        page.locator(".record .row").nth(3).click()
        expect(page.locator(".pane")).to_have_count(4)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.goto(gateway.url + "#/models")
        for action in ("connect", "new_alias"):
            page.locator("[data-action=%s]" % action).first.click()
            dialog = page.locator("dialog[open]")
            assert dialog.evaluate("(it) => { const box = it.getBoundingClientRect(); return box.left >= 0 && box.right <= 360 && $(it) ; function $(it) { return it.querySelector('.body').scrollWidth <= it.querySelector('.body').clientWidth } }"), action
            keys(page, "Escape")
        for menu in page.locator(".row.model .tools button").all()[:1]:
            menu.tap()
            assert page.locator(".menu:popover-open").evaluate("(it) => { const box = it.getBoundingClientRect(); return box.left >= 0 && box.right <= 360 && box.width < 300 }")
            keys(page, "Escape")
        page.close()


def nothing_jumps_while_loading(room):
    gateway = room.gateway(two(room.base))
    page = room.tab(gateway)
    for view in VIEWS:
        page.goto("about:blank")
        page.goto("%s#/%s" % (gateway.url, view))
        page.wait_for_selector(".state.ok")
        page.wait_for_timeout(400)
        shift = page.evaluate("window.shift")
        assert shift < 0.1, (view, shift)


def reduced_motion_stands_still(room):
    gateway = room.gateway(two(room.base))
    page = room.tab(gateway, "settings", reduced_motion="reduce")
    moving = page.evaluate("[...document.querySelectorAll('*')].filter((it) => { const style = getComputedStyle(it); return style.animationName !== 'none' || parseFloat(style.transitionDuration) > 0 }).length")
    assert moving == 0, moving


def axe_finds_nothing_serious(room):
    with open(AXE, encoding="utf-8") as file:
        axe = file.read()
    config = stage.crowd(room.base)
    del config["aliases"][24:]  # the others look like these
    gateway = room.gateway(config)
    gateway.ask("/v1/messages", {"model": "qwen", "max_tokens": 9, "top_k": 5, "messages": [{"role": "user", "content": "hi"}]})
    gateway.ask("/v1/chat/completions", {"model": "fails", "messages": []})
    empty = room.gateway()
    found = []

    def look(page, what):
        page.wait_for_timeout(120)
        page.evaluate(axe)
        result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        for violation in result["violations"]:
            if violation["impact"] in ("serious", "critical"):
                found.append((what, violation["id"], [(node["target"], node["failureSummary"][:200]) for node in violation["nodes"][:2]]))

    for theme, lang in (("light", "en"), ("dark", "zh")):
        context = room.context(theme=theme, lang=lang)
        stranger = room.tab(gateway, context=context, login=False)
        look(stranger, (theme, "login"))
        stranger.close()
        page = room.tab(gateway, context=context)
        for view in VIEWS:
            page.goto("%s#/%s" % (gateway.url, view))
            page.wait_for_selector("main h1")
            if view == "upstreams":
                page.wait_for_selector(".failed")
            if view == "requests":
                page.locator(".record .row").last.click()
                page.wait_for_selector(".pane .tree")
            look(page, (theme, view))
        page.goto(gateway.url + "#/models")
        for action in ("connect", "new_alias", "edit_alias"):
            page.locator("[data-action=%s]" % action).first.click()
            page.wait_for_selector("dialog[open]")
            look(page, (theme, action))
            keys(page, "Escape")
        page.goto(gateway.url + "#/upstreams")
        page.locator("[data-action=add_upstream]").click()
        page.locator("dialog[open] [data-bind='draft.base_url']").fill(room.base + "/few")
        page.locator("[data-action=test]").click()
        page.wait_for_selector(".test .tag")
        look(page, (theme, "upstream form"))
        page.close()
    page = room.tab(empty, theme="dark")
    for view in VIEWS:
        page.goto("%s#/%s" % (empty.url, view))
        look(page, ("empty", view))
    assert not found, json.dumps(found, indent=1, ensure_ascii=False)


# ------------------------------------------------------------------------------------------------ connect a client
def pasted_lines_run(room):
    config = two(room.base)
    hostile = HOSTILE[2]
    config["aliases"].append(alias(hostile, FEW[1], "one"))
    gateway = room.gateway(config)
    page = room.tab(gateway)

    def lines(model, client):
        page.get_by_role("button", name="Connect a client").first.click()
        page.get_by_label("Model").select_option(model)
        page.get_by_role("button", name=client, exact=True).click()
        expect(page.get_by_role("button", name=client, exact=True)).to_have_attribute("aria-pressed", "true")
        expect(page.get_by_label("Model")).to_have_value(model)
        text = page.locator("#snippet").text_content()
        keys(page, "Escape")
        expect(page.locator("dialog")).to_have_count(0)
        return text

    def run(client, text):
        command = {"curl": ["sh", "-c", text]}.get(client, [PYTHON, "-I", "-c", text])
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"], "HOME": gateway.room, "PYTHONIOENCODING": "utf-8", "NO_PROXY": "*"})
        assert done.returncode == 0 and "wörld" in done.stdout, (client, text, done.stdout, done.stderr)

    def run_all(texts):
        with ThreadPoolExecutor() as pool:
            list(pool.map(run, *zip(*texts)))

    clients = ("curl", "OpenAI Python", "Anthropic Python")
    run_all([(client, lines(hostile, client)) for client in clients])
    # With a key: while it is being made it stands in the lines, later its name does.
    page.goto(gateway.url + "#/keys")
    page.get_by_role("button", name="New key").first.click()
    page.keyboard.type("my laptop")
    keys(page, "Enter")
    page.wait_for_selector("#shown-key")
    secret = page.locator("#shown-key").inner_text()
    page.goto(gateway.url + "#/models")
    texts = [(client, lines("qwen", client)) for client in clients]
    assert all(secret in text for _, text in texts)
    run_all(texts)
    page.reload()
    page.wait_for_selector(".row.model")
    text = lines("qwen", "curl")
    assert secret not in text and "PASTE-KEY-my-laptop" in text
    run("curl", text.replace("PASTE-KEY-my-laptop", secret))
    for client in ("Claude Code", "Codex CLI", "OpenAI Node", "Vercel AI SDK", "opencode"):
        text = lines(hostile, client)
        assert gateway.url.rstrip("/") in text, (client, text)
        if client == "opencode":
            json.loads(text)
        if client == "Codex CLI":
            import tomllib
            assert tomllib.loads(text)["model"] == hostile


def every_word_is_in_both_languages(room):
    folder = os.path.join(stage.ROOT, "static")
    scripts = {name: open(os.path.join(folder, name), encoding="utf-8").read() for name in os.listdir(folder) if name.endswith(".js")}
    lines = [line.split("|") for line in scripts.pop("lang.js").splitlines() if re.match(r"\w+\|", line)]
    words = {key: said for key, *said in lines}
    assert len(words) == len(lines) > 200, "a key stands there twice"
    everything = "\n".join(scripts.values())
    used = set(re.findall(r"\bt\('(\w+)'", everything))
    assert not used - set(words), used - set(words)
    for key, said in words.items():
        assert len(said) in (1, 2) and all(said), (key, said)
        assert re.search(r"[^\x00-\x7f]", said[-1]) or said[0] == said[-1] or key == "type_null", (key, "is not Chinese")
        english = said[0] if len(said) == 2 else key
        assert set(re.findall(r"\{\d?\}", english)) == set(re.findall(r"\{\d?\}", said[-1])), key
        said_by = [key, re.sub("_hint$", "", key), re.sub("_[a-z]+$", "_$", key)]
        assert key.startswith("lost_") or any(re.search(r"['`.]" + re.escape(way), everything) for way in said_by), (key, "is said nowhere")


def the_served_script_means_what_its_sources_say(room):
    with open(os.path.join(stage.ROOT, "src", "gateway", "web.rs"), encoding="utf-8") as file:
        names = re.findall(r'^    "(\w+\.js)",$', file.read(), re.M)
    folder = os.path.join(stage.ROOT, "static")
    assert sorted(names) == sorted(name for name in os.listdir(folder) if name.endswith(".js"))
    page = os.path.join(stage.ROOT, "target", "browser", "page.html")
    with open(page, "w", encoding="utf-8") as file, urllib.request.urlopen(room.gateway().url) as answer:
        file.write(answer.read().decode())
    command = ["node", os.path.join(stage.HERE, "same_script.cjs"), os.path.join(os.path.dirname(AXE), "..", "acorn"), page]
    done = subprocess.run(command + [os.path.join(folder, name) for name in names], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and re.match(r"\d{3,} statements", done.stdout), done.stdout[-3000:] + done.stderr


TESTS = [login_by_address_and_by_key, a_stranger_sees_the_page_and_no_data, the_first_upstream_by_keyboard, a_test_tells_the_protocols_and_what_is_wrong,
         switches_tags_and_undo_by_mouse, a_taken_name_is_a_conflict, editing_keeps_what_it_does_not_show, deleting_an_upstream_says_what_goes,
         cards_are_dragged_and_moved, an_upstream_comes_changes_and_goes_by_mouse, everything_by_keyboard_in_chinese,
         an_alias_keeps_the_types_of_its_values, editing_an_auto_alias_keeps_its_source_only_if_it_stays_the_same, the_filter_finds_and_the_keyboard_gets_there,
         a_key_is_shown_once, a_request_is_seen_live_and_opens_to_four_sides, the_playground_speaks_all_three_protocols, the_playground_offers_a_tool_and_can_stop,
         theme_and_language_are_kept, a_broken_file_is_told_with_its_path, two_tabs_save_at_once, the_server_goes_away_and_comes_back, below_a_path_of_a_proxy,
         hostile_names_stay_names, nothing_is_wider_than_a_phone, nothing_jumps_while_loading, reduced_motion_stands_still, axe_finds_nothing_serious,
         pasted_lines_run, every_word_is_in_both_languages, the_served_script_means_what_its_sources_say]


def main():
    words = sys.argv[1:]
    failed = []
    begun = time.time()
    base = stage.start_upstream()
    with sync_playwright() as playwright:
        browser = stage.launch(playwright)
        for test in TESTS:
            if words and not any(word in test.__name__ for word in words):
                continue
            at = time.time()
            room = Room(browser, base)
            try:
                test(room)
                error = ""
            except Exception:  # a failed assertion, a time-out of the browser
                error = traceback.format_exc()
                for context in room.contexts:
                    for n, page in enumerate(context.pages):
                        folder = os.path.join(stage.ROOT, "target", "browser")
                        os.makedirs(folder, exist_ok=True)
                        page.screenshot(path=os.path.join(folder, "failed-%s-%d.png" % (test.__name__, n)))
            faults = room.close()
            if error or faults:
                failed.append(test.__name__)
            print("%s %s %.1f s" % ("FAILED" if error or faults else "ok", test.__name__.replace("_", " "), time.time() - at), flush=True)
            for line in [error] + faults[:10]:
                if line:
                    print("  " + line[-3000:].replace("\n", "\n  "), flush=True)
        browser.close()
    print("%d failed in %.0f s" % (len(failed), time.time() - begun))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
