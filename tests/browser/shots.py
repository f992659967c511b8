#!/usr/bin/env python3
"""Screenshots of every view: both themes, two widths, two languages; empty, normal, crowded. `shots.py FOLDER [word…]` takes
those whose name holds one of the words. For looking at, not a test."""
import itertools
import json
import os
import sys
from playwright.sync_api import sync_playwright
import stage

NORMAL = lambda base: {"upstreams": [stage.entry("qwen-test", base, "few"), stage.entry("studio", base, "all"), stage.entry("anthropic", base, "anthropic")],
                       "aliases": [stage.alias("qwen", stage.FEW[1], "qwen-test", param_overrides=[{"key": "temperature", "value": 0.7, "mode": "default"}]),
                                   stage.alias("glm-4.6", "glm-4.6", "qwen-test", source="auto"), stage.alias("all-one", "all-one", "studio", source="auto"),
                                   stage.alias("claude", "claude-test", "anthropic"), stage.alias("slow", "slow", "qwen-test")],
                       "client_api_keys": [{"name": "laptop", "key": "sk-local-0123456789abcdef"}, {"name": "phone", "key": "sk-local-9876543210fedcba", "models": ["qwen*", "glm-4.6"]}]}
VIEWS = ["models", "upstreams", "keys", "requests", "play", "settings"]


def fill(gateway, n, key=None):
    for at in range(n):
        model = ["qwen", "glm-4.6", "claude", "fails", "nobody"][at % 5]
        body = {"model": model, "stream": at % 3 == 0, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello <b>%d</b>" % at}]}
        path = "/v1/messages" if at % 4 == 1 else "/v1/chat/completions"
        headers = {"authorization": "Bearer " + key} if key else {}
        gateway.ask(path, body, **headers)


def more(page, gateway, name, shot):
    """Dialogs and opened things."""
    page.goto(gateway.url + "#/models")
    page.get_by_role("button", name="Connect a client").first.click() if name.endswith("en") else page.locator("[data-action=connect]").first.click()
    page.wait_for_selector("dialog[open]")
    shot("connect")
    page.keyboard.press("Escape")
    page.locator("[data-action=edit_alias]").first.click()
    page.wait_for_selector("dialog[open]")
    shot("alias")
    page.keyboard.press("Escape")
    page.locator(".row.model .tools button").first.click()
    page.wait_for_timeout(200)
    shot("menu")
    page.keyboard.press("Escape")
    page.goto(gateway.url + "#/upstreams")
    page.locator("[data-action=add_upstream]").click()
    page.locator("dialog[open] input[type=url]").first.fill(gateway.base + "/few")
    page.locator("[data-action=test]").click()
    page.wait_for_selector(".test .tag, .test .failed", timeout=15000)
    shot("upstream-form")
    page.keyboard.press("Escape")
    page.wait_for_timeout(200)
    shot("confirm")
    page.locator("dialog[open] [type=submit]").last.click()
    page.goto(gateway.url + "#/requests")
    page.wait_for_selector(".record .row, .empty")
    if page.locator(".record .row").count():
        page.locator(".record .row").nth(3).click()
        page.wait_for_timeout(600)
        shot("record")
    page.goto(gateway.url + "#/play")
    page.locator("form [type=submit]").click()
    page.wait_for_timeout(1500)
    shot("played")


def main():
    folder, words = sys.argv[1], sys.argv[2:]
    os.makedirs(folder, exist_ok=True)
    base = stage.start_upstream()
    states = {"empty": ({}, 0, None), "normal": (NORMAL(base), 9, "sk-local-0123456789abcdef"), "crowded": (stage.crowd(base), 64, None)}
    with sync_playwright() as playwright:
        browser = stage.launch(playwright)
        for state, (config, requests, key) in states.items():
            if words and not any(state in word or word in ("all",) for word in words):
                continue
            gateway = stage.Gateway(config)
            gateway.base = base
            fill(gateway, requests, key)
            for width, theme, lang in itertools.product((1280, 360), ("light", "dark"), ("en", "zh")):
                name = "%s-%d-%s-%s" % (state, width, theme, lang)
                if words and not any(word == "all" or word == name or word == state for word in words):
                    continue
                context = browser.new_context(viewport={"width": width, "height": 800 if width > 640 else 740}, color_scheme=theme, locale="zh-CN" if lang == "zh" else "en-US", reduced_motion="reduce")
                page = context.new_page()
                page.on("console", lambda message: print(name, message.type, message.text) if message.type in ("error", "warning") else None)
                page.on("pageerror", lambda error: print(name, "ERROR", error))
                shot = lambda what: page.screenshot(path=os.path.join(folder, "%s-%s.png" % (name, what)), full_page=not page.locator("dialog[open]").count() and what not in ("menu",))
                if state == "empty":
                    page.goto(gateway.url)
                    page.wait_for_selector("#login[open]")
                    shot("login")
                page.goto(gateway.url + "#key=" + stage.ADMIN_KEY)
                page.wait_for_selector(".state.ok")
                for view in VIEWS:
                    page.goto(gateway.url + "#/" + view)
                    page.wait_for_selector("main h1")
                    page.wait_for_timeout(500)
                    shot(view)
                if state != "empty":
                    more(page, gateway, name, shot)
                context.close()
            gateway.stop()
        browser.close()


main()
