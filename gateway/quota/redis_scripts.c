/* SPDX-License-Identifier: Apache-2.0 */
/* redis_scripts.c - the Lua sources.
 * Every limit is read before the first write, so all or none needs no undo; but for the plain cases, where one charge comes
 * first, as it tells what was there, and is undone where it does not fit.  Whoever removes a ledger's entry refunds it,
 * once.  A refund undoes the row that HINCRBY makes where there was none, and stops at zero.  No binary string is ever
 * compared with < (Lua uses the locale for that).
 *
 * A function costs where it is defined, called or not; a table each time that it grows; an argument twice, as text and as
 * a string of Lua's; a number more than any string, where it becomes an argument of a command.  So facts are packed into
 * one argument, and commands get strings.  ROWS and LIMITS begin with the plain case of their own.  Then they are loops:
 * read, hold and return; only where that fails, what the slow path needs is defined, what has expired is ended, and the
 * loop goes round once more. */

#include "quota/redis_scripts.h"

#include "quota/redis_lua.h"

/* clang-format off */

/* reap(): ends expired holds, at most 64 uncommitted ones and as many others; returns how many of each.  The second that
 * has begun counts as over, so that of a RATE rather too little comes back.  In a slot that is being moved, a row may not
 * be here: so all are looked at before the first write. */
#define LUA_REAP \
    LUA_BURY \
    "local function reap()\n" \
    "  local now = (horizon + 1577836803) * 1000000\n" \
    "  local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', horizon, 'LIMIT', '0', '64')\n" \
    "  local kept = redis.call('ZRANGEBYSCORE', KEYS[1], '1073741824', 1073741824 + horizon,\n" \
    "    'LIMIT', '0', '64')\n" \
    "  for _, old in ipairs(expired) do\n" \
    "    move(old, 0, now, 0)\n" \
    "    bury(old, horizon)\n" \
    "    redis.call('ZREM', KEYS[1], old)\n" \
    "    move(old, held(old), now, 0)\n" \
    "  end\n" \
    "  for _, old in ipairs(kept) do\n" \
    "    if held(old) > 0 then bury(old, 1073741824 + horizon) end\n" \
    "    redis.call('ZREM', KEYS[1], old)\n" \
    "  end\n" \
    "  if #expired + #kept > 0 then tidy(horizon) end\n" \
    "  return #expired, #kept\n" \
    "end\n"

/* A RESERVE with a committed score is that of a hold that may have ended: it is committed where it is still there, and
 * back where its charge was kept; else what is left of it goes, and it is reserved as any other. */
#define LUA_LATE \
    "  if tonumber(ARGV[2]) > 1073741824 then\n" \
    "    local died = tonumber(redis.call('ZSCORE', tombs, token) or 0)\n" \
    "    local is_kept = died >= 1073741824 and died < 2147483648\n" \
    "    redis.call('ZADD', ledger, is_kept and 'NX' or 'XX', ARGV[2], token)\n" \
    "    if died < 2147483648 then redis.call('ZREM', tombs, token) end\n" \
    "  end\n"

/* in_hand(): the images of all holds of a subject, whether it heads the token or a row of it is charged.  Among the
 * digits and numbers of a token its bytes may stand by chance, so then the entries are walked. */
#define LUA_IN_HAND \
    "local function in_hand(field)\n" \
    "  local images = 0\n" \
    "  if redis.call('ZCARD', KEYS[1]) == 0 then return 0 end\n" \
    "  for _, token in ipairs(redis.call('ZRANGE', KEYS[1], '0', '-1')) do\n" \
    "    local found = string.find(token, field, 1, true)\n" \
    "    if found and found > 1 then\n" \
    "      local at = 17\n" \
    "      found = nil\n" \
    "      while at <= #token and not found do\n" \
    "        local letter = string.byte(token, at)\n" \
    "        if letter == 64 then\n" \
    "          found = string.sub(token, at + 1, at + 5) == field\n" \
    "          at = at + 7\n" \
    "        elseif letter == 116 then at = at + 8\n" \
    "        elseif letter == 105 then at = at + 1\n" \
    "        elseif letter == 103 or letter == 114 then at = at + 12\n" \
    "        elseif letter == 82 then at = at + 16\n" \
    "        elseif letter > 96 then at = at + 6\n" \
    "        else at = at + 10 end\n" \
    "      end\n" \
    "    end\n" \
    "    if found then\n" \
    "      local high, low = string.byte(token, 15, 16)\n" \
    "      images = images + high * 256 + low\n" \
    "    end\n" \
    "  end\n" \
    "  return images\n" \
    "end\n"

