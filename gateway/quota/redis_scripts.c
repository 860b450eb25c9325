/* SPDX-License-Identifier: Apache-2.0 */
/* redis_scripts.c - the Lua sources.
 * Every limit is read before the first write, so all or none needs no undo.  Whoever removes a ledger's entry refunds it,
 * once.  A refund undoes the row that HINCRBY makes where there was none, and stops at zero.  No binary string is ever
 * compared with < (Lua uses the locale for that). */

#include "quota/redis_scripts.h"

#include <openssl/evp.h>

#include "base/text.h"

/* clang-format off */
#define LUA_REFUND \
    "local function refund(ledger, token, grains)\n" \
    "  local prefix, field = string.sub(ledger, 1, -2), string.sub(token, 1, 6)\n" \
    "  for at = 17, #token, 6 do\n" \
    "    local row = prefix .. string.sub(token, at, at + 5)\n" \
    "    local before = redis.call('HINCRBY', row, field, -grains) + grains\n" \
    "    local used = before % 16777216\n" \
    "    if used < grains and before == used then\n" \
    "      redis.call('HDEL', row, field)\n" \
    "    elseif used < grains then\n" \
    "      redis.call('HSET', row, field, before - used)\n" \
    "    end\n" \
    "  end\n" \
    "end\n"

static const char reserve_source[] =
    "local ledger, token, grains = KEYS[1], ARGV[1], tonumber(ARGV[3])\n"
    "local field, rows, used = string.sub(token, 1, 6), {}, {}\n"
    "local function read()\n"
    "  local full\n"
    "  for i = 1, #KEYS - 1 do\n"
    "    local row = redis.call('HGET', KEYS[i + 1], field)\n"
    "    local value = tonumber(row or 0)\n"
    "    rows[i], used[i] = row and value, value % 16777216\n"
    "    local allowed = math.min(ARGV[4 + 2 * i] + (value - used[i]) / 16777216, 16777215)\n"
    "    if not full and used[i] + grains > allowed then full = i end\n"
    "  end\n"
    "  return full\n"
    "end\n"
    "local function hold()\n"
    "  if redis.call('ZADD', ledger, 'NX', ARGV[2], token) == 1 then\n"
    "    for i = 1, #used do\n"
    "      redis.call('HSET', KEYS[i + 1], field, (rows[i] or 0) + grains)\n"
    "      if not rows[i] then redis.call('EXPIREAT', KEYS[i + 1], ARGV[5 + 2 * i]) end\n"
    "      used[i] = used[i] + grains\n"
    "    end\n"
    "  else\n"
    "    redis.call('ZADD', ledger, 'XX', 'GT', ARGV[2], token)\n"
    "  end\n"
    "  if #used == 1 then return used[1] end\n"
    "  return {0, unpack(used)}\n"
    "end\n"
    "local full = ARGV[5] == '0' and read()\n"
    "if full == nil then return hold() end\n"
    LUA_REFUND
    "local expired = redis.call('ZRANGEBYSCORE', ledger, '-inf', ARGV[4], 'LIMIT', 0, 64)\n"
    "for _, old in ipairs(expired) do\n"
    "  redis.call('ZREM', ledger, old)\n"
    "  refund(ledger, old, string.byte(old, 15) * 256 + string.byte(old, 16))\n"
    "end\n"
    "redis.call('ZREMRANGEBYSCORE', ledger, 1073741824, 1073741824 + ARGV[4])\n"
    "if not full or #expired > 0 then full = read() end\n"
    "if not full or redis.call('ZSCORE', ledger, token) then return hold() end\n"
    "return {#expired == 64 and -3 or full, unpack(used)}\n";

static const char settle_source[] =
    LUA_REFUND
    "if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end\n"
    "refund(KEYS[1], ARGV[1], tonumber(ARGV[2]))\n"
    "return 1\n";

static const char revive_source[] =
    "if redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[1]) == 0 then return 0 end\n"
    "local field = string.sub(ARGV[1], 1, 6)\n"
    "for i = 2, #KEYS do\n"
    "  if redis.call('HINCRBY', KEYS[i], field, ARGV[3]) == tonumber(ARGV[3]) then\n"
    "    redis.call('EXPIREAT', KEYS[i], ARGV[4])\n"
    "  end\n"
    "end\n"
    "return 1\n";
/* clang-format on */

static const char *const sources[SCRIPTS] = {reserve_source, settle_source, revive_source};

const char *redis_script_source(enum redis_script script)
{
    return sources[script];
}

enum status redis_scripts_digest(struct redis_digests *out)
{
    for (int i = 0; i < SCRIPTS; i++) {
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned len;
        struct text source = text_of(sources[i]);
        struct text_out hex;

        if (!EVP_Digest(source.ptr, source.len, digest, &len, EVP_sha1(), NULL))
            return ST_UNAVAILABLE;
        text_out_init(&hex, out->hex[i], sizeof(out->hex[i]));
        text_out_hex(&hex, digest, len);
    }
    return ST_OK;
}
