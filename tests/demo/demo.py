#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The main job of meltguard, shown with real programs and real requests; `make demo` calls this.

MELTGUARD_BUILD  the folder of the programs (build); what the demo makes lands in its demo/
STORE            embedded (the default), or redis: a redis-server is started for it
DEMO_SECONDS     ends so many seconds after the last step; without it, Ctrl-C ends it
Ends with 0, or with 1 where a step did not show what it should."""
import json
import os
import shutil
import signal
import socket
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

import harness  # noqa: E402  (found by the line above)
import wire     # noqa: E402

FOLDER = os.path.join(harness.BUILD, "demo")
KEYS = {"demo-free": ("ada", "free"), "demo-other": ("ben", "free"), "demo-plus": ("cleo", "plus"),
        "demo-you": ("you", "free")}
HOT, COOL = 83, 45      # the policy sheds free accounts above 80, and everybody above 86

CONFIG = """\
# Written by the demo; conf/ has commented examples.
listen:
  - address: {listen}
admin:
  address: {admin}
quota_store: {store}
identity:
  - keyfile: accounts.yaml
policies: {policy}
backends:
{backends}pass:
  - GET /v1/models
log:
  access: {access}
"""
BACKEND = """\
  - name: {name}
    url: {url}
    dialect: openai
    max_in_flight: 4
    telemetry:
      - prometheus: {url}/metrics
        interval: 200ms
"""


class NotShown(Exception):
    """A step did not show what it should."""


def paint(code, text):
    return f"\x1b[{code}m{text}\x1b[0m" if sys.stdout.isatty() else text


def say(text=""):
    print(text, flush=True)


def title(text):
    say("\n" + paint("1;36", f"== {text}"))


def shows(text):
    say(paint("32", f"   ok: {text}"))


def expect(claim, what):
    if not claim:
        raise NotShown(what)


def port(wanted):
    """That port where it is free, else 0: any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
            return wanted
        except OSError:
            return 0


def url(address):
    return f"http://{address[0]}:{address[1]}"


