/* SPDX-License-Identifier: Apache-2.0 */
/* redis_scripts_end.c - the Lua sources of what ends a hold: see redis_scripts.c. */

#include "quota/redis_lua.h"
#include "quota/redis_scripts.h"

/* clang-format off */
const char redis_settle_source[] =
    "local token, images = ARGV[1], tonumber(ARGV[2])\n"
    "if redis.call('ZREM', KEYS[1], token) == 0 then return 0 end\n"
    "if #token == 22 and string.byte(token, 17) > 96 then\n"
    "  local field = string.sub(token, 1, 5)\n"
    "  local before = redis.call('HINCRBY', KEYS[2], field, '-' .. ARGV[2]) + images\n"
    "  local used = before % 16777216\n"
    "  if used < images and before == used then redis.call('HDEL', KEYS[2], field)\n"
    "  elseif used < images then redis.call('HSET', KEYS[2], field, before - used) end\n"
    "  return 1\n"
    "end\n"
    LUA_MOVE
    "move(token, images, tonumber(ARGV[3]), 0)\n"
    "return 1\n";

const char redis_revive_source[] =
    LUA_MOVE
    LUA_BURY
    "local token, now, used = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[6])\n"
    "local now_s, stays, charged = math.floor(now / 1000000) - 1577836800, used < 0, held(token)\n"
    "local is_here = redis.call('ZSCORE', KEYS[1], token)\n"
    "if is_here and stays then\n"
    "  redis.call('ZADD', KEYS[1], 'XX', 'GT', ARGV[2], token)\n"
    "  return 1\n"
    "elseif not is_here then\n"
    "  local died = tonumber(redis.call('ZSCORE', tombs, token) or -1)\n"
    "  if died >= 2147483648 or died < 0 and ARGV[5] == '0' then return 0 end\n"
    "  if died < 1073741824 then charged = 0 end\n"
    "end\n"
    "move(token, charged - (stays and held(token) or used), now, ARGV[4])\n"
    "if stays then redis.call('ZADD', KEYS[1], ARGV[2], token)\n"
    "else redis.call('ZREM', KEYS[1], token) end\n"
    "bury(token, 2147483648 + now_s)\n"
    "tidy(now_s)\n"
    "return 1\n";
/* clang-format on */