/* A row that is new to its hash may be needed for longer than those that are there: another time zone. */
#define LUA_EXPIRE(key, at) \
    "if redis.call('TTL', " key ") < " at " - horizon - 1577836802 then\n" \
    "  redis.call('EXPIREAT', " key ", " at ")\n" \
    "end\n"

/* What a window begins with: the images, or credits, granted in each until a date, into a row that is not there yet. */
#define LUA_STANDING(into, key, span) \
    "local standing = redis.call('HGET', string.sub(KEYS[1], 1, -2) .. 'x', field .. string.sub(" key ", -6, -6))\n" \
    "if standing then\n" \
    "  local till, units = struct.unpack('>I6I6', standing)\n" \
    "  if till > horizon + 1577836802 then " into " = units * " span " end\n" \
    "end\n"

/* As a command wants them. */
#define LUA_UNITS \
    "local units = images == 1 and '1' or string.format('%d', images)\n"

/* A charge that came before its check, which failed, in a row that begins at nothing. */
#define LUA_UNDO(charged, row) \
    "if " charged " == images then call('HDEL', " row ", field)\n" \
    "else call('HINCRBY', " row ", field, '-' .. units) end\n"

/* A hold of one limit without grants.  Where the row begins at nothing, its charge tells what is there, too; else what the
 * next one of the bucket need not look at is looked at for it. */
#define LUA_PLAIN_ROW \
    "if n == 1 and task == 0 and at == 0 then\n" \
    "  local charged = call('HINCRBY', KEYS[2], field, units)\n" \
    "  if charged <= allowed and call('ZADD', ledger, 'NX', ARGV[2], token) == 1 then return charged end\n" \
    "  first = charged - images\n" \
    "  " LUA_UNDO("charged", "KEYS[2]") \
    "elseif n == 1 and task == 0 then\n" \
    "  first = call('HGET', KEYS[2], field)\n" \
    "  if first and first + images <= allowed and call('ZADD', ledger, 'NX', ARGV[2], token) == 1 then\n" \
    "    local row = call('HINCRBY', KEYS[2], field, units)\n" \
    "    if call('EXISTS', string.sub(ledger, 1, -2) .. 'x') == 1 then return row end\n" \
    "    " LUA_EXPIRE("KEYS[2]", "at") \
    "    return {0, 0, 1, row}\n" \
    "  end\n" \
    "end\n"