class Demo:
    def __init__(self):
        self.programs = []
        self.saved = 0

    def start(self, program):
        self.programs.append(program)
        return program

    def stop(self):
        """Ends everything, the gateway first; gives what went wrong."""
        problems = []
        for program in reversed(self.programs):
            try:
                program.stop(timeout=10)
            except harness.Failure as problem:
                problems.append(str(problem))
        self.programs.clear()
        return problems

    def set_up(self):
        shutil.rmtree(FOLDER, ignore_errors=True)
        os.makedirs(FOLDER)
        title("Two simulated GPUs, a quota store, and meltguard in front")
        self.gpus = [self.start(harness.SimGpu(port=port(9001 + i), slots=2, seconds_per_image=0.4,
                                               ambient=40, heat=2, cooling=30, name=f"gpu{i}"))
                     for i in range(2)]
        for i, gpu in enumerate(self.gpus):
            say(f"   simgpu gpu{i}    {gpu.url}   (its temperature: {gpu.url}/metrics)")
        store = f"embedded://{FOLDER}/store"
        if os.environ.get("STORE", "embedded") == "redis":
            store = self.start(harness.Redis()).url
        say(f"   quota store    {store}")
        self.configure(store)
        self.gate = self.start(harness.Gateway(folder=FOLDER))
        say(f"   meltguard      {url(self.gate.address)}   (admin: {url(self.gate.admin)}/metrics)")
        say(f"   configuration  {self.gate.config_path}")
        for i in range(2):
            self.gate.sees_temperature(f"gpu{i}", self.gpus[i].state()["temperature"])

    def configure(self, store):
        config = CONFIG.format(
            access=os.path.join(FOLDER, "access.log"),
            listen=f"127.0.0.1:{port(8080)}", admin=f"127.0.0.1:{port(9901)}", store=store,
            policy=os.path.join(ROOT, "policies", "free-three-a-day.yaml"),
            backends="".join(BACKEND.format(name=f"gpu{i}", url=gpu.url)
                             for i, gpu in enumerate(self.gpus)))
        keys = "".join(f"  - {{sha256: {harness.sha256(key)}, account: {account}, tier: {tier}}}\n"
                       for key, (account, tier) in KEYS.items())
        for name, content in (("meltguard.yaml", config), ("accounts.yaml", "keys:\n" + keys)):
            with open(os.path.join(FOLDER, name), "w", encoding="utf-8") as file:
                file.write(content)

    def ask(self, key, prompt, language="en"):
        """One request for an image, and what came of it, as it is printed."""
        account, tier = KEYS[key]
        fields = {"Authorization": f"Bearer {key}", "Accept-Language": language}
        body = {"model": "sim-image-1", "prompt": prompt, "size": "512x512"}
        lines = len(self.gate.access_log())
        answer = self.gate.fetch("POST", "/v1/images/generations", body, fields)
        line = self.gate.logged(lines + 1)[-1]
        answer.backend = line.get("backend")
        say(f"   {account} ({tier}) asks for \"{prompt}\"")
        say(paint("1", f"     HTTP/1.1 {answer.status} {answer.reason}")
            + (f"   [made by {answer.backend}]" if answer.backend else ""))
        for name in ("x-meltguard-reason", "Retry-After", "RateLimit-Policy", "RateLimit",
                     "X-RateLimit-Remaining-Images", "X-RateLimit-Reset-Images", "x-should-retry"):
            if answer.get(name) is not None:
                say(f"     {name}: {answer.get(name)}")
        if answer.status != 200:
            say(f"     {json.dumps(answer.json(), ensure_ascii=False)}")
        return answer

    def served(self, key, prompt, by=None):
        answer = self.ask(key, prompt)
        expect(answer.status == 200, f"expected an image, got {answer.status}")
        expect(by is None or answer.backend == by, f"expected {by} at work, got {answer.backend}")
        for image in answer.images():
            self.save(image)
        return answer

    def save(self, image):
        size = wire.png_size(image)     # reads it all: signature, CRCs, pixels
        self.saved += 1
        path = os.path.join(FOLDER, f"image-{self.saved}.png")
        with open(path, "wb") as file:
            file.write(image)
        say(f"     saved {os.path.relpath(path)}: a PNG of {size[0]}x{size[1]}, {len(image)} bytes")

    def refused(self, key, prompt, status, reason, language="en"):
        answer = self.ask(key, prompt, language)
        expect((answer.status, answer.why) == (status, reason),
               f"expected {status} {reason}, got {answer.status} {answer.why}")
        return answer

    def heat(self, *celsius):
        for i, degrees in enumerate(celsius):
            self.gpus[i].set(temperature=degrees, pin=True)
            say(f"   gpu{i} is set to {degrees} C")
        for i, degrees in enumerate(celsius):
            self.gate.sees_temperature(f"gpu{i}", degrees)

    def quota(self):
        title("Three images a day for a free account")
        for i, prompt in enumerate(("a lighthouse at dusk", "hills in the rain", "a quiet harbour")):
            answer = self.served("demo-free", prompt)
            expect(answer.get("x-ratelimit-remaining-images") == str(2 - i),
                   "the remaining images are not told")
        shows("three images were admitted, and each is a PNG file that opens")
        title("The fourth is one too many")
        before = sum(gpu.requests for gpu in self.gpus)
        answer = self.refused("demo-free", "one more, please", 429, "quota_exhausted")
        expect(answer.error()["code"] == "insufficient_quota", "not OpenAI's words")
        expect(answer.get("x-should-retry") == "false", "clients would retry it")
        expect(sum(gpu.requests for gpu in self.gpus) == before, "a GPU was bothered with it")
        shows("refused with the time of the reset, told not to retry, and no GPU saw it")

    def heat_one(self):
        title("One GPU gets too hot: its traffic moves to the cooler one")
        for hot, cool in ((0, 1), (1, 0)):
            self.heat(*((HOT, COOL) if hot == 0 else (COOL, HOT)))
            self.served("demo-other" if hot == 0 else "demo-plus", f"from gpu{cool}", by=f"gpu{cool}")
        shows("nobody was refused, and the hot one was left alone")

    def heat_both(self):
        title("Both are too hot: free accounts are shed, paid ones are served")
        self.heat(HOT, HOT)
        answer = self.refused("demo-other", "now it is warm", 503, "gpu_temperature")
        expect(answer.error()["message"] == "image generation unavailable", "not the policy's message")
        expect(1 <= int(answer.get("retry-after")) <= 60, "no useful Retry-After")
        answer = self.refused("demo-other", "the same in Korean", 503, "gpu_temperature", "ko")
        expect(answer.error()["message"] != "image generation unavailable", "not in Korean")
        self.served("demo-plus", "for a paying account")
        shows("503 \"image generation unavailable\" for free, an image for plus")

    def cool_down(self):
        title("They cool down: everybody is served again")
        self.heat(COOL, COOL)
        answer = self.served("demo-other", "cool again")
        expect(answer.get("x-ratelimit-remaining-images") == "1",
               "the refusals above cost something of the quota")
        shows("served, and what was shed had cost nothing of the day's three")

    def farewell(self):
        title("Try it by hand")
        generate = (f"curl -i {url(self.gate.address)}/v1/images/generations -H 'Authorization: Bearer "
                    "demo-you' \\\n     -H 'Content-Type: application/json' "
                    "-d '{\"prompt\": \"a paper boat\", \"size\": \"256x256\"}'")
        say(f"   An image (three a day; demo-plus is a paid key):\n   {generate}\n")
        say("   A GPU that gets hot, and one that follows the simulation again:")
        for gpu in self.gpus:
            say(f"   curl {gpu.url}/sim -d '{{\"temperature\": 90, \"pin\": true}}'")
        say(f"   curl {self.gpus[0].url}/sim -d '{{\"pin\": false}}'\n")
        say("   What the gateway knows:")
        say(f"   curl {url(self.gate.admin)}/metrics")
        say(f"   curl {url(self.gate.admin)}/readyz")
        say(f"   tail -f {os.path.relpath(self.gate.access_path)}")
        say(f"\n   Admin: {url(self.gate.admin)}")

    def stay(self):
        seconds = os.environ.get("DEMO_SECONDS")
        if seconds is None:
            say(paint("1", "\n   Ctrl-C ends everything."))
            while all(program.is_running for program in self.programs):
                time.sleep(0.2)
            raise NotShown("a program ended by itself")
        if float(seconds) > 0:
            say(f"\n   Ends in {seconds} seconds (DEMO_SECONDS).")
            time.sleep(float(seconds))

    def run(self):
        self.set_up()
        for step in (self.quota, self.heat_one, self.heat_both, self.cool_down):
            step()
        self.farewell()


def on_signal(_number, _frame):
    raise KeyboardInterrupt


def main():
    sys.stdout.reconfigure(errors="replace")        # a terminal that has no Korean
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    demo, status, is_shown = Demo(), 0, False
    try:
        demo.run()
        is_shown = True
        demo.stay()
    except KeyboardInterrupt:
        status = 0 if is_shown else 130
    except (NotShown, harness.Failure, OSError, ValueError) as problem:
        say(paint("1;31", f"\n   NOT SHOWN: {problem}"))
        status = 1
    finally:
        # Whoever is impatient may not keep the programs from being ended.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for problem in demo.stop():
            say(paint("1;31", f"   {problem}"))
            status = status or 1
    say("\n   All ended." if status == 0 else "")
    return status


if __name__ == "__main__":
    sys.exit(main())
