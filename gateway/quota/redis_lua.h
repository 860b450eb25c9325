/* SPDX-License-Identifier: Apache-2.0 */
/* redis_lua.h - functions of several scripts, as text.  Private to redis_scripts*.c. */
#pragma once

/* clang-format off */

/* A row of ROLLING. */
#define LUA_SLOTS ">I6I4I4I4I4I4I4I4I4I4I4I4I4I4"

/* move(): gives back what so many images of a token were charged (negative: charges it again; none: looks at all that it
 * would change, and changes nothing).
 * A calendar row that HINCRBY had to make is removed again, or begins with what is granted until a date; a row of
 * segments has moved on to the next one, or is where it was charged, or is gone.  Of a RATE comes back only what has not
 * dripped away since. */
#define LUA_MOVE \
    "local slots = '" LUA_SLOTS "'\n" \
    "local function later(suffix)\n" \
    "  local n, digits = tonumber(string.sub(suffix, 2), 36) + 1, ''\n" \
    "  for _ = 1, 5 do\n" \
    "    local d = n % 36\n" \
    "    digits, n = string.char(d < 10 and 48 + d or 87 + d) .. digits, (n - d) / 36\n" \
    "  end\n" \
    "  return string.sub(suffix, 1, 1) .. digits\n" \
    "end\n" \
    "local function move_calendar(row, field, n, span, now, expires)\n" \
    "  local is_there = n > 0 or redis.call('HEXISTS', row, field) == 1\n" \
    "  if n == 0 then return end\n" \
    "  local after = redis.call('HINCRBY', row, field, string.format('%d', -n))\n" \
    "  local used = (after + n) % span\n" \
    "  if not is_there then\n" \
    "    local key = string.sub(KEYS[1], 1, -2) .. 'x'\n" \
    "    local standing = redis.call('HGET', key, field .. string.sub(row, -6, -6))\n" \
    "    local till, units = struct.unpack('>I6I6', standing or string.rep('\\0', 12))\n" \
    "    if till > now / 1000000 then redis.call('HINCRBY', row, field, units * span) end\n" \
    "    redis.call('EXPIREAT', row, expires)\n" \
    "  elseif n > 0 and used < n and used == after + n then\n" \
    "    redis.call('HDEL', row, field)\n" \
    "  elseif n > 0 and used < n then\n" \
    "    redis.call('HSET', row, field, after + n - used)\n" \
    "  end\n" \
    "end\n" \
    "local function move_rate(prefix, suffix, field, us)\n" \
    "  for _, s in ipairs({later(suffix), suffix}) do\n" \
    "    if redis.call('HEXISTS', prefix .. s, field) == 1 then\n" \
    "      if us ~= 0 then redis.call('HINCRBY', prefix .. s, field, string.format('%d', -us)) end\n" \
    "      return\n" \
    "    end\n" \
    "  end\n" \
    "end\n" \
    "local function move_rolling(prefix, suffix, field, slot, n)\n" \
    "  for _, s in ipairs({later(suffix), suffix}) do\n" \
    "    local row = redis.call('HGET', prefix .. s, field)\n" \
    "    if row then\n" \
    "      local t = {struct.unpack(slots, row)}\n" \
    "      local i = slot - t[1] + 14\n" \
    "      if n == 0 or i < 2 or i > 14 then return end\n" \
    "      t[i] = math.max(t[i] - n, 0)\n" \
    "      redis.call('HSET', prefix .. s, field, struct.pack(slots, unpack(t, 1, 14)))\n" \
    "      return\n" \
    "    end\n" \
    "  end\n" \
    "end\n" \
    "local function held(token)\n" \
    "  return string.byte(token, 15) * 256 + string.byte(token, 16)\n" \
    "end\n" \
    "local function move(token, images, now, expires)\n" \
    "  local prefix, field = string.sub(KEYS[1], 1, -2), string.sub(token, 1, 5)\n" \
    "  local at, charged_at = 17, 0\n" \
    "  while at <= #token do\n" \
    "    local letter, suffix = string.byte(token, at), string.sub(token, at, at + 5)\n" \
    "    if letter == 64 then\n" \
    "      field, at = string.sub(token, at + 1, at + 5), at + 7\n" \
    "    elseif letter == 116 then\n" \
    "      charged_at, at = struct.unpack('>I7', token, at + 1), at + 8\n" \
    "    elseif letter == 105 then\n" \
    "      at = at + 1\n" \
    "    elseif letter == 103 then\n" \
    "      local us = math.floor(struct.unpack('>I6', token, at + 6) / held(token)) * images\n" \
    "      if us > 0 then us = math.max(us - math.max(now - charged_at, 0), 0) end\n" \
    "      move_rate(prefix, suffix, field, us)\n" \
    "      at = at + 12\n" \
    "    elseif letter == 114 then\n" \
    "      move_rolling(prefix, suffix, field, struct.unpack('>I6', token, at + 6), images)\n" \
    "      at = at + 12\n" \
    "    elseif letter == 82 then\n" \
    "      local slot, price = struct.unpack('>I6I4', token, at + 6)\n" \
    "      move_rolling(prefix, suffix, field, slot, images * price)\n" \
    "      at = at + 16\n" \
    "    elseif letter > 96 then\n" \
    "      move_calendar(prefix .. suffix, field, images, 16777216, now, expires)\n" \
    "      at = at + 6\n" \
    "    else\n" \
    "      local price = struct.unpack('>I4', token, at + 6)\n" \
    "      move_calendar(prefix .. suffix, field, images * price, 4294967296, now, expires)\n" \
    "      at = at + 10\n" \
    "    end\n" \
    "  end\n" \
    "end\n"

/* bury(): what became of a hold, for whoever comes late to end it.  tidy(): after some; none is of use for longer than an
 * hour. */
#define LUA_BURY \
    "local tombs = string.sub(KEYS[1], 1, -2) .. 't'\n" \
    "local function bury(token, score)\n" \
    "  redis.call('ZADD', tombs, score, token)\n" \
    "end\n" \
    "local function tidy(now_s)\n" \
    "  for _, from in ipairs({0, 1073741824, 2147483648}) do\n" \
    "    redis.call('ZREMRANGEBYSCORE', tombs, from, from + now_s - 3600)\n" \
    "  end\n" \
    "  redis.call('EXPIRE', tombs, 3600)\n" \
    "end\n"
/* clang-format on */