static const char rows_source[] =
    "local ledger, token, facts = KEYS[1], ARGV[1], ARGV[3]\n"
    "local task, horizon, images, allowed, at = struct.unpack('>Bi4I2I6I6', facts)\n"
    "local call, field, n, first = redis.call, string.sub(token, 1, 5), #KEYS - 1, nil\n"
    LUA_UNITS
    "if task == 1 and call('ZCARD', ledger) == 0 then task = 0 end\n"
    LUA_PLAIN_ROW
    "local rows, values, ends = {0}, {0}, {0}\n"
    "local expired, full, looked\n"
    "local reads = task == 0\n"
    "while true do\n"
    "  if reads then\n"
    "    full, looked = nil, 0\n"
    "    for i = 1, n do\n"
    "      local row = first\n"
    "      if row == nil then row = call('HGET', KEYS[i + 1], field) end\n"
    "      first = nil\n"
    "      local value = tonumber(row or 0)\n"
    "      allowed, at = struct.unpack('>I6I6', facts, 12 * i - 4)\n"
    "      if not row and at > 0 then\n"
    "        if call('EXISTS', string.sub(ledger, 1, -2) .. 'x') == 0 then\n"
    "          looked = looked + 2 ^ (i - 1)\n"
    "        else\n"
    LUA_STANDING("value", "KEYS[i + 1]", "16777216")
    "        end\n"
    "      end\n"
    "      local used = value % 16777216\n"
    "      rows[i], values[i], ends[i] = row, value, at\n"
    "      allowed = math.min(allowed + (value - used) / 16777216, 16777215)\n"
    "      if not full and used + images > allowed then full = i end\n"
    "    end\n"
    "  end\n"
    "  if (expired or reads) and (not full or expired and call('ZSCORE', ledger, token)) then\n"
    "    if call('ZADD', ledger, 'NX', ARGV[2], token) == 1 then\n"
    "      for i = 1, n do\n"
    "        local key = KEYS[i + 1]\n"
    "        values[i] = values[i] + images\n"
    "        call('HSET', key, field, string.format('%d', values[i]))\n"
    "        if not rows[i] and ends[i] > 0 then\n"
    "          " LUA_EXPIRE("key", "ends[i]")
    "        end\n"
    "      end\n"
    "    else\n"
    "      looked = 0\n"
    "      call('ZADD', ledger, 'XX', 'GT', ARGV[2], token)\n"
    "    end\n"
    "    return {0, 0, looked, unpack(values)}\n"
    "  end\n"
    LUA_IN_HAND
    "  if expired then return {expired == 64 and -3 or full, 0, in_hand(field), unpack(values)} end\n"
    LUA_MOVE
    LUA_REAP
    LUA_LATE
    "  expired = reap()\n"
    "  reads = expired > 0 or not reads\n"
    "end\n";

/* Reads every limit of the plan: old, what is there; new, what will be there; found, whether the row itself is there. */
#define LUA_READ(charge_is) \
    "local key = 2\n" \
    "over, full = 0, nil\n" \
    "for i = 1, n do\n" \
    "  local kind, trial, field, charge, allowed, x, y =\n" \
    "    struct.unpack('>BBc5xi6I6I6I6', plan, 38 * i)\n" \
    "  local fits, before, after, row\n" \
    charge_is \
    "  if kind == 99 then\n" \
    "    row = redis.call('HGET', KEYS[key], field)\n" \
    "    before = tonumber(row or 0)\n" \
    "    if not row then\n" \
    LUA_STANDING("before", "KEYS[key]", "x") \
    "    end\n" \
    "    local used = before % x\n" \
    "    fits = used + charge <= math.min(allowed + (before - used) / x * y, x - 1)\n" \
    "    after = before + math.min(charge, x - 1 - used)\n" \
    "    key = key + 1\n" \
    "  elseif kind == 103 then\n" \
    "    row = redis.call('HGET', KEYS[key], field)\n" \
    "    if row then\n" \
    "      before = tonumber(row)\n" \
    "    else\n" \
    "      before = redis.call('HGET', KEYS[key + 1], field)\n" \
    "      before = before and before - y or x\n" \
    "    end\n" \
    "    local base = math.max(before, x)\n" \
    "    fits = charge == 0 or base + charge <= x + allowed\n" \
    "    after = fits and charge > 0 and base + charge or before\n" \
    "    key = key + 2\n" \
    "  elseif kind == 114 then\n" \
    "    row = redis.call('HGET', KEYS[key], field)\n" \
    "    local last, sum, t = row or redis.call('HGET', KEYS[key + 1], field), 0, nil\n" \
    "    if last then\n" \
    "      t = {struct.unpack('" LUA_SLOTS "', last)}\n" \
    "    else\n" \
    "      t = {x, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}\n" \
    "    end\n" \
    "    local steps = x - t[1]\n" \
    "    if steps > 0 then\n" \
    "      for j = 2, 14 do t[j] = j + steps <= 14 and t[j + steps] or 0 end\n" \
    "      t[1] = x\n" \
    "    end\n" \
    "    for j = 2, 14 do sum = sum + t[j] end\n" \
    "    fits = sum + charge <= allowed\n" \
    "    before = struct.pack('" LUA_SLOTS "', unpack(t, 1, 14))\n" \
    "    t[14] = math.min(t[14] + charge, 4294967295)\n" \
    "    after = struct.pack('" LUA_SLOTS "', unpack(t, 1, 14))\n" \
    "    key = key + 2\n" \
    "  else\n" \
    "    before = in_hand(field)\n" \
    "    after = before + charge\n" \
    "    fits = after <= allowed\n" \
    "  end\n" \
    "  old[i], new[i], found[i] = before, after, row\n" \
    "  if not fits and trial == 1 then over = over + 2 ^ (i - 1)\n" \
    "  elseif not fits and not full then full = i end\n" \
    "end\n"

