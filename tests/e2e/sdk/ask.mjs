// SPDX-License-Identifier: Apache-2.0
// ask.mjs BASE_URL KEY N [stream|once] - asks for images with OpenAI's own client and says how that went, as JSON.
import OpenAI from "openai";

const [baseURL, apiKey, n, mode] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: mode === "once" ? 0 : 2 });
const ask = { model: "sim-image-1", prompt: "a paper boat", size: "64x64", n: Number(n) };

try {
  if (mode === "stream") {
    const events = [];
    for await (const event of await client.images.generate({ ...ask, stream: true, partial_images: 1 }))
      events.push(event.type);
    console.log(JSON.stringify({ events }));
  } else {
    const answer = await client.images.generate(ask);
    console.log(JSON.stringify({ images: answer.data.map((image) => image.b64_json) }));
  }
} catch (error) {
  console.log(JSON.stringify({
    error: error.constructor.name,
    isRateLimit: error instanceof OpenAI.RateLimitError,
    isServer: error instanceof OpenAI.InternalServerError,
    isAuthentication: error instanceof OpenAI.AuthenticationError,
    isBadRequest: error instanceof OpenAI.BadRequestError,
    status: error.status,
    code: error.code,
    type: error.type,
    message: error.message,
    reason: error.headers?.get("x-meltguard-reason"),
  }));
}
