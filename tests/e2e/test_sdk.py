# SPDX-License-Identifier: Apache-2.0
"""OpenAI's official Node client through the gateway, where Node 20 or newer and the npm registry are at hand."""
import base64
import json
import os
import re
import shutil
import subprocess
import unittest

import harness
from harness import Case, Gateway, SimGpu, backend, policy
from wire import png_size

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(harness.BUILD, "sdk")
KEYS = {"sk-sdk-free": ("sdk-free", "free"), "sk-sdk-shed": ("sdk-shed", "free"),
        "sk-sdk-plus": ("sdk-plus", "plus")}


def node_version():
    try:
        said = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=20,
                              check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    return int(re.match(r"v(\d+)", said)[1])


def install():
    """The client in build/sdk, once."""
    os.makedirs(FOLDER, exist_ok=True)
    for name in ("package.json", "ask.mjs"):
        shutil.copy(os.path.join(HERE, "sdk", name), FOLDER)
    with open(os.path.join(FOLDER, "package.json"), encoding="utf-8") as file:
        wanted = json.load(file)["dependencies"]["openai"]
    try:
        with open(os.path.join(FOLDER, "node_modules/openai/package.json"), encoding="utf-8") as file:
            if json.load(file)["version"] == wanted:
                return
    except OSError:
        pass
    try:
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=FOLDER,
                              capture_output=True, text=True, timeout=100, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise unittest.SkipTest(f"npm cannot install openai: {error}") from None
    if done.returncode != 0:
        raise unittest.SkipTest(f"npm cannot install openai: {done.stderr.strip()[-200:]}")


class Sdk(Case):
    @classmethod
    def setUpClass(cls):
        if node_version() < 20:
            raise unittest.SkipTest("no Node 20 or newer here")
        install()
        cls.sim_ = cls.shared(SimGpu())
        cls.gate = cls.shared(Gateway([backend(cls.sim_, "gpu0")], policy=policy(), keys=KEYS,
                                      identity=[{"keyfile": "accounts.yaml"}]))

    def setUp(self):
        self.heat(40)

    def heat(self, celsius):
        self.sim_.set(temperature=celsius, pin=True)
        self.gate.sees_temperature("gpu0", celsius)

    def ask(self, key, n=1, mode=""):
        """How the client fared, and the requests it took at the gateway."""
        before = len(self.gate.access_log())
        url = f"http://127.0.0.1:{self.gate.address[1]}/v1"
        done = subprocess.run(["node", "ask.mjs", url, key, str(n), mode], cwd=FOLDER, timeout=60,
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.gate.logged(before + 1)
        return json.loads(done.stdout), len(self.gate.access_log()) - before

    def test_images(self):
        result, requests = self.ask("sk-sdk-plus", 2)
        self.assertEqual([png_size(base64.b64decode(image)) for image in result["images"]],
                         [(64, 64)] * 2)
        self.assertEqual(requests, 1)

    def test_stream(self):
        result, _ = self.ask("sk-sdk-plus", 1, "stream")
        self.assertEqual(result["events"], ["image_generation.partial_image",
                                            "image_generation.completed"])

    def test_spent_quota_is_not_retried(self):
        self.assertIn("images", self.ask("sk-sdk-free", 3)[0])
        result, requests = self.ask("sk-sdk-free")
        self.assertEqual((result["error"], result["isRateLimit"], result["status"], result["code"]),
                         ("RateLimitError", True, 429, "insufficient_quota"))
        self.assertEqual((result["type"], result["reason"], requests),
                         ("insufficient_quota", "quota_exhausted", 1))

    def test_shed(self):
        self.heat(84)
        # It would retry this one, as it should, after the time that it is told; that is not waited for here.
        result, requests = self.ask("sk-sdk-shed", 1, "once")
        self.assertEqual((result["isServer"], result["status"], result["code"], result["reason"]),
                         (True, 503, "server_is_overloaded", "gpu_temperature"))
        self.assertIn("image generation unavailable", result["message"])
        self.assertEqual(requests, 1)

    def test_bad_key(self):
        result, requests = self.ask("sk-wrong")
        self.assertEqual((result["isAuthentication"], result["code"], requests),
                         (True, "invalid_api_key", 1))

    def test_bad_request(self):
        result, requests = self.ask("sk-sdk-plus", 11)
        self.assertEqual((result["isBadRequest"], result["status"], requests), (True, 400, 1))