/* Writes what has become new. */
#define LUA_WRITE \
    "local key = 2\n" \
    "for i = 1, n do\n" \
    "  local kind, _, field = struct.unpack('>BBc5', plan, 38 * i)\n" \
    "  if kind ~= 105 then\n" \
    "    if new[i] ~= old[i] then\n" \
    "      redis.call('HSET', KEYS[key], field, new[i])\n" \
    "      if not found[i] then\n" \
    "        local at = struct.unpack('>I6', plan, 38 * i + 32)\n" \
    "        " LUA_EXPIRE("KEYS[key]", "at") \
    "      end\n" \
    "    end\n" \
    "    key = key + (kind == 99 and 1 or 2)\n" \
    "  end\n" \
    "end\n"

/* What most paying tiers have: one calendar limit for images; a RATE, an IN_FLIGHT limit, or both; all of them the ledger's
 * own subject's.  Half the time of the loop over a plan.  Whatever does not fit, or is held already, is left to that. */
#define LUA_COMMON_DAY \
    "  local call, key, field = redis.call, KEYS[3], string.sub(token, 1, 5)\n" \
    "  local before, base, hand, looked, row, tat = 0, now, 0, 0, nil, nil\n" \
    "  if at > 0 then\n" \
    "    row = call('HGET', KEYS[2], field)\n" \
    "    before = row or 0\n" \
    "    if call('EXISTS', string.sub(ledger, 1, -2) .. 'x') == 0 then\n" \
    "      looked = 1\n" \
    "    elseif not row then\n" \
    LUA_STANDING("before", "KEYS[2]", "16777216") \
    "    end\n" \
    "  end\n" \
    "  local fits = true\n"

#define LUA_COMMON_REST(key_before, segment) \
    "  if fits and cost > 0 then\n" \
    "    tat = call('HGET', key, field)\n" \
    "    local last = tat or call('HGET', " key_before ", field)\n" \
    "    if last then\n" \
    "      base = tat and tat + 0 or last - " segment "\n" \
    "      if base < now then base = now end\n" \
    "    end\n" \
    "    fits = base + cost <= most\n" \
    "  end\n" \
    "  if fits and flights >= 0 then\n" \
    "    local holds = call('ZCARD', ledger) > 0 and call('ZRANGE', ledger, '0', '-1')\n" \
    "    for i = 1, holds and #holds or 0 do\n" \
    "      if string.sub(holds[i], 1, 5) == field then\n" \
    "        local high, low = string.byte(holds[i], 15, 16)\n" \
    "        hand = hand + high * 256 + low\n" \
    "      end\n" \
    "    end\n" \
    "    fits = hand + images <= flights\n" \
    "  end\n"

/* The row that begins at nothing is charged before its check; what would not fit into it has come round to zero. */
#define LUA_COMMON_CHARGE \
    "  local charged = fits and at == 0 and call('HINCRBY', KEYS[2], field, units)\n" \
    "  local value = charged or before + images\n" \
    "  if value > allowed then\n" \
    "    local used = value % 16777216\n" \
    "    fits = fits and used >= images and used <= allowed + (value - used) / 16777216\n" \
    "  end\n"

/* Where only the counts are news, they are one number, which costs a tenth of a list. */
#define LUA_COMMON_HOLD \
    "  if fits and call('ZADD', ledger, 'NX', ARGV[2], token) == 1 then\n" \
    "    if not charged then\n" \
    "      if row or before == 0 then call('HINCRBY', KEYS[2], field, units)\n" \
    "      else call('HSET', KEYS[2], field, string.format('%d', value)) end\n" \
    "      " LUA_EXPIRE("KEYS[2]", "at") \
    "    end\n" \
    "    if cost > 0 then\n" \
    "      call('HSET', key, field, string.format('%d', base + cost))\n" \
    "      local rate_at = struct.unpack('>I6', plan, 108)\n" \
    "      if rate_at > 0 then\n" \
    "        looked = looked + 2\n" \
    "        " LUA_EXPIRE("key", "rate_at") \
    "      end\n" \
    "    end\n" \
    "    if looked == 0 and value < 16777216 and base == now then return hand * 16777216 + value end\n" \
    "    hand = hand + images\n" \
    "    if cost == 0 then return {0, 0, looked, value, hand} end\n" \
    "    if flights < 0 then return {0, 0, looked, value, base + cost} end\n" \
    "    return {0, 0, looked, value, base + cost, hand}\n" \
    "  end\n" \
    "  if charged then\n" \
    "    " LUA_UNDO("charged", "KEYS[2]") \
    "  end\n"

#define LUA_COMMON \
    LUA_UNITS \
    "if task == 1 and redis.call('ZCARD', ledger) == 0 then task = 0 end\n" \
    "if task == 0 and allowed > 0 then\n" \
    LUA_COMMON_DAY \
    LUA_COMMON_REST("KEYS[4]", "struct.unpack('>I6', plan, 102)") \
    LUA_COMMON_CHARGE \
    LUA_COMMON_HOLD \
    "end\n"

/* Those of several accounts that share a common plan: each as far as it fits without a grant. */
static const char reserves_source[] =
    "local call, sub, score, rows = redis.call, string.sub, ARGV[1], {}\n"
    "local images, allowed, cost, now, most, flights, segment = struct.unpack('>I2I3I6I6I6i3I6', ARGV[2])\n"
    "local width = #KEYS / (#ARGV - 2)\n"
    LUA_UNITS
    "for i = 1, #ARGV - 2 do\n"
    "  local token, k = ARGV[i + 2], width * (i - 1)\n"
    "  local ledger, day, key, field = KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], sub(token, 1, 5)\n"
    "  local base, hand, fits, row, tat, charged = now, 0, true, -3, nil, nil\n"
    LUA_COMMON_REST("KEYS[k + 4]", "segment")
    "  if fits then charged = call('HINCRBY', day, field, units) end\n"
    "  if fits and charged <= allowed and call('ZADD', ledger, 'NX', score, token) == 1 then\n"
    "    if cost > 0 then call('HSET', key, field, string.format('%d', base + cost)) end\n"
    "    if base == now then row = hand * 16777216 + charged\n"
    "    elseif flights < 0 then row = {0, 0, 0, charged, base + cost}\n"
    "    else row = {0, 0, 0, charged, base + cost, hand + images} end\n"
    "  elseif charged then\n"
    "    " LUA_UNDO("charged", "day")
    "    local is_last_word = width == 2 and flights < 0 and charged > allowed and charged - images < 16777216\n"
    "    if is_last_word and call('ZCARD', ledger) == 0 then row = -4 - (charged - images) end\n"
    "  end\n"
    "  rows[i] = row\n"
    "end\n"
    "return rows\n";

#define LUA_ARGS \
    "local ledger, token, plan = KEYS[1], ARGV[1], ARGV[3]\n" \
    "local task, horizon, images, allowed, cost, now, most, flights, at =\n" \
    "  struct.unpack('>Bi4I2I3I6I6I6i3I6', plan)\n"

#define LUA_PLAN \
    "local n, over, full = (#plan - 37) / 38, 0, nil\n" \
    "local old, new, found = {0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}\n"

static const char limits_source[] =
    LUA_ARGS
    LUA_COMMON
    LUA_PLAN
    "local expired, kept\n"
    "local reads = task == 0\n"
    LUA_IN_HAND
    "while true do\n"
    "  if reads then\n"
    LUA_READ("")
    "  end\n"
    "  if (expired or reads) and (not full or expired and redis.call('ZSCORE', ledger, token)) then\n"
    "    if redis.call('ZADD', ledger, 'NX', ARGV[2], token) == 1 then\n"
    LUA_WRITE
    "      return {0, over, 0, unpack(new, 1, n)}\n"
    "    end\n"
    "    redis.call('ZADD', ledger, 'XX', 'GT', ARGV[2], token)\n"
    "    return {0, 0, 0, unpack(old, 1, n)}\n"
    "  end\n"
    "  if expired then\n"
    "    local field = string.sub(plan, 38 * full + 2, 38 * full + 6)\n"
    "    local has_more = math.max(expired, kept) == 64\n"
    "    return {has_more and -3 or full, over, in_hand(field), unpack(old, 1, n)}\n"
    "  end\n"
    LUA_MOVE
    LUA_REAP
    LUA_LATE
    "  expired, kept = reap()\n"
    "  reads = expired + kept > 0 or not reads\n"
    "end\n";

static const char amend_source[] =
    LUA_ARGS
    LUA_PLAN
    LUA_IN_HAND
    LUA_MOVE
    LUA_REAP
    "local expired, kept = reap()\n"
    "do\n"
    LUA_READ("  charge = 0\n")
    "end\n"
    "if math.max(expired, kept) == 64 then return {-3, 0, 0, unpack(old, 1, n)} end\n"
    "if task == 3 or redis.call('ZADD', ledger, 'NX', ARGV[2], token) == 0 then\n"
    "  return {0, over, 0, unpack(old, 1, n)}\n"
    "end\n"
    "local grants, sets, till = task == 4, task == 5, tonumber(ARGV[4])\n"
    "local standing_key, row = string.sub(ledger, 1, -2) .. 'x', 2\n"
    "local function stand(of, units)\n"
    "  local old, before = redis.call('HGET', standing_key, of), 0\n"
    "  if old then\n"
    "    local old_till, old_units = struct.unpack('>I6I6', old)\n"
    "    if old_till > horizon + 1577836802 then before = old_units end\n"
    "  end\n"
    "  if units > 0 then redis.call('HSET', standing_key, of, struct.pack('>I6I6', till, units))\n"
    "  else redis.call('HDEL', standing_key, of) end\n"
    "  return units - before\n"
    "end\n"
    "for i = 1, n do\n"
    "  local kind, _, field, change, most, x = struct.unpack('>BBc5xi6I6I6', plan, 38 * i)\n"
    "  local rows = kind == 105 and 0 or kind == 99 and 1 or 2\n"
    "  if not grants and not sets then\n"
    "    if kind == 99 then\n"
    "      stand(field .. string.sub(KEYS[row], -6, -6), 0)\n"
    "      new[i] = 0\n"
    "    elseif kind == 103 then\n"
    "      if found[i] then new[i] = x end\n"
    "      redis.call('HDEL', KEYS[row + 1], field)\n"
    "    else\n"
    "      for k = row, row + rows - 1 do redis.call('HDEL', KEYS[k], field) end\n"
    "    end\n"
    "  elseif kind == 99 then\n"
    "    local used = old[i] % x\n"
    "    local granted = (old[i] - used) / x\n"
    "    if grants and till > 0 then\n"
    "      change = stand(field .. string.sub(KEYS[row], -6, -6), math.min(change, most, 16777215))\n"
    "    end\n"
    "    if sets then used = change else granted = math.min(math.max(granted + change, 0), most) end\n"
    "    new[i] = granted * x + used\n"
    "  elseif kind == 103 then\n"
    "    new[i] = (sets and x or math.max(old[i], x)) + change\n"
    "  elseif kind == 114 then\n"
    "    local t = {struct.unpack('" LUA_SLOTS "', old[i])}\n"
    "    for j = 2, 14 do\n"
    "      local taken = sets and t[j] or math.max(math.min(change, t[j]), 0)\n"
    "      t[j] = t[j] - taken\n"
    "      if grants then change = change - taken end\n"
    "    end\n"
    "    t[14] = t[14] + (sets and change or math.max(-change, 0))\n"
    "    new[i] = struct.pack('" LUA_SLOTS "', unpack(t, 1, 14))\n"
    "  end\n"
    "  row = row + rows\n"
    "end\n"
    "do\n"
    LUA_WRITE
    "end\n"
    LUA_READ("  charge = 0\n")
    "return {0, over, 0, unpack(old, 1, n)}\n";

/* clang-format on */

const char *const redis_script_sources[SCRIPTS] = {
    rows_source,         limits_source,      amend_source,   redis_settle_source,
    redis_revive_source, redis_share_source, reserves_source};
